/* One dump for each port that listeners have, whatever the number of addresses with it. A socket
 * belongs to the listener whose address it has as its own; the configuration allows no two that
 * overlap. */
#include "monitor/states.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/fault.h"
#include "common/json.h"
#include "common/table.h"
#include "common/text.h"
#include "monitor/render.h"

static bool
is_same_ip4(const struct address *address, const union peer *local)
{
	in_addr_t wanted = address->in4.sin_addr.s_addr;
	in_addr_t found;

	if (local->any.sa_family == AF_INET) {
		found = local->in4.sin_addr.s_addr;
	} else if (local->any.sa_family == AF_INET6 &&
		   IN6_IS_ADDR_V4MAPPED(&local->in6.sin6_addr)) {
		memcpy(&found, &local->in6.sin6_addr.s6_addr[12], sizeof(found));
	} else {
		return false;
	}
	return wanted == htonl(INADDR_ANY) || wanted == found;
}

static bool
is_same_ip6(const struct address *address, const union peer *local)
{
	if (IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr)) {
		return address->is_dual || local->any.sa_family == AF_INET6;
	}
	return local->any.sa_family == AF_INET6 &&
	       memcmp(&address->in6.sin6_addr, &local->in6.sin6_addr,
		       sizeof(local->in6.sin6_addr)) == 0;
}

static bool
is_of_address(const struct address *address, const union peer *local)
{
	unsigned port = local->any.sa_family == AF_INET ? ntohs(local->in4.sin_port)
							: ntohs(local->in6.sin6_port);

	if (address_port(address) != port || port == 0) {
		return false;
	}
	return address->any.sa_family == AF_INET    ? is_same_ip4(address, local)
	       : address->any.sa_family == AF_INET6 ? is_same_ip6(address, local)
						    : false;
}

void
states_count(struct states_row *row, const struct listener_config *listener,
	const struct sock_diag_socket *socket)
{
	for (size_t i = 0; i < listener->addresses.count; i++) {
		if (!is_of_address(&listener->addresses.items[i], &socket->local)) {
			continue;
		}
		row->counts[socket->state]++;
		if (socket->state == SOCK_DIAG_CLOSE_WAIT &&
			socket->quiet_ms > row->oldest_close_wait_ms) {
			row->oldest_close_wait_ms = socket->quiet_ms;
		}
		return;
	}
}

struct counting {
	const struct config *config;
	struct states *states;
};

static int
count_for_all(const struct sock_diag_socket *socket, void *context)
{
	struct counting *counting = context;

	for (size_t i = 0; i < counting->states->count; i++) {
		states_count(&counting->states->rows[i], &counting->config->listeners[i], socket);
	}
	return 0;
}

/* @return whether an address before this one has the same port */
static bool
is_port_done(const struct config *config, size_t listener, size_t address, unsigned port)
{
	for (size_t i = 0; i <= listener; i++) {
		const struct address_list *list = &config->listeners[i].addresses;
		size_t end = i == listener ? address : list->count;

		for (size_t k = 0; k < end; k++) {
			if (address_port(&list->items[k]) == port) {
				return true;
			}
		}
	}
	return false;
}

static int
dump_ports(struct counting *counting, struct fault *why)
{
	const struct config *config = counting->config;
	int status = 0;

	for (size_t i = 0; i < counting->states->count; i++) {
		const struct address_list *list = &config->listeners[i].addresses;

		for (size_t k = 0; k < list->count && status == 0; k++) {
			unsigned port = address_port(&list->items[k]);

			if (port != 0 && !is_port_done(config, i, k, port)) {
				status = sock_diag_each((uint16_t)port, SOCK_DIAG_ALL,
					count_for_all, counting, why);
			}
		}
	}
	return status;
}

int
states_take(const struct config *config, struct states *states, struct fault *why)
{
	struct states *taken = calloc(1, sizeof(*taken));
	struct counting counting = {config, taken};
	int64_t began_us = clock_process_cpu_us();
	int status;

	if (taken == NULL) {
		return fault_set(why, ENOMEM, "cannot count sockets");
	}
	taken->count =
		config->listener_count < BOARD_LISTENERS ? config->listener_count : BOARD_LISTENERS;
	for (size_t i = 0; i < taken->count; i++) {
		(void)snprintf(taken->rows[i].name, sizeof(taken->rows[i].name), "%s",
			config->listeners[i].name);
	}
	status = dump_ports(&counting, why);
	if (status == 0) {
		taken->taken_ms = clock_monotonic_ms();
		taken->cost_us = clock_process_cpu_us() - began_us;
		*states = *taken;
	}
	free(taken);
	return status;
}

/* --- shown --- */

/* In the order of a connection's life. */
static const enum sock_diag_state shown[] = {SOCK_DIAG_SYN_RECV, SOCK_DIAG_ESTABLISHED,
	SOCK_DIAG_CLOSE_WAIT, SOCK_DIAG_LAST_ACK, SOCK_DIAG_FIN_WAIT1, SOCK_DIAG_FIN_WAIT2,
	SOCK_DIAG_CLOSING, SOCK_DIAG_TIME_WAIT, SOCK_DIAG_LISTEN};

/* "close_wait" */
static const char *
lower_name(enum sock_diag_state state, char buffer[32])
{
	const char *name = sock_diag_state_name(state);
	size_t i;

	for (i = 0; name[i] != '\0' && i < 31; i++) {
		buffer[i] =
			name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
	}
	buffer[i] = '\0';
	return buffer;
}

static void
json_row(struct json *json, const struct states_row *row)
{
	char key[32];

	json_object_begin(json, NULL);
	json_string(json, "listener", row->name);
	for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
		json_unsigned(json, lower_name(shown[i], key), row->counts[shown[i]]);
	}
	json_unsigned(json, "oldest_close_wait_ms", row->oldest_close_wait_ms);
	json_object_end(json);
}

static void
table_row(struct table *table, const struct states_row *row)
{
	char age[32] = "-";
	struct text text;

	table_cell(table, "%s", row->name);
	for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
		bool is_bad = shown[i] == SOCK_DIAG_CLOSE_WAIT && row->counts[shown[i]] > 0;

		table_cell_coloured(table, is_bad ? TABLE_WARN : TABLE_PLAIN, "%" PRIu64,
			row->counts[shown[i]]);
	}
	if (row->counts[SOCK_DIAG_CLOSE_WAIT] > 0) {
		text_init(&text, age, sizeof(age));
		text_add_span_ms(&text, row->oldest_close_wait_ms);
	}
	table_cell(table, "%s", age);
}

static bool
is_row_wanted(const struct states_row *row, const char *listener)
{
	return listener == NULL || strcmp(listener, row->name) == 0;
}

int
states_render(const struct states *states, const char *listener, const struct render *render,
	FILE *stream)
{
	static const struct table_column columns[] = {
		{"listener", TABLE_LEFT},
		{"SYN_RECV", TABLE_RIGHT},
		{"ESTABLISHED", TABLE_RIGHT},
		{"CLOSE_WAIT", TABLE_RIGHT},
		{"LAST_ACK", TABLE_RIGHT},
		{"FIN_WAIT1", TABLE_RIGHT},
		{"FIN_WAIT2", TABLE_RIGHT},
		{"CLOSING", TABLE_RIGHT},
		{"TIME_WAIT", TABLE_RIGHT},
		{"LISTEN", TABLE_RIGHT},
		{"oldest CLOSE_WAIT", TABLE_RIGHT},
	};
	struct table *table;
	struct json json;
	int error;

	_Static_assert(ARRAY_LEN(columns) == ARRAY_LEN(shown) + 2, "a column for each state");
	if (render->form == RENDER_JSON) {
		json_init(&json, stream);
		json_array_begin(&json, NULL);
		for (size_t i = 0; i < states->count; i++) {
			if (is_row_wanted(&states->rows[i], listener)) {
				json_row(&json, &states->rows[i]);
			}
		}
		json_array_end(&json);
		return 0;
	}
	table = table_new(columns, ARRAY_LEN(columns));
	if (table == NULL) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < states->count; i++) {
		if (is_row_wanted(&states->rows[i], listener)) {
			table_row(table, &states->rows[i]);
		}
	}
	error = table_print(table, stream, render->with_colour);
	table_free(&table);
	return error;
}
