/* The fullest sources of each listener, looked for in the tables of all workers, and the penalised
 * ones. However many sources there are, so many rows are kept. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/board.h"
#include "common/sources.h"

#define FULLEST_ROWS 20 /* of one listener */

struct fullest_row {
	struct source source;
	uint64_t open;
	uint64_t rate;      /* let in within the last second */
	uint64_t refused;   /* within the last ten seconds, at a limit */
	int64_t penalty_ms; /* it is refused for so long yet; 0: it is not */
};

/* The penalised first, then by connections, rate, refusals. */
struct fullest_listener {
	struct fullest_row rows[FULLEST_ROWS];
	size_t count;
};

struct fullest {
	int64_t now_ms;
	struct sources all;
	struct fullest_listener listeners[BOARD_LISTENERS];
};

/** Look now, some 50 ns for each source and worker. The struct is large: keep it on the heap. */
void fullest_take(const struct board *board, int64_t now_ms, struct fullest *fullest);
