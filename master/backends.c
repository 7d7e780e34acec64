#include "master/backends.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/board.h"
#include "common/config.h"
#include "common/net.h"
#include "common/text.h"
#include "master/backend_rows.h"
#include "master/master.h"
#include "master/names.h"

static void
use_row(struct board *board, int upstream, const struct upstream_server_config *config,
	size_t index)
{
	char name[CONFIG_ROW_NAME_MAX];
	int row = board_find_server(board, upstream, config_row_name(config, index, name));
	struct board_server_head *head = &board->writable->servers[row];

	head->address[0] = '\0';
	if (config->where.kind == ENDPOINT_ADDRESS) {
		(void)address_format(&config->where.address, head->address);
	}
	names_use_row(board, row, config, index);
	/* An order holds until the file says something else. */
	if (stat_get(&head->configured_weight) != (uint64_t)config->weight) {
		stat_set(&head->weight, 0);
	}
	if (stat_get(&head->configured_max) != (uint64_t)config->max_connections) {
		stat_set(&head->max_connections, 0);
	}
	stat_set(&head->configured_weight, (uint64_t)config->weight);
	stat_set(&head->configured_max, (uint64_t)config->max_connections);
	stat_set(&head->configured_backlog, (uint64_t)config->backlog);
	atomic_store(&head->is_configured, 1);
}

static void
use_server(struct board *board, int upstream, const struct upstream_server_config *config)
{
	size_t rows = config_server_rows(config);

	for (size_t i = 0; i < rows; i++) {
		use_row(board, upstream, config, i);
	}
}

/* What is not in the file any more comes back, if ever, as the file says then. Nobody could take
 * its orders back meanwhile. */
static void
forget_orders(struct board *board)
{
	for (int i = 0; i < BOARD_SERVERS; i++) {
		struct board_server_head *head = &board->writable->servers[i];

		if (atomic_load(&head->is_used) != 0 && atomic_load(&head->is_configured) == 0) {
			stat_set(&head->weight, 0);
			stat_set(&head->max_connections, 0);
			atomic_store(&head->is_drained, 0);
		}
	}
}

/* @param is_anew  what says that nobody uses it is void: it begins again */
static void
note_left(board_cell *left_generation, _Atomic uint32_t *is_configured, bool is_anew,
	uint64_t generation)
{
	if (atomic_load(is_configured) != 0) {
		stat_set(left_generation, 0);
	} else if (is_anew || stat_get(left_generation) == 0) {
		stat_set(left_generation, generation);
	}
}

/* A worker that still knows an upstream uses its old servers until it learns that it is back. */
static void
note_who_left(struct board *board)
{
	struct board_master *master = board->writable;
	uint64_t generation = stat_get(&master->stats[STAT_MASTER_generation]);

	for (int i = 0; i < BOARD_SERVERS; i++) {
		struct board_server_head *head = &master->servers[i];
		struct board_upstream_head *above = &master->upstreams[head->upstream];
		bool is_back = atomic_load(&above->is_configured) != 0 &&
			       stat_get(&above->left_generation) != 0;

		note_left(&head->left_generation, &head->is_configured, is_back, generation);
	}
	for (int i = 0; i < BOARD_UPSTREAMS; i++) {
		struct board_upstream_head *head = &master->upstreams[i];

		note_left(&head->left_generation, &head->is_configured, false, generation);
	}
}

void
backends_use(struct board *board, const struct config *config, uint64_t oldest_generation)
{
	backend_rows_give(board, config, oldest_generation);
	for (int i = 0; i < BOARD_UPSTREAMS; i++) {
		atomic_store(&board->writable->upstreams[i].is_configured, 0);
	}
	for (int i = 0; i < BOARD_SERVERS; i++) {
		atomic_store(&board->writable->servers[i].is_configured, 0);
	}
	for (size_t i = 0; i < config->upstream_count; i++) {
		const struct upstream_config *upstream = &config->upstreams[i];
		int row = board_find_upstream(board, upstream->name);

		atomic_store(&board->writable->upstreams[row].is_configured, 1);
		for (size_t k = 0; k < upstream->server_count; k++) {
			use_server(board, row, &upstream->servers[k]);
		}
	}
	forget_orders(board);
	note_who_left(board);
}

/* The kernel is asked only where it matters. */
const struct listener_config *
backends_find_loop(const struct config *config, const struct upstream_config *upstream,
	const struct address *address)
{
	const struct listener_config *listener = config_find_loop(config, upstream, address, true);
	bool is_certain = config_find_loop(config, upstream, address, false) != NULL;

	return listener != NULL && (is_certain || net_is_local(address)) ? listener : NULL;
}

const char *
backends_name(const struct board *board, int server, char buffer[BACKENDS_NAME_MAX])
{
	const struct board_server_head *head = &board->master->servers[server];
	char where[ADDRESS_TEXT_MAX];
	struct board_place place;
	struct address address;
	struct text text;

	text_init(&text, buffer, BACKENDS_NAME_MAX);
	text_add(&text, "%s/%s", board->master->upstreams[head->upstream].name, head->name);
	board_read_place(board, server, &place);
	if (place.state != BOARD_PLACE_EMPTY) {
		board_place_address(&place, &address);
		text_add(&text, " (%s)", address_format(&address, where));
	}
	return buffer;
}

/* --- orders --- */

/* The rows that an order is meant for. */
struct addressees {
	bool is_meant[BOARD_SERVERS];
	int first; /* -ENOENT: nobody */
	bool is_ambiguous;
};

/* Whether a row is meant by a server's name: it has it, or is a place of the server that has. */
static bool
is_named(const struct board_server_head *head, const char *name)
{
	size_t len = strlen(name);

	return strcmp(head->name, name) == 0 ||
	       (head->place > 0 && strncmp(head->name, name, len) == 0 && head->name[len] == '/' &&
		       strchr(head->name + len + 1, '/') == NULL);
}

/* "SERVER" or "UPSTREAM/SERVER"; a server's name may have a slash itself. */
static void
find_addressees(const struct board *board, const char *wanted, struct addressees *found)
{
	int upstream = -1;

	memset(found, 0, sizeof(*found));
	found->first = -ENOENT;
	for (int i = 0; i < BOARD_SERVERS; i++) {
		const struct board_server_head *head = &board->writable->servers[i];
		const char *above = board->writable->upstreams[head->upstream].name;
		size_t len = strlen(above);
		bool is_full = strncmp(wanted, above, len) == 0 && wanted[len] == '/' &&
			       is_named(head, wanted + len + 1);

		if (atomic_load(&board->writable->servers[i].is_configured) == 0 ||
			(!is_full && !is_named(head, wanted))) {
			continue;
		}
		found->is_ambiguous =
			found->is_ambiguous || (upstream >= 0 && upstream != head->upstream);
		upstream = head->upstream;
		found->is_meant[i] = true;
		found->first = found->first < 0 ? i : found->first;
	}
}

/* Whether the order names this place alone, with its number. */
static bool
is_order_to_place(const struct board_server_head *head, const char *wanted)
{
	size_t len = strlen(head->name), wanted_len = strlen(wanted);

	return head->place > 0 && wanted_len >= len &&
	       strcmp(wanted + wanted_len - len, head->name) == 0;
}

static int
obey_number(board_cell *cell, const char *word, int64_t most)
{
	int64_t number;

	if (text_parse_number(word, &number) != 0 || number < 0 || number > most) {
		return -EINVAL;
	}
	stat_set(cell, (uint64_t)number + 1);
	return 0;
}

/* @return 0; -EINVAL for anything else than the four orders */
static int
obey(struct board_server_head *head, const char *verb, const char *number)
{
	if (strcmp(verb, "weight") == 0) {
		return obey_number(&head->weight, number, CONFIG_WEIGHT_MAX);
	}
	if (strcmp(verb, "max") == 0) {
		return obey_number(&head->max_connections,
			strcmp(number, "none") == 0 ? "0" : number, CONFIG_CONNECTIONS_MAX);
	}
	if (number[0] != '\0' || (strcmp(verb, "drain") != 0 && strcmp(verb, "ready") != 0)) {
		return -EINVAL;
	}
	atomic_store(&head->is_drained, strcmp(verb, "drain") == 0 ? 1 : 0);
	return 0;
}

/* The next word, "" at the end. @return whether it fitted whole */
static bool
take_word(const char **at, char *word, size_t size)
{
	size_t len;

	*at += strspn(*at, " ");
	len = strcspn(*at, " ");
	if (len >= size) {
		return false;
	}
	memcpy(word, *at, len);
	word[len] = '\0';
	*at += len + strspn(*at + len, " ");
	return true;
}

/* "back end u/java", "back end u/java, 8 places" */
static void
tell_obeyed(
	const struct board *board, int row, int count, const char *name, char *text, size_t size)
{
	char full[BACKENDS_NAME_MAX];

	if (count == 1) {
		(void)snprintf(text, size, "back end %s", backends_name(board, row, full));
	} else {
		(void)snprintf(text, size, "back end %s, each of its %d places", name, count);
	}
}

int
backends_order(struct board *board, const char *order, char *text, size_t size)
{
	char name[2 * BOARD_SERVER_MAX] = "", verb[16] = "", number[16] = "";
	struct addressees found;
	int count = 0;

	if (!take_word(&order, name, sizeof(name)) || !take_word(&order, verb, sizeof(verb)) ||
		!take_word(&order, number, sizeof(number)) || *order != '\0') {
		(void)snprintf(text, size,
			"too many or too long words; write SERVER and then drain, ready, weight N "
			"or max N");
		return -EINVAL;
	}
	find_addressees(board, name, &found);
	if (found.first < 0 || found.is_ambiguous) {
		(void)snprintf(text, size,
			found.is_ambiguous
				? "several upstreams have a server '%s'; write UPSTREAM/SERVER"
				: "there is no server '%s'; acceptctl upstreams shows them",
			name);
		return found.is_ambiguous ? -EINVAL : -ENOENT;
	}
	for (int i = found.first; i < BOARD_SERVERS; i++) {
		if (!found.is_meant[i]) {
			continue;
		}
		if (obey(&board->writable->servers[i], verb, number) != 0) {
			(void)snprintf(text, size,
				"'%s %s' is no order; allowed: drain, ready, weight 0..256, max "
				"0..100000000 or none",
				verb, number);
			return -EINVAL;
		}
		board->writable->servers[i].is_ordered_alone =
			is_order_to_place(&board->writable->servers[i], name);
		count++;
	}
	tell_obeyed(board, found.first, count, name, text, size);
	(void)snprintf(text + strlen(text), size - strlen(text), ": %s%s%s", verb,
		number[0] != '\0' ? " " : "", number);
	return 0;
}
