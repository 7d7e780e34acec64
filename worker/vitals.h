/* How this worker does: CPU time, memory, and how long the turns of its loop take. */
#pragma once

#include <stdint.h>

#include "common/defs.h"

struct board_slot;

struct vitals {
	struct board_slot *slot;
	int statm; /* /proc/self/statm, held open: a worker opens nothing by name while it serves */
	int64_t turn_began_us;
	int64_t longest_turn_us; /* of this second */
	int64_t next_publish_ms;
	uint64_t cpu_published_us;
};

/** Without /proc the memory is shown as 0; that is no error. */
void vitals_init(struct vitals *vitals, struct board_slot *slot);
void vitals_fini(struct vitals *vitals);
void vitals_turn_begins(struct vitals *vitals, int64_t now_us);
/** Count the turn, and once a second publish; two clock readings without a system call. */
void vitals_turn_ends(struct vitals *vitals);
