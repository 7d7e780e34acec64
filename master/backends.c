#include "master/backends.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/board.h"
#include "common/config.h"
#include "common/fault.h"
#include "common/text.h"
#include "master/master.h"

static int
register_servers(struct board *board, int upstream, const struct upstream_config *config)
{
	char name[ADDRESS_TEXT_MAX];
	int row = 0;

	for (size_t i = 0; i < config->server_count && row >= 0; i++) {
		row = board_server_index(
			board, upstream, config_server_name(&config->servers[i], name));
	}
	return row < 0 ? row : 0;
}

int
backends_register(struct board *board, const struct config *config, struct fault *why)
{
	for (size_t i = 0; i < config->upstream_count; i++) {
		const struct upstream_config *upstream = &config->upstreams[i];
		int row = board_upstream_index(board, upstream->name);
		int status = row < 0 ? row : register_servers(board, row, upstream);

		if (status < 0) {
			return fault_say(why, -status,
				"upstreams[%s]: the statistics have room for %d different names of "
				"upstreams and %d of servers in the life of one master; restart it "
				"to use more",
				upstream->name, BOARD_UPSTREAMS, BOARD_SERVERS);
		}
	}
	return 0;
}

static void
use_server(struct board *board, int upstream, const struct upstream_server_config *config)
{
	char name[ADDRESS_TEXT_MAX];
	int row = board_find_server(board, upstream, config_server_name(config, name));
	struct board_server_head *head = &board->writable->servers[row];

	(void)address_format(&config->where.items[0], head->address);
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

void
backends_use(struct board *board, const struct config *config)
{
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
}

const char *
backends_name(const struct board *board, int server, char buffer[BACKENDS_NAME_MAX])
{
	const struct board_server_head *head = &board->master->servers[server];

	(void)snprintf(buffer, BACKENDS_NAME_MAX, "%s/%s",
		board->master->upstreams[head->upstream].name, head->name);
	return buffer;
}

/* --- orders --- */

/* @return the row; -ENOENT, or -EEXIST when several servers have this name */
static int
find_by_name(const struct board *board, const char *wanted)
{
	int found = -ENOENT;

	for (int i = 0; i < BOARD_SERVERS; i++) {
		const struct board_server_head *head = &board->writable->servers[i];
		char name[2 * BOARD_SERVER_MAX];

		if (atomic_load(&board->writable->servers[i].is_configured) == 0) {
			continue;
		}
		if (strcmp(backends_name(board, i, name), wanted) == 0) {
			return i;
		}
		if (strcmp(head->name, wanted) == 0) {
			found = found == -ENOENT ? i : -EEXIST;
		}
	}
	return found;
}

static int
obey_number(board_cell *cell, const char *word, int64_t most)
{
	int64_t number = 0;

	if (strcmp(word, "none") != 0 &&
		(text_parse_number(word, &number) != 0 || number < 0 || number > most)) {
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
		return obey_number(&head->weight, number, 256);
	}
	if (strcmp(verb, "max") == 0) {
		return obey_number(&head->max_connections, number, 100000000);
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

int
backends_order(struct board *board, const char *order, char *text, size_t size)
{
	char name[2 * BOARD_SERVER_MAX] = "", verb[16] = "", number[16] = "";
	char full[2 * BOARD_SERVER_MAX];
	int row;

	if (!take_word(&order, name, sizeof(name)) || !take_word(&order, verb, sizeof(verb)) ||
		!take_word(&order, number, sizeof(number)) || *order != '\0') {
		(void)snprintf(text, size,
			"too many or too long words; write SERVER and then drain, ready, weight N "
			"or max N");
		return -EINVAL;
	}
	row = find_by_name(board, name);
	if (row < 0) {
		(void)snprintf(text, size,
			row == -EEXIST
				? "several upstreams have a server '%s'; write UPSTREAM/SERVER"
				: "there is no server '%s'; acceptctl upstreams shows them",
			name);
		return row == -EEXIST ? -EINVAL : row;
	}
	if (obey(&board->writable->servers[row], verb, number) != 0) {
		(void)snprintf(text, size,
			"'%s %s' is no order; allowed: drain, ready, weight 0..256, max "
			"0..100000000 or none",
			verb, number);
		return -EINVAL;
	}
	(void)snprintf(text, size, "back end %s: %s%s%s", backends_name(board, row, full), verb,
		number[0] != '\0' ? " " : "", number);
	return 0;
}
