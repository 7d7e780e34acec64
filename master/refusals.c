/* Limits refuse in silence, client by client; an operator reads one line about all of them. */
#include "master/refusals.h"

#include <inttypes.h>
#include <stddef.h>

#include "common/sources.h"
#include "common/text.h"

static void
add_cause(struct text *sentence, const char **separator, uint64_t count, const char *what)
{
	if (count > 0) {
		text_add(sentence, "%s%" PRIu64 " %s", *separator, count, what);
		*separator = ", ";
	}
}

/* A limit that a reload took away has no number any more. */
static void
add_limit(struct text *sentence, uint64_t count, int64_t limit)
{
	if (count > 0 && limit > 0) {
		text_add(sentence, " (%" PRId64 ")", limit);
	}
}

static void
add_worst(struct text *sentence, const struct refusals *refusals)
{
	char text[SOURCE_TEXT_MAX];

	text_add(sentence,
		"; most often %s: %" PRIu64 " in the last 10 s, it has %" PRIu64 " connection%s",
		source_format(refusals->worst, text), refusals->worst_refused, refusals->worst_open,
		refusals->worst_open == 1 ? "" : "s");
}

void
refusals_write(const struct refusals *refusals, struct text *sentence)
{
	uint64_t by_limits = refusals->limit + refusals->rate;
	uint64_t all = by_limits + refusals->penalty;
	const char *separator = ": ";

	text_add(sentence, "listener %s: %" PRIu64 " client%s refused in ", refusals->listener, all,
		all == 1 ? "" : "s");
	text_add_span_ms(sentence, refusals->duration_ms);
	add_cause(sentence, &separator, refusals->limit, "at max_connections_per_source");
	add_limit(sentence, refusals->limit, refusals->max_connections);
	add_cause(sentence, &separator, refusals->rate, "at connection_rate_per_source");
	add_limit(sentence, refusals->rate, refusals->per_second);
	add_cause(sentence, &separator, refusals->penalty,
		"because a worker crashed over their source (crash_penalty)");
	if (by_limits > 0 && refusals->worst != NULL) {
		add_worst(sentence, refusals);
	}
	if (by_limits > 0) {
		text_add(sentence,
			"; raise the limit, or put the network in deny; acceptctl sources shows "
			"more");
	}
}
