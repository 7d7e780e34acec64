/* Who was refused at the limits by source, and what to do: evidence in, one sentence out. Pure. */
#pragma once

#include <stdint.h>

struct source;
struct text;

struct refusals {
	const char *listener;
	int64_t duration_ms;
	uint64_t limit, rate, penalty; /* clients refused, by what refused them */
	int64_t max_connections;       /* of one source, as configured */
	int64_t per_second;
	const struct source
		*worst;         /* whose clients were refused most lately; NULL: none is known */
	uint64_t worst_refused; /* in the last ten seconds */
	uint64_t worst_open;    /* its connections */
};

/** Append "listener web: 312 clients refused in 10 s ...". */
void refusals_write(const struct refusals *refusals, struct text *sentence);
