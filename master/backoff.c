/* How long to wait after the n-th failure. */
#include "master/backoff.h"

#define JITTER_PERCENT 20

static int64_t
backoff_base_ms(unsigned failures)
{
	int64_t base = BACKOFF_FIRST_MS;
	unsigned step;

	for (step = 2; step < failures && base < BACKOFF_CEILING_MS; step++) {
		base *= 2;
	}
	return base;
}

int64_t
backoff_delay_ms(unsigned failures, uint32_t dice)
{
	int64_t base, spread, delay;

	if (failures < 2) {
		return 0;
	}
	base = backoff_base_ms(failures);
	if (base >= BACKOFF_CEILING_MS) {
		/* No jitter here: less would exceed two tries a minute, more the promised 30 s.
		 * The steps before have put the slots out of step already. */
		return BACKOFF_CEILING_MS;
	}
	spread = base * JITTER_PERCENT / 100;
	delay = base - spread + (int64_t)(dice % (uint32_t)(2 * spread + 1));
	return delay < BACKOFF_CEILING_MS ? delay : BACKOFF_CEILING_MS;
}

void
backoff_forgive(struct backoff *backoff, int64_t healthy_ms)
{
	if (healthy_ms >= BACKOFF_HEALTHY_MS) {
		backoff->failures = 0;
	}
}

int64_t
backoff_fail(struct backoff *backoff, int64_t now_ms, int64_t healthy_ms, uint32_t dice)
{
	int64_t delay;

	backoff_forgive(backoff, healthy_ms);
	backoff->failures++;
	backoff->untold++;
	delay = backoff_delay_ms(backoff->failures, dice);
	backoff->not_before_ms = now_ms + delay;
	return delay;
}

bool
backoff_should_tell(struct backoff *backoff, int64_t now_ms, bool had_served, unsigned *untold)
{
	bool is_time = backoff->failures > BACKOFF_BURST &&
		       now_ms - backoff->last_line_ms >= BACKOFF_LINE_MS;

	if (backoff->failures != 1 && backoff->failures != BACKOFF_BURST && !is_time &&
		!had_served) {
		return false;
	}
	*untold = backoff->untold - 1;
	backoff->untold = 0;
	backoff->last_line_ms = now_ms;
	return true;
}
