/* Why an accept queue overflowed, and what to do: evidence in, one sentence out. Pure.
 *
 * A segment is not a client: a client whose SYN is dropped sends it again after 1,
 * 2, 3.1, 4.1, 5.1, 7.1, 11.2 and 19.4 s (measured, Linux 6.18), so the number of clients is an
 * estimate and called one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/defs.h"

struct text;

struct overflow_evidence {
	const char *listener;
	bool is_over;        /* the queue has room again; otherwise it goes on */
	int64_t duration_ms; /* so far, or in all */
	uint64_t limit;      /* effective backlog */
	uint64_t asked;
	uint64_t somaxconn; /* 0: not known */
	uint64_t dropped_segments;
	uint64_t busiest_second; /* most segments within a part of a second: as many clients */
	uint64_t accepted;       /* meanwhile, by all workers */

	unsigned serving; /* workers */
	unsigned paused_limit;
	unsigned paused_descriptors;
	unsigned paused_trouble;
	uint64_t max_connections; /* of the server */

	int stuck_worker; /* the one that has been silent longest, -1: none worth naming */
	int stuck_pid;
	int64_t stuck_ms;
	int slow_worker; /* the one with the longest turn, -1: none worth naming */
	uint64_t slow_us;
};

/** Append the sentence. */
void diagnosis_of_overflow(const struct overflow_evidence *evidence, struct text *sentence);

/** How many clients these segments came from, at least: a waiting client sends about once a second
 * at first, and no client sends more often than one that came at the very beginning. */
uint64_t diagnosis_clients(uint64_t segments, uint64_t busiest_second, int64_t duration_ms);
