/* When a name is asked for again. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PACE_TTL_MIN_MS 1000 /* also for a TTL of 0, and for what /etc/hosts says */

/** After an answer: when its TTL has passed, within the bounds. */
int64_t pace_after_answer(uint32_t ttl_s, int64_t max_ttl_ms);
/** After failures in a row, of which there is at least one: 1 s, 2 s, 4 s … up to 30 s; up to 5 s
 *  while there is no address at all, for then nobody is served. */
int64_t pace_after_failure(unsigned failures, bool has_address);
