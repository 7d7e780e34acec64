/* A hundred thousand rows are 16 MB while they are shown, and nothing afterwards. */
#include "monitor/connections.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/address.h"
#include "common/board.h"
#include "common/json.h"
#include "common/sock_diag.h"
#include "common/table.h"
#include "common/text.h"
#include "monitor/render.h"

#define ROWS_PER_READ 128

struct connections *
connections_new(const struct board *board)
{
	struct connections *connections = calloc(1, sizeof(*connections));

	if (connections != NULL) {
		connections->board = board;
		connections->slot = -1;
	}
	return connections;
}

void
connections_free(struct connections **connections)
{
	if (*connections != NULL) {
		free((*connections)->rows);
		free(*connections);
		*connections = NULL;
	}
}

static const char *
listener_name(const struct connections *connections, const struct channel_connection *facts)
{
	int index = facts->board_listener;

	return index < 0 || index >= BOARD_LISTENERS
		       ? "unknown"
		       : connections->board->master->listeners[index].name;
}

static bool
is_wanted(const struct connections *connections, int slot, const struct channel_connection *facts)
{
	return (connections->listener == NULL ||
		       strcmp(listener_name(connections, facts), connections->listener) == 0) &&
	       facts->age_ms >= (uint64_t)connections->older_ms &&
	       (connections->state == 0 || facts->state == connections->state) &&
	       (connections->slot < 0 ||
		       (connections->slot == slot && connections->serial == facts->serial));
}

/* @return false when there is no room for one more */
static bool
make_room(struct connections *connections)
{
	size_t room = connections->room == 0 ? ROWS_PER_READ : connections->room * 2;
	struct connection_row *rows;

	if (connections->count < connections->room) {
		return true;
	}
	if (connections->count >= CONNECTIONS_MAX) {
		return false;
	}
	rows = realloc(connections->rows, room * sizeof(*rows));
	if (rows == NULL) {
		return false;
	}
	connections->rows = rows;
	connections->room = room;
	return true;
}

void
connections_take_row(
	struct connections *connections, int slot, const struct channel_connection *facts)
{
	if (!is_wanted(connections, slot, facts)) {
		return;
	}
	if (!make_room(connections)) {
		connections->left_out++;
		return;
	}
	connections->rows[connections->count].slot = slot;
	connections->rows[connections->count++].facts = *facts;
}

void
connections_take(struct connections *connections, int slot, uint64_t count, int memory)
{
	struct channel_connection rows[ROWS_PER_READ];
	uint64_t at = 0;

	while (at < count) {
		uint64_t wanted = count - at < ROWS_PER_READ ? count - at : ROWS_PER_READ;
		ssize_t len = pread(memory, rows, (size_t)wanted * sizeof(rows[0]),
			(off_t)(at * sizeof(rows[0])));
		size_t got = len <= 0 ? 0 : (size_t)len / sizeof(rows[0]);

		for (size_t i = 0; i < got; i++) {
			connections_take_row(connections, slot, &rows[i]);
		}
		at += got;
		if (got == 0) {
			return; /* it says more than there is */
		}
	}
}

static int
compare_age(const void *a, const void *b)
{
	const struct connection_row *left = a, *right = b;

	if (left->facts.age_ms != right->facts.age_ms) {
		return left->facts.age_ms < right->facts.age_ms ? 1 : -1;
	}
	if (left->slot != right->slot) {
		return left->slot < right->slot ? -1 : 1;
	}
	return left->facts.serial < right->facts.serial   ? -1
	       : left->facts.serial > right->facts.serial ? 1
							  : 0;
}

void
connections_sort(struct connections *connections)
{
	if (connections->count > 1) {
		qsort(connections->rows, connections->count, sizeof(connections->rows[0]),
			compare_age);
	}
}

/* --- shown --- */

static const char *
phase_name(unsigned phase)
{
	static const char *const names[] = {
		[PHASE_PRELUDE] = "prelude",
		[PHASE_FRESH] = "fresh",
		[PHASE_OPEN] = "open",
		[PHASE_ENDED] = "ended",
		[PHASE_FLUSHING] = "flushing",
		[PHASE_LINGERING] = "lingering",
	};

	return phase < ARRAY_LEN(names) ? names[phase] : "unknown";
}

static const char *
state_name(unsigned state)
{
	return state == 0 ? "-" : sock_diag_state_name((enum sock_diag_state)state);
}

/* Whether somebody else has connected for the client. */
static bool
has_sender(const struct channel_connection *facts)
{
	return facts->via.any.sa_family != AF_UNSPEC;
}

static void
json_connection(
	struct json *json, const struct connections *connections, const struct connection_row *row)
{
	const struct channel_connection *facts = &row->facts;
	char id[32], peer[ADDRESS_TEXT_MAX], via[ADDRESS_TEXT_MAX];

	(void)snprintf(id, sizeof(id), "%d-%" PRIu32, row->slot, facts->serial);
	json_object_begin(json, NULL);
	json_string(json, "id", id);
	json_signed(json, "worker", row->slot);
	json_string(json, "listener", listener_name(connections, facts));
	json_string(json, "peer", peer_format(&facts->peer, peer));
	json_string(json, "via", has_sender(facts) ? peer_format(&facts->via, via) : NULL);
	json_string(json, "state", state_name(facts->state));
	json_string(json, "phase", phase_name(facts->phase));
	json_unsigned(json, "age_ms", facts->age_ms);
	json_unsigned(json, "idle_ms", facts->idle_ms);
	json_unsigned(json, "received_bytes", facts->received_bytes);
	json_unsigned(json, "sent_bytes", facts->sent_bytes);
	json_unsigned(json, "pending_bytes", facts->pending_bytes);
	json_unsigned(json, "unsent_bytes", facts->unsent_bytes);
	json_object_end(json);
}

static const char *
span(uint64_t ms, char buffer[32])
{
	struct text text;

	text_init(&text, buffer, 32);
	text_add_span_ms(&text, ms < INT64_MAX / 2 ? (int64_t)ms : INT64_MAX / 2);
	return buffer;
}

static void
table_connection(struct table *table, const struct connections *connections,
	const struct connection_row *row)
{
	const struct channel_connection *facts = &row->facts;
	char peer[ADDRESS_TEXT_MAX], age[32], idle[32];

	table_cell(table, "%d-%" PRIu32, row->slot, facts->serial);
	table_cell(table, "%s", listener_name(connections, facts));
	table_cell(table, "%s", peer_format(&facts->peer, peer));
	table_cell(table, "%s", state_name(facts->state));
	table_cell(table, "%s", phase_name(facts->phase));
	table_cell(table, "%s", span(facts->age_ms, age));
	table_cell(table, "%s", span(facts->idle_ms, idle));
	table_cell(table, "%" PRIu64, facts->received_bytes);
	table_cell(table, "%" PRIu64, facts->sent_bytes);
	table_cell(table, "%" PRIu64, facts->pending_bytes);
	table_cell(table, "%" PRIu64, facts->unsent_bytes);
}

static void
table_via(struct table *table, const struct channel_connection *facts)
{
	char via[ADDRESS_TEXT_MAX];

	table_cell(table, "%s", has_sender(facts) ? peer_format(&facts->via, via) : "-");
}

static bool
any_has_sender(const struct connections *connections)
{
	for (size_t i = 0; i < connections->count; i++) {
		if (has_sender(&connections->rows[i].facts)) {
			return true;
		}
	}
	return false;
}

/* The last column is for load balancers, where there are any. */
static int
print_table(const struct connections *connections, const struct render *render, FILE *stream)
{
	static const struct table_column columns[] = {
		{"id", TABLE_RIGHT},
		{"listener", TABLE_LEFT},
		{"peer", TABLE_LEFT},
		{"state", TABLE_LEFT},
		{"phase", TABLE_LEFT},
		{"age", TABLE_RIGHT},
		{"idle", TABLE_RIGHT},
		{"received", TABLE_RIGHT},
		{"sent", TABLE_RIGHT},
		{"pending", TABLE_RIGHT},
		{"unsent", TABLE_RIGHT},
		{"via", TABLE_LEFT},
	};
	bool with_via = any_has_sender(connections);
	struct table *table = table_new(columns, ARRAY_LEN(columns) - (with_via ? 0 : 1));
	int error;

	if (table == NULL) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < connections->count; i++) {
		table_connection(table, connections, &connections->rows[i]);
		if (with_via) {
			table_via(table, &connections->rows[i].facts);
		}
	}
	error = table_print(table, stream, render->with_colour);
	table_free(&table);
	return error;
}

int
connections_render(const struct connections *connections, const struct render *render,
	const char *note, FILE *stream)
{
	struct json json;
	int error;

	if (render->form == RENDER_TEXT) {
		error = print_table(connections, render, stream);
		if (connections->left_out > 0) {
			fprintf(stream, "and %" PRIu64 " more\n", connections->left_out);
		}
		if (note[0] != '\0') {
			fprintf(stream, "%s\n", note);
		}
		return error;
	}
	json_init(&json, stream);
	json_object_begin(&json, NULL);
	json_array_begin(&json, "connections");
	for (size_t i = 0; i < connections->count; i++) {
		json_connection(&json, connections, &connections->rows[i]);
	}
	json_array_end(&json);
	json_unsigned(&json, "left_out", connections->left_out);
	json_string(&json, "note", note[0] != '\0' ? note : NULL);
	json_object_end(&json);
	return 0;
}
