#include "master/backends.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/board.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/text.h"
#include "master/master.h"

#define TELL_PERIOD_S 10 /* the same trouble with one server is told at most so often */

/* A counter whose growth is told. */
struct told {
	uint64_t count;   /* when it was told last */
	unsigned seconds; /* until it may be told again */
};

/* What was told last. One master, one board: the rows are never given to other servers. */
static struct watch {
	uint64_t verdict;
	struct told syn_retries;
	struct told no_port;
} watches[BOARD_SERVERS];

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

static uint64_t
sum(const struct board *board, int server, enum stat_server_index index)
{
	int slots = board_slots_used(board);
	uint64_t total = 0;

	for (int slot = 0; slot < slots; slot++) {
		total += stat_get(&board->slots[slot].servers[server].stats[index]);
	}
	return total;
}

static const char *
name_of(const struct board *board, int server, char buffer[2 * BOARD_SERVER_MAX])
{
	const struct board_server_head *head = &board->master->servers[server];

	(void)snprintf(buffer, 2 * BOARD_SERVER_MAX, "%s/%s",
		board->master->upstreams[head->upstream].name, head->name);
	return buffer;
}

static void
tell_state(struct master *master, int server, struct watch *watch)
{
	const struct board *board = &master->board;
	uint64_t verdict = board_server_verdict(board, server);
	bool was_up = watch->verdict == 0 || BOARD_VERDICT_IS_UP(watch->verdict);
	bool is_up = verdict == 0 || BOARD_VERDICT_IS_UP(verdict);
	char name[2 * BOARD_SERVER_MAX];

	watch->verdict = verdict;
	if (was_up && !is_up) {
		master_event(master, LOG_LEVEL_WARNING,
			"back end %s is down: connects failed (so far %" PRIu64 " refused, %" PRIu64
			" without an answer, %" PRIu64 " otherwise, %" PRIu64
			" of checks); clients go "
			"to other servers or wait; it is checked until it is up again",
			name_of(board, server, name),
			sum(board, server, STAT_SERVER_connect_refused),
			sum(board, server, STAT_SERVER_connect_timeouts),
			sum(board, server, STAT_SERVER_connect_failures),
			sum(board, server, STAT_SERVER_checks_failed));
	} else if (!was_up && is_up) {
		master_event(master, LOG_LEVEL_NOTICE, "back end %s is up again",
			name_of(board, server, name));
	}
}

/* Once a second. @return how much is to be told now */
static uint64_t
growth_to_tell(struct told *told, uint64_t count)
{
	uint64_t growth = count - told->count;

	if (told->seconds > 0) {
		told->seconds--;
		return 0;
	}
	if (growth > 0) {
		told->count = count;
		told->seconds = TELL_PERIOD_S;
	}
	return growth;
}

static void
tell_syns(struct master *master, int server, struct told *told)
{
	const struct board *board = &master->board;
	const struct board_server_head *head = &board->master->servers[server];
	uint64_t retries = growth_to_tell(told, sum(board, server, STAT_SERVER_syn_retries));
	uint64_t backlog = stat_get(&head->configured_backlog);
	char name[2 * BOARD_SERVER_MAX], guess[32] = "";

	if (retries == 0) {
		return;
	}
	if (backlog > 0) {
		(void)snprintf(guess, sizeof(guess), " (%" PRIu64 "?)", backlog);
	}
	master_event(master, LOG_LEVEL_WARNING,
		"back end %s dropped our SYN %" PRIu64 " times in %d s: its accept queue%s "
		"overflows, and each drop costs a client a second or more; %s",
		name_of(board, server, name), retries, TELL_PERIOD_S, guess,
		backlog > 0 ? "raise the queue there, or declare less as backlog"
			    : "declare its length as backlog, and connects are paced to it");
}

static void
tell_ports(struct master *master, int server, struct told *told)
{
	const struct board *board = &master->board;
	uint64_t failures = growth_to_tell(told, sum(board, server, STAT_SERVER_no_port));
	char name[2 * BOARD_SERVER_MAX];

	if (failures == 0) {
		return;
	}
	master_event(master, LOG_LEVEL_WARNING,
		"no local port was left for connections to back end %s, %" PRIu64
		" times in %d s: those clients were reset, the server is not to blame; add own "
		"addresses to sources of its upstream, widen net.ipv4.ip_local_port_range, or set "
		"max_connections of the server, so that clients wait",
		name_of(board, server, name), failures, TELL_PERIOD_S);
}

void
backends_watch(struct master *master)
{
	for (int i = 0; i < BOARD_SERVERS; i++) {
		const struct board_server_head *head = &master->board.master->servers[i];

		if (atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)&head->is_used,
			    memory_order_relaxed) == 0) {
			return;
		}
		tell_state(master, i, &watches[i]);
		tell_syns(master, i, &watches[i].syn_retries);
		tell_ports(master, i, &watches[i].no_port);
	}
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
		if (strcmp(name_of(board, i, name), wanted) == 0) {
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
	(void)snprintf(text, size, "back end %s: %s%s%s", name_of(board, row, full), verb,
		number[0] != '\0' ? " " : "", number);
	return 0;
}
