/* What the judges share. */
#pragma once

#include <stdint.h>

#include "common/defs.h"
#include "monitor/health.h"

void health_add(struct health *health, enum health_level level, const char *format, ...)
	PRINTF_LIKE(3, 4);

/** How much a counter has grown; nothing when it fell. */
static inline uint64_t
health_grown(uint64_t before, uint64_t now)
{
	return now > before ? now - before : 0;
}

/** Upstreams and their servers. */
void health_judge_upstreams(
	const struct reading *before, const struct reading *now, struct health *health);
