/* Limits refuse in silence, client by client; an operator reads one line about all of them. */
#include "master/refusals.h"

#include <inttypes.h>
#include <stdbool.h>

#include "common/sources.h"
#include "common/text.h"

/* What cures it, told once for all reasons that it cures. */
enum advice { ADVICE_NONE, ADVICE_SOURCES, ADVICE_LIMIT, ADVICE_UPSTREAM, ADVICE_COUNT };

static const struct {
	enum close_reason reason;
	enum advice advice;
	const char *words; /* after the number */
} rows[REFUSAL_COUNT] = {
	[REFUSAL_SOURCE_LIMIT] = {CLOSE_source_limit, ADVICE_SOURCES,
		"at max_connections_per_source"},
	[REFUSAL_SOURCE_RATE] = {CLOSE_source_rate, ADVICE_SOURCES,
		"at connection_rate_per_source"},
	[REFUSAL_SOURCE_PENALTY] = {CLOSE_source_penalty, ADVICE_NONE,
		"because a worker crashed over their source (crash_penalty)"},
	[REFUSAL_LIMIT] = {CLOSE_refused_limit, ADVICE_LIMIT, "at max_connections"},
	[REFUSAL_QUEUE_TIMEOUT] = {CLOSE_queue_timeout, ADVICE_UPSTREAM, "after queue_timeout"},
	[REFUSAL_QUEUE_FULL] = {CLOSE_queue_full, ADVICE_UPSTREAM, "at queue_max"},
	[REFUSAL_NO_SERVER] = {CLOSE_no_server, ADVICE_UPSTREAM, "with every server down"},
	[REFUSAL_NO_ADDRESS] = {CLOSE_no_address, ADVICE_UPSTREAM,
		"without an address of a server"},
	[REFUSAL_CONNECT_REFUSED] = {CLOSE_connect_refused, ADVICE_UPSTREAM,
		"whose connect was refused"},
	[REFUSAL_CONNECT_TIMEOUT] = {CLOSE_connect_timeout, ADVICE_UPSTREAM,
		"whose connect got no answer"},
	[REFUSAL_CONNECT_FAILED] = {CLOSE_connect_failed, ADVICE_UPSTREAM, "whose connect failed"},
};

static const char *const advice_words[ADVICE_COUNT] = {
	[ADVICE_NONE] = "",
	[ADVICE_SOURCES] = "; raise the limit, or put the network in deny; acceptctl sources shows "
			   "more",
	[ADVICE_LIMIT] = "; raise max_connections, or let them wait: on_limit = \"wait\"",
	[ADVICE_UPSTREAM] = "; acceptctl upstreams shows the servers, raise max_connections of "
			    "those that bear more",
};

enum close_reason
refusal_close_reason(enum refusal refusal)
{
	return rows[refusal].reason;
}

/* A limit that a reload took away has no number any more. */
static void
add_limit(struct text *sentence, const struct refusals *refusals, enum refusal refusal)
{
	int64_t limit = refusal == REFUSAL_SOURCE_LIMIT  ? refusals->max_connections_per_source
			: refusal == REFUSAL_SOURCE_RATE ? refusals->connection_rate_per_source
							 : 0;

	if (limit > 0) {
		text_add(sentence, " (%" PRId64 ")", limit);
	}
}

static void
add_causes(struct text *sentence, const struct refusals *refusals)
{
	const char *separator = ": ";

	for (size_t i = 0; i < REFUSAL_COUNT; i++) {
		if (refusals->clients[i] > 0) {
			text_add(sentence, "%s%" PRIu64 " %s", separator, refusals->clients[i],
				rows[i].words);
			add_limit(sentence, refusals, (enum refusal)i);
			separator = ", ";
		}
	}
}

static void
add_advice(struct text *sentence, const struct refusals *refusals)
{
	bool is_told[ADVICE_COUNT] = {false};

	for (size_t i = 0; i < REFUSAL_COUNT; i++) {
		enum advice advice = rows[i].advice;

		if (refusals->clients[i] > 0 && !is_told[advice]) {
			text_add(sentence, "%s", advice_words[advice]);
			is_told[advice] = true;
		}
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
	uint64_t by_source =
		refusals->clients[REFUSAL_SOURCE_LIMIT] + refusals->clients[REFUSAL_SOURCE_RATE];
	uint64_t all = 0;

	for (size_t i = 0; i < REFUSAL_COUNT; i++) {
		all += refusals->clients[i];
	}
	text_add(sentence, "listener %s: %" PRIu64 " client%s refused in ", refusals->listener, all,
		all == 1 ? "" : "s");
	text_add_span_ms(sentence, refusals->duration_ms);
	add_causes(sentence, refusals);
	if (by_source > 0 && refusals->worst != NULL) {
		add_worst(sentence, refusals);
	}
	add_advice(sentence, refusals);
}
