/* The servers of the upstreams: a row each. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

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
	if (!reading_is_open(server) && server->place_state == BOARD_PLACE_EMPTY) {
		return "unresolved";
	}
	if (!reading_is_open(server)) {
		return server->held > 0 ? "leaving" : "left";
	}
	if (!server->is_up) {
		return "down";
	}
	return server->is_drained ? "drained" : "up";
}

static enum table_colour
state_colour(const struct reading_server *server)
{
	if (!server->is_configured ||
		(!reading_is_open(server) && server->place_state == BOARD_PLACE_LEAVING)) {
		return TABLE_DIM;
	}
	if (!reading_is_open(server) && server->place_state == BOARD_PLACE_EMPTY) {
		return TABLE_BAD;
	}
	return !server->is_up ? TABLE_BAD : server->is_drained ? TABLE_WARN : TABLE_GOOD;
}

static const char *
lookup_name(uint32_t state)
{
	static const char *const names[] = {[BOARD_LOOKUP_NEW] = "new",
		[BOARD_LOOKUP_ANSWERED] = "answered",
		[BOARD_LOOKUP_FAILING] = "failing"};

	return state < ARRAY_LEN(names) ? names[state] : "unknown";
}

static void
json_lookup(struct json *json, const struct reading_server *server)
{
	const struct reading_lookup *lookup = &server->lookup;

	if (server->place == 0) {
		return;
	}
	json_string(json, "asked", server->asked);
	json_unsigned(json, "place", server->place);
	json_string(json, "lookup", lookup_name(lookup->state));
	json_bool(json, "lookup_is_partial", lookup->is_partial);
	json_signed(json, "answer_age_ms", lookup->age_ms);
	json_signed(json, "asked_again_ms", lookup->next_ms);
	json_signed(json, "lookup_failing_ms", lookup->failing_ms);
	json_unsigned(json, "addresses_found", lookup->found);
	json_unsigned(json, "addresses_used", lookup->taken);
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
	json_unsigned(json, "settled", server->settled);
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
	json_lookup(json, server);
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
	table_cell(table, "%s", strcmp(server->name, server->address) == 0 ? "" : server->address);
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
		{"address", TABLE_LEFT},
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

/* "1.2 s", "12 min 5 s", or a dash. */
static void
table_span(struct table *table, enum table_colour colour, bool is_known, int64_t span_ms)
{
	char span[64] = "-";
	struct text text;

	if (is_known) {
		text_init(&text, span, sizeof(span));
		text_add_span_ms(&text, span_ms > 0 ? span_ms : 0);
	}
	table_cell_coloured(table, colour, "%s", span);
}

static void
table_name(struct table *table, const struct reading_server *first)
{
	const struct reading_lookup *lookup = &first->lookup;
	enum table_colour colour = lookup->state == BOARD_LOOKUP_FAILING ? TABLE_BAD
				   : lookup->is_partial || lookup->taken < lookup->found
					   ? TABLE_WARN
					   : TABLE_PLAIN;

	table_cell(table, "%s/%s", first->upstream, first->asked);
	table_cell_coloured(table, colour, "%s%s", lookup_name(lookup->state),
		lookup->is_partial ? " in part" : "");
	table_cell_coloured(table, colour, "%" PRIu64 " of %" PRIu64, lookup->taken, lookup->found);
	table_span(table, TABLE_PLAIN, lookup->age_ms >= 0, lookup->age_ms);
	table_span(table, TABLE_PLAIN, lookup->state != BOARD_LOOKUP_NEW, lookup->next_ms);
	table_span(table, colour, lookup->failing_ms >= 0, lookup->failing_ms);
}

/* What DNS was asked for; nothing when there is no name. */
static int
table_names(const struct render *render, FILE *stream)
{
	static const struct table_column columns[] = {
		{"name", TABLE_LEFT},
		{"lookup", TABLE_LEFT},
		{"addresses used", TABLE_RIGHT},
		{"answer's age", TABLE_RIGHT},
		{"asked again in", TABLE_RIGHT},
		{"failing for", TABLE_RIGHT},
	};
	struct table *table = table_new(columns, ARRAY_LEN(columns));
	int error = 0;
	bool is_empty = true;

	if (table == NULL) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < render->now->server_count; i++) {
		const struct reading_server *server = &render->now->servers[i];

		if (server->place == 1 && server->is_configured) {
			table_name(table, server);
			is_empty = false;
		}
	}
	if (!is_empty) {
		(void)fputc('\n', stream);
		error = table_print(table, stream, render->with_colour);
	}
	table_free(&table);
	return error;
}

int
render_upstreams(const struct render *render, FILE *stream)
{
	struct json json;

	if (render->form != RENDER_JSON) {
		int error = table_upstreams(render, stream);

		return error == 0 ? table_names(render, stream) : error;
	}
	json_init(&json, stream);
	json_array_begin(&json, NULL);
	for (size_t i = 0; i < render->now->server_count; i++) {
		json_server(&json, &render->now->servers[i]);
	}
	json_array_end(&json);
	return 0;
}
