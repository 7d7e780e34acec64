/* Tells who overflowed and why: looks at the numbers that listeners_watch put on the board, and
 * says so in words within a second, at most once in ten seconds for each listener. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/board.h"

struct master;

/* One overflow from its beginning to its end. */
struct queue_episode {
	bool is_on;
	bool is_said;
	int64_t began_ms;
	int64_t last_bad_ms;
	uint64_t dropped_before;
	uint64_t accepted_before;
	int64_t span_began_ms; /* the part of a second that is being counted */
	uint64_t dropped_at_span;
	uint64_t busiest_span;
};

#define QUEUE_WATCH_SECONDS 60

struct queue_watch {
	struct queue_episode episodes[BOARD_LISTENERS];
	uint64_t dropped_seen[BOARD_LISTENERS];
	int64_t said_ms[BOARD_LISTENERS];
	uint64_t overflows_seen; /* ListenOverflows at the last look */
	/* Highest depth of each of the last 60 seconds. */
	uint32_t peaks[BOARD_LISTENERS][QUEUE_WATCH_SECONDS];
	unsigned second;
	int64_t looked_ms; /* the last look */
};

/** Before anybody listens: the kernel's counters as they are at the start. */
void queue_watch_start(struct master *master, int64_t now_ms);

/** Ten times a second, after listeners_watch. */
void queue_watch_look(struct master *master, int64_t now_ms);
/** Once a second: kernel counters to the board, the minute's peaks moved on. */
void queue_watch_second(struct master *master);
