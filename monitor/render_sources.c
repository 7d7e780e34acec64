/* The fullest sources: a row each. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/config.h"
#include "common/json.h"
#include "common/table.h"
#include "common/text.h"
#include "monitor/fullest.h"
#include "monitor/reading.h"
#include "monitor/render.h"

/* One listener's limits, as configured now. */
struct limits {
	const char *listener;
	int64_t connections, per_second; /* 0: none */
};

static void
json_row(struct json *json, const struct limits *limits, const struct fullest_row *row)
{
	char source[SOURCE_TEXT_MAX];

	json_object_begin(json, NULL);
	json_string(json, "listener", limits->listener);
	json_string(json, "source", source_format(&row->source, source));
	json_unsigned(json, "open", row->open);
	json_unsigned(json, "max_connections_per_source", (uint64_t)limits->connections);
	json_unsigned(json, "per_second", row->rate);
	json_unsigned(json, "connection_rate_per_source", (uint64_t)limits->per_second);
	json_unsigned(json, "refused_in_10_s", row->refused);
	json_unsigned(json, "penalty_ms", (uint64_t)row->penalty_ms);
	json_object_end(json);
}

static void
table_count(struct table *table, uint64_t count, int64_t limit)
{
	bool is_full = limit > 0 && count >= (uint64_t)limit;

	table_cell_coloured(table, is_full ? TABLE_WARN : TABLE_PLAIN, "%" PRIu64, count);
	if (limit > 0) {
		table_cell(table, "%" PRId64, limit);
	} else {
		table_cell(table, "none");
	}
}

static void
table_row(struct table *table, const struct limits *limits, const struct fullest_row *row)
{
	char source[SOURCE_TEXT_MAX], left[32] = "";
	struct text text;

	text_init(&text, left, sizeof(left));
	if (row->penalty_ms > 0) {
		text_add_span_ms(&text, row->penalty_ms);
	}
	table_cell(table, "%s", limits->listener);
	table_cell(table, "%s", source_format(&row->source, source));
	table_count(table, row->open, limits->connections);
	table_count(table, row->rate, limits->per_second);
	table_cell_coloured(
		table, row->refused > 0 ? TABLE_WARN : TABLE_PLAIN, "%" PRIu64, row->refused);
	table_cell_coloured(table, TABLE_BAD, "%s", left);
}

/* Every row of the listeners that were asked for, into the table or the JSON that is not NULL. */
static void
add_rows(const struct render *render, const struct fullest *fullest, const struct config *config,
	const char *name, struct table *table, struct json *json)
{
	for (size_t i = 0; i < render->now->listener_count; i++) {
		const struct reading_listener *listener = &render->now->listeners[i];
		const struct listener_config *one = config_listener(config, listener->name);
		const struct fullest_listener *found = &fullest->listeners[listener->index];
		struct limits limits = {.listener = listener->name};

		if (one != NULL) {
			limits.connections = one->max_connections_per_source;
			limits.per_second = one->connection_rate_per_source;
		}
		for (size_t row = 0; row < found->count; row++) {
			if (name != NULL && strcmp(name, listener->name) != 0) {
				continue;
			}
			if (table != NULL) {
				table_row(table, &limits, &found->rows[row]);
			} else {
				json_row(json, &limits, &found->rows[row]);
			}
		}
	}
}

int
render_sources(const struct render *render, const struct fullest *fullest,
	const struct config *config, const char *name, FILE *stream)
{
	static const struct table_column columns[] = {
		{"listener", TABLE_LEFT},
		{"source", TABLE_LEFT},
		{"open", TABLE_RIGHT},
		{"limit", TABLE_RIGHT},
		{"in the last second", TABLE_RIGHT},
		{"limit", TABLE_RIGHT},
		{"refused in 10 s", TABLE_RIGHT},
		{"penalised for", TABLE_LEFT},
	};
	struct table *table;
	struct json json;
	int error;

	if (render->form == RENDER_JSON) {
		json_init(&json, stream);
		json_array_begin(&json, NULL);
		add_rows(render, fullest, config, name, NULL, &json);
		json_array_end(&json);
		return 0;
	}
	table = table_new(columns, ARRAY_LEN(columns));
	if (table == NULL) {
		return -ENOMEM;
	}
	add_rows(render, fullest, config, name, table, NULL);
	error = table_print(table, stream, render->with_colour);
	table_free(&table);
	return error;
}
