/* How long clients waited in the accept queues and how long the workers' loops took for a turn: the
 * board's histograms summed over slots, since the start and for the last minute. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "common/defs.h"
#include "common/histogram.h"

struct board;
struct reading;
struct waits;

/** Milliseconds in the accept queue of one listener, of all clients that were measured.
 *  @param listener  index on the board */
void waits_of_listener(const struct board *board, int listener, struct histogram_copy *copy);
/** Microseconds of the turns of the loop in one worker slot. */
void waits_of_worker(const struct board *board, int slot, struct histogram_copy *copy);

/** Remembers what was before the last minute; some 30 KB a listener. @param board  borrowed
 *  @return NULL without memory */
struct waits *waits_new(const struct board *board) MUST_CHECK;
void waits_free(struct waits **waits);
/** To be called each second; want of memory makes the last minute of a listener be all its time. */
void waits_tend(struct waits *waits, const struct reading *now);
/** As JSON: for each listener how many were measured of how many accepted, and percentiles. */
void waits_render(const struct waits *waits, const struct reading *now, FILE *stream);
