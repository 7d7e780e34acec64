/* Time as the master lived it. After SIGSTOP for a minute the first look finds a minute gone in
 * which nobody was watched; only one step of it is believed. */
#include "master/patience.h"

void
patience_init(struct patience *patience, int64_t real_ms)
{
	patience->now_ms = 0;
	patience->last_real_ms = real_ms;
}

int64_t
patience_look(struct patience *patience, int64_t real_ms)
{
	int64_t step = real_ms - patience->last_real_ms;

	if (step > PATIENCE_STEP_MAX_MS) {
		step = PATIENCE_STEP_MAX_MS;
	}
	if (step > 0) {
		patience->now_ms += step;
	}
	patience->last_real_ms = real_ms;
	return patience->now_ms;
}
