/* How long to wait after the n-th failure of a slot, and which failures deserve a line in the log.
 * Pure: time and dice come from the caller. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BACKOFF_FIRST_MS   100   /* before the second try; the first is at once */
#define BACKOFF_CEILING_MS 30000 /* two tries a minute, for ever: nobody is given up */
#define BACKOFF_HEALTHY_MS 60000 /* who served so long begins anew */
#define BACKOFF_LINE_MS    60000 /* between lines about one slot, after the fifth */
#define BACKOFF_BURST      5     /* the failure that is told again */

struct backoff {
	unsigned failures;     /* in a row */
	int64_t not_before_ms; /* the earliest time of the next try; 0: now */
	int64_t last_line_ms;
	unsigned untold; /* failures without a line since the last line */
};

/** The wait after `failures` failures in a row: 0, then 100 ms doubling up to 30 s, each within
 *  +-20 % by `dice` (any number) so that many slots do not try in step; the ceiling is exact. */
int64_t backoff_delay_ms(unsigned failures, uint32_t dice);
/** One more failure.
 *  @param healthy_ms  how long the process had served before
 *  @return the wait from now */
int64_t backoff_fail(struct backoff *backoff, int64_t now_ms, int64_t healthy_ms, uint32_t dice);
/** Forget the failures of one that had been healthy for long enough when it left. */
void backoff_forgive(struct backoff *backoff, int64_t healthy_ms);
/** Whether the failure just noted should be told. A worker that never served: the first time, the
 *  fifth, then once a minute. One that had served: always, its wait keeps the lines few.
 *  @param untold  set, when true is returned, to the failures since the last line */
bool backoff_should_tell(
	struct backoff *backoff, int64_t now_ms, bool had_served, unsigned *untold);
