/* Tells that the workers refuse clients, why, and at the limits by source whose: looks at the
 * counters once a second, and says so at once and then at most once in ten seconds for each
 * listener. */
#pragma once

#include <stdint.h>

#include "common/board.h"
#include "common/log.h"
#include "master/refusals.h"

struct master;

struct refusals_watch {
	struct {
		uint64_t seen[REFUSAL_COUNT]; /* when it was last said, or at the start */
		int64_t moved_ms;       /* the first that has not been said; 0: all has been */
		struct log_limit limit; /* of what is said */
	} listeners[BOARD_LISTENERS];
	uint64_t untracked_seen;
	struct log_limit untracked_limit;
};

/** What has been refused before our time is not ours to tell. @param watch  zeroed */
void refusals_watch_start(struct refusals_watch *watch, const struct master *master);
/** Once a second. */
void refusals_watch_second(struct refusals_watch *watch, struct master *master);
