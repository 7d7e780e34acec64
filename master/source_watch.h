/* Tells whose clients the workers refuse at the limits by source: looks at the counters once a
 * second, and says so at once and then at most once in ten seconds for each listener. */
#pragma once

#include <stdint.h>

#include "common/board.h"
#include "common/log.h"

struct master;

struct source_watch {
	struct {
		uint64_t seen[3];       /* when it was last said, or at the start */
		int64_t moved_ms;       /* the first that has not been said; 0: all has been */
		struct log_limit limit; /* of what is said */
	} listeners[BOARD_LISTENERS];
	uint64_t untracked_seen;
	struct log_limit untracked_limit;
};

/** Once a second. The watch is zeroed at first. */
void source_watch_second(struct source_watch *watch, struct master *master);
