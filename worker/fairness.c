/* Measured with 8 workers: margin, batch and depth keep the fullest worker within 1.07 of the
 * emptiest, while a rule without the depth let a burst overflow a queue of 4096. */
#include "worker/fairness.h"

#define MARGIN_MIN      8
#define MARGIN_FRACTION 32
#define DEEP_FRACTION   16

unsigned
fairness_more(uint32_t depth)
{
	return depth < FAIRNESS_BATCH_MAX - 1 ? depth : FAIRNESS_BATCH_MAX - 1;
}

uint64_t
fairness_ceiling(uint64_t open, unsigned workers)
{
	uint64_t mean, margin;

	if (workers == 0) {
		return UINT64_MAX;
	}
	mean = open / workers;
	margin = mean / MARGIN_FRACTION;
	return mean + (margin > MARGIN_MIN ? margin : MARGIN_MIN);
}

bool
fairness_is_deep(uint32_t depth, uint32_t limit)
{
	return limit > 0 && depth > limit / DEEP_FRACTION;
}
