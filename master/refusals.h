/* Who was refused, at which limit or for want of a back end, and what to do: evidence in, one
 * sentence out. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/board.h"

struct source;
struct text;

/* Told in two lines at most, each of which fits into an event whatever moves. */
enum refusal {
	REFUSAL_SOURCE_LIMIT, /* from here on: for what the client's source did */
	REFUSAL_SOURCE_RATE,
	REFUSAL_SOURCE_PENALTY,
	REFUSAL_LIMIT, /* from here on: for want of a place */
	REFUSAL_QUEUE_TIMEOUT,
	REFUSAL_QUEUE_FULL,
	REFUSAL_NO_SERVER,
	REFUSAL_NO_ADDRESS,
	REFUSAL_CONNECT_REFUSED,
	REFUSAL_CONNECT_TIMEOUT,
	REFUSAL_CONNECT_FAILED,
	REFUSAL_COUNT
};

struct refusals {
	const char *listener;
	int64_t duration_ms;
	uint64_t clients[REFUSAL_COUNT];
	int64_t max_connections_per_source; /* as configured */
	int64_t connection_rate_per_source;
	const struct source
		*worst;         /* whose clients were refused most lately; NULL: none is known */
	uint64_t worst_refused; /* in the last ten seconds */
	uint64_t worst_open;    /* its connections */
};

/** For what a connection ends that was refused so. */
enum close_reason refusal_close_reason(enum refusal refusal);
/** Append "listener web: 312 clients refused in 10 s ...". */
void refusals_write(const struct refusals *refusals, struct text *sentence);
