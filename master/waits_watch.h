/* Tells that clients wait long for a place at an upstream, and why: looks at the board once a
 * second, says so once at the beginning and once at the end. That every server is down is told by
 * backends_watch. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/board.h"

struct master;

struct waits_watch {
	struct {
		int64_t began_ms; /* monotonic, when the first of those who wait long came */
		uint32_t life;    /* of the row, in which this was seen */
		bool is_on;
	} upstreams[BOARD_UPSTREAMS];
};

/** Once a second. The watch is zeroed at first. */
void waits_watch_second(struct waits_watch *watch, struct master *master, int64_t now_ms);
