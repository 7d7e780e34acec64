/* Tells who overflowed and why: looks at the numbers that listeners_watch put on the board, and
 * says so in words within a second, at most once in ten seconds for each listener. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/board.h"
#include "master/busiest_span.h"

struct master;

/* One overflow from its beginning to its end. */
struct queue_episode {
	bool is_on;
	bool is_said;
	int64_t began_ms;
	int64_t last_bad_ms;
	uint64_t dropped_before;
	uint64_t accepted_before;
	struct busiest_span busiest;
};

#define QUEUE_WATCH_SECONDS 60

struct queue_watch {
	struct queue_episode episodes[BOARD_LISTENERS];
	struct drop_look looks[BOARD_LISTENERS]; /* the last of each */
	int64_t said_ms[BOARD_LISTENERS];
	uint64_t overflows_seen; /* ListenOverflows at the last look */
	/* Highest depth of each of the last 60 seconds. */
	uint32_t peaks[BOARD_LISTENERS][QUEUE_WATCH_SECONDS];
	unsigned second;
};

/** At the start: the kernel's counters as they are, and those of the board, which are not zero in a
 *  program that took over. */
void queue_watch_start(struct master *master);

/** Ten times a second, after listeners_watch. @param before_ms  the time before that */
void queue_watch_look(struct master *master, int64_t before_ms);
/** Once a second: kernel counters to the board, the minute's peaks moved on. */
void queue_watch_second(struct master *master);
