/* The servers of the upstreams: a row each. */
#include <errno.h>
#include <inttypes.h>

#include "common/json.h"
#include "common/table.h"
#include "common/text.h"
#include "monitor/reading.h"
#include "monitor/render.h"

static const char *
state_name(const struct reading_server *server)
{
	if (!server->is_configured) {
		return "removed";
	}
	if (!server->is_up) {
		return "down";
	}
	return server->is_drained ? "drained" : "up";
}

static enum table_colour
state_colour(const struct reading_server *server)
{
	if (!server->is_configured) {
		return TABLE_DIM;
	}
	return !server->is_up ? TABLE_BAD : server->is_drained ? TABLE_WARN : TABLE_GOOD;
}

static void
json_server(struct json *json, const struct reading_server *server)
{
	json_object_begin(json, NULL);
	json_string(json, "upstream", server->upstream);
	json_string(json, "server", server->name);
	json_string(json, "address", server->address);
	json_string(json, "state", state_name(server));
	if (server->since_ms >= 0) {
		json_signed(json, "since_ms", server->since_ms);
	}
	if (!server->is_up) {
		json_string(json, "cause", board_cause_words(server->cause));
	}
	json_unsigned(json, "open", server->held);
	json_unsigned(json, "unproven", server->unproven);
	json_unsigned(json, "waiting", server->waiting);
	json_signed(json, "oldest_wait_ms", server->oldest_wait_ms);
	if (server->has_queue) {
		json_unsigned(json, "queue_depth", server->queue_depth);
		json_unsigned(json, "queue_limit", server->queue_limit);
		json_unsigned(json, "queue_dropped_segments", server->queue_dropped_segments);
	}
	json_unsigned(json, "weight", server->weight);
	json_unsigned(json, "max_connections", server->max_connections);
	json_unsigned(json, "backlog", server->backlog);
	for (size_t i = 0; i < STAT_SERVER_COUNT; i++) {
		json_unsigned(json, stat_row_of(STAT_SCOPE_SERVER, i)->name, server->stats[i]);
	}
	json_object_end(json);
}

/* A limit that may be none. */
static void
table_limit(struct table *table, uint64_t limit)
{
	if (limit == 0) {
		table_cell(table, "none");
	} else {
		table_cell(table, "%" PRIu64, limit);
	}
}

/* "down 35 s: no answer" */
static void
table_state(struct table *table, const struct reading_server *server)
{
	char span_buffer[64];
	struct text span;

	text_init(&span, span_buffer, sizeof(span_buffer));
	if (server->since_ms >= 0 && server->is_configured) {
		text_add(&span, " ");
		text_add_span_ms(&span, server->since_ms);
	}
	table_cell_coloured(table, state_colour(server), "%s%s%s%s", state_name(server),
		span_buffer, server->is_up ? "" : ": ",
		server->is_up ? "" : board_cause_words(server->cause));
}

static void
table_waiting(struct table *table, const struct reading_server *server)
{
	char span_buffer[64] = "-";
	struct text span;

	table_cell(table, "%" PRIu64, server->waiting);
	if (server->waiting > 0) {
		text_init(&span, span_buffer, sizeof(span_buffer));
		text_add_span_ms(&span, server->oldest_wait_ms);
	}
	table_cell(table, "%s", span_buffer);
}

/* Depth and limit; the kernel's queue takes one more than its limit. */
static void
table_queue(struct table *table, const struct reading_server *server)
{
	enum table_colour colour = server->queue_depth > server->queue_limit ? TABLE_BAD
				   : server->backlog > server->queue_limit   ? TABLE_WARN
									     : TABLE_PLAIN;

	if (server->has_queue) {
		table_cell_coloured(table, colour, "%" PRIu64 " of %" PRIu64, server->queue_depth,
			server->queue_limit);
	} else {
		table_cell(table, "-");
	}
}

static void
table_server(struct table *table, const struct reading_server *server)
{
	const uint64_t *stats = server->stats;
	uint64_t failed = stats[STAT_SERVER_connect_refused] + stats[STAT_SERVER_connect_timeouts] +
			  stats[STAT_SERVER_connect_failures] + stats[STAT_SERVER_no_port];

	table_cell(table, "%s/%s", server->upstream, server->name);
	table_state(table, server);
	table_cell(table, "%" PRIu64, server->weight);
	table_cell(table, "%" PRIu64, server->held);
	table_limit(table, server->max_connections);
	table_cell(table, "%" PRIu64, server->unproven);
	table_limit(table, server->backlog);
	table_queue(table, server);
	table_waiting(table, server);
	table_cell(table, "%" PRIu64, stats[STAT_SERVER_sessions]);
	table_cell_coloured(table, failed > 0 ? TABLE_WARN : TABLE_PLAIN, "%" PRIu64, failed);
	table_cell_coloured(table, stats[STAT_SERVER_syn_retries] > 0 ? TABLE_WARN : TABLE_PLAIN,
		"%" PRIu64, stats[STAT_SERVER_syn_retries]);
}

static int
table_upstreams(const struct render *render, FILE *stream)
{
	static const struct table_column columns[] = {
		{"server", TABLE_LEFT},
		{"state", TABLE_LEFT},
		{"weight", TABLE_RIGHT},
		{"open", TABLE_RIGHT},
		{"limit", TABLE_RIGHT},
		{"unproven", TABLE_RIGHT},
		{"backlog", TABLE_RIGHT},
		{"accept queue", TABLE_RIGHT},
		{"waiting", TABLE_RIGHT},
		{"oldest wait", TABLE_RIGHT},
		{"sessions", TABLE_RIGHT},
		{"failed connects", TABLE_RIGHT},
		{"SYN retries", TABLE_RIGHT},
	};
	struct table *table = table_new(columns, ARRAY_LEN(columns));
	int error;

	if (table == NULL) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < render->now->server_count; i++) {
		table_server(table, &render->now->servers[i]);
	}
	error = table_print(table, stream, render->with_colour);
	table_free(&table);
	return error;
}

int
render_upstreams(const struct render *render, FILE *stream)
{
	struct json json;

	if (render->form != RENDER_JSON) {
		return table_upstreams(render, stream);
	}
	json_init(&json, stream);
	json_array_begin(&json, NULL);
	for (size_t i = 0; i < render->now->server_count; i++) {
		json_server(&json, &render->now->servers[i]);
	}
	json_array_end(&json);
	return 0;
}
