#include "monitor/pace.h"

#define FIRST_MS        1000
#define CEILING_MS      30000
#define BARE_CEILING_MS 5000
#define DOUBLINGS_MAX   5 /* beyond every ceiling */

int64_t
pace_after_answer(uint32_t ttl_s, int64_t max_ttl_ms)
{
	int64_t ttl_ms = (int64_t)ttl_s * 1000;

	if (ttl_ms < PACE_TTL_MIN_MS) {
		return PACE_TTL_MIN_MS;
	}
	return ttl_ms < max_ttl_ms ? ttl_ms : max_ttl_ms;
}

int64_t
pace_after_failure(unsigned failures, bool has_address)
{
	unsigned doublings = failures - 1 < DOUBLINGS_MAX ? failures - 1 : DOUBLINGS_MAX;
	int64_t delay_ms = (int64_t)FIRST_MS << doublings;
	int64_t ceiling_ms = has_address ? CEILING_MS : BARE_CEILING_MS;

	return delay_ms < ceiling_ms ? delay_ms : ceiling_ms;
}
