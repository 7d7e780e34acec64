/* A server gets one finding, the worst; an upstream one more when it is of consequence to all its
 * clients. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/board_wait.h"
#include "common/text.h"
#include "monitor/health_private.h"
#include "monitor/reading.h"

static bool
is_serving(const struct reading_server *server)
{
	return server->is_configured && reading_is_open(server) && server->is_up &&
	       !server->is_drained && server->weight > 0;
}

/* @return whether it is the first row of its upstream, which then is judged with it */
static bool
is_first_of_upstream(const struct reading *now, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (now->servers[i].is_configured &&
			strcmp(now->servers[i].upstream, now->servers[index].upstream) == 0) {
			return false;
		}
	}
	return true;
}

/* Why clients wait although servers are up: the one whose reason says most. */
static void
judge_waits(const struct reading *now, const struct reading_server *first, struct health *health)
{
	char name[BOARD_NAME_MAX + BOARD_SERVER_MAX], buffer[256];
	struct board_load most = {0};
	struct text text;

	for (size_t i = 0; i < now->server_count; i++) {
		const struct reading_server *server = &now->servers[i];
		struct board_load load = {.is_serving = is_serving(server),
			.held = server->held,
			.max_connections = server->max_connections,
			.queued = board_wait_queued(server->unproven, server->settled,
				server->has_queue ? server->queue_depth : 0),
			.backlog = server->backlog};

		if (strcmp(server->upstream, first->upstream) == 0 && load.is_serving &&
			(!most.is_serving || board_wait_reason(&load) > board_wait_reason(&most))) {
			most = load;
			(void)snprintf(name, sizeof(name), "%s/%s", server->upstream, server->name);
		}
	}
	text_init(&text, buffer, sizeof(buffer));
	text_add_span_ms(&text, first->oldest_wait_ms);
	text_add(&text, ": ");
	board_wait_write(name, &most, &text);
	health_add(health, HEALTH_WARNING,
		"upstream %s: clients that wait for a place: %" PRIu64 ", the first for %s",
		first->upstream, first->waiting, buffer);
}

/* No server left is an outage for its clients. */
static void
judge_upstream(const struct reading *now, const struct reading_server *first, struct health *health)
{
	char span_buffer[64];
	struct text span;

	for (size_t i = 0; i < now->server_count; i++) {
		if (strcmp(now->servers[i].upstream, first->upstream) == 0 &&
			is_serving(&now->servers[i])) {
			if (first->oldest_wait_ms >= BOARD_WAIT_LONG_MS) {
				judge_waits(now, first, health);
			}
			return;
		}
	}
	text_init(&span, span_buffer, sizeof(span_buffer));
	text_add_span_ms(&span, first->oldest_wait_ms);
	health_add(health, HEALTH_BAD,
		"upstream %s: no server takes clients, every one is down, drained or without an "
		"address; %" PRIu64
		" wait, the first for %s; see acceptctl upstreams for the reasons",
		first->upstream, first->waiting, span_buffer);
}

static void
judge_lookup(const struct reading_server *first, struct health *health)
{
	char span_buffer[64];
	struct text span;

	if (first->place == 1 && first->lookup.state == BOARD_LOOKUP_FAILING) {
		text_init(&span, span_buffer, sizeof(span_buffer));
		text_add_span_ms(&span, first->lookup.failing_ms);
		health_add(health, HEALTH_WARNING,
			"upstream %s: %s cannot be looked up for %s, %s; the log says which DNS "
			"servers were asked",
			first->upstream, first->asked, span_buffer,
			first->lookup.age_ms < 0 ? "it has no address yet and gets no clients"
						 : "the last answer holds");
	}
}

/* The accept queue of a back end overflows. */
static void
judge_overrun(const struct reading_server *server, uint64_t retries, struct health *health)
{
	char buffer[320];
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	if (server->has_queue) {
		text_add(&text, " (%" PRIu64 " of %" PRIu64 " now)", server->queue_depth,
			server->queue_limit);
	}
	if (retries > 0) {
		text_add(&text, ", SYNs sent again in the last minute: %" PRIu64, retries);
	}
	if (server->backlog == 0) {
		text_add(&text, "; declare its length as backlog, and connects are paced to it");
	} else if (server->has_queue && server->backlog > server->queue_limit) {
		text_add(&text, "; declare backlog = %" PRIu64 " and not %" PRIu64,
			server->queue_limit, server->backlog);
	} else {
		text_add(&text,
			"; connects are paced to backlog = %" PRIu64
			", so others connect to it too: raise the queue there, or declare less",
			server->backlog);
	}
	health_add(health, HEALTH_WARNING, "back end %s/%s: its accept queue overflows%s",
		server->upstream, server->name, buffer);
}

static void
judge_server(const struct reading_server *before, const struct reading_server *now,
	struct health *health)
{
	uint64_t retries = health_grown(before == NULL ? 0 : before->stats[STAT_SERVER_syn_retries],
		now->stats[STAT_SERVER_syn_retries]);
	uint64_t no_port = health_grown(before == NULL ? 0 : before->stats[STAT_SERVER_no_port],
		now->stats[STAT_SERVER_no_port]);
	char span_buffer[64];
	struct text span;

	if (!reading_is_open(now)) {
		return;
	}
	if (!now->is_up) {
		text_init(&span, span_buffer, sizeof(span_buffer));
		text_add_span_ms(&span, now->since_ms);
		health_add(health, HEALTH_WARNING, "back end %s/%s is down for %s: %s",
			now->upstream, now->name, span_buffer, board_cause_words(now->cause));
	} else if (no_port > 0) {
		health_add(health, HEALTH_WARNING,
			"back end %s/%s: connects without a local port in the last minute: %" PRIu64
			"; add own addresses to sources of its upstream, widen "
			"net.ipv4.ip_local_port_range, or set its max_connections",
			now->upstream, now->name, no_port);
	} else if (retries > 0 || (now->has_queue && now->queue_depth > now->queue_limit)) {
		judge_overrun(now, retries, health);
	} else if (now->has_queue && now->backlog > now->queue_limit) {
		health_add(health, HEALTH_WARNING,
			"back end %s/%s: backlog = %" PRIu64
			" is declared, but its accept queue holds %" PRIu64
			": pacing cannot protect it; declare that, or raise it there",
			now->upstream, now->name, now->backlog, now->queue_limit);
	}
}

void
health_judge_upstreams(
	const struct reading *before, const struct reading *now, struct health *health)
{
	for (size_t i = 0; i < now->server_count; i++) {
		const struct reading_server *server = &now->servers[i];

		if (server->is_configured) {
			if (is_first_of_upstream(now, i)) {
				judge_upstream(now, server, health);
			}
			judge_lookup(server, health);
			judge_server(reading_find_server(before, server->upstream, server->name),
				server, health);
		}
	}
}
