/* When a worker leaves a shared accept queue to the others. The wake-ups go round robin (see
 * exclusive.h), so shares are even to begin with; this steers them back after connections have
 * closed unevenly. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define FAIRNESS_BATCH_MAX 16 /* clients taken per wake-up at most */

/** How many more clients to take after the first one of a wake-up: what waits, within a batch. An
 *  accept on an empty queue costs as much as a real one, so it is never tried on suspicion. */
unsigned fairness_more(uint32_t depth);

/** The most connections that one worker may hold before it leaves the queue to others: the mean
 *  and a margin of 5 or 1/64 of it.
 *  @param open     connections of all workers that can take clients, ours included
 *  @param workers  how many these are; 0: nobody else, no ceiling */
uint64_t fairness_ceiling(uint64_t open, unsigned workers);

/** True while the queue is so deep that everybody takes: fairness must never cost an overflow.
 *  @param limit  effective backlog; 0: unknown, never deep */
bool fairness_is_deep(uint32_t depth, uint32_t limit);
