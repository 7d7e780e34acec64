/* Is the server well, and if not, what to do: the sentences at the top of `acceptctl status`, on
 * the page and behind /healthz. Pure: judged from two readings. */
#pragma once

#include <stddef.h>

#include "common/defs.h"

struct reading;

enum health_level { HEALTH_GOOD, HEALTH_WARNING, HEALTH_BAD };

struct health_finding {
	enum health_level level;
	char text[320]; /* what, why, what to do */
};

#define HEALTH_FINDINGS_MAX 16

struct health {
	enum health_level level; /* the worst of all */
	struct health_finding findings[HEALTH_FINDINGS_MAX];
	size_t count;
};

/** @param before  an earlier reading of the same board, some seconds to a minute old */
void health_judge(const struct reading *before, const struct reading *now, struct health *health);
const char *health_level_name(enum health_level level);
