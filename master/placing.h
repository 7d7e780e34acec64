/* Which address of a DNS answer gets which place of a name. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/board.h"

/* What became of the places; bit i is place i. */
struct placing {
	uint64_t changed; /* written anew in any way */
	uint64_t fresh;   /* have an address that they had not before */
	uint64_t left;    /* their address was in the answer before and is no more */
};

/** Put the addresses of an answer into places. One that has a place keeps it, whatever the order
 *  of the answer, and one that comes again while its place still bears it gets that. A new one
 *  takes a place that is empty, or else the one that was left with the fewest sessions. What is not
 *  in the answer keeps its address, for the sessions that are there, and gets no new clients.
 *  @param places  `count` of them (at most 64), changed in place
 *  @param held    sessions at each
 *  @param answer  `answer_count` of state HELD, none of them twice, no more than there are places
 */
struct placing placing_decide(struct board_place *places, const uint64_t *held, size_t count,
	const struct board_place *answer, size_t answer_count);
