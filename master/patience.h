/* Time as the master lived it: a clock for deadlines of others that stands still while the master
 * itself is stopped, starved or suspended, so that it never blames a child for its own absence.
 * Pure. */
#pragma once

#include <stdint.h>

/** The most that one look at the clock can advance it. The master looks at least every 500 ms. */
#define PATIENCE_STEP_MAX_MS 1000

struct patience {
	int64_t now_ms;
	int64_t last_real_ms;
};

void patience_init(struct patience *patience, int64_t real_ms);
/** @param real_ms  CLOCK_MONOTONIC now
 *  @return the time as lived, in milliseconds since patience_init */
int64_t patience_look(struct patience *patience, int64_t real_ms);
