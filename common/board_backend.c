/* The board's rows for upstreams and their servers. */
#include <errno.h>
#include <string.h>

#include "common/board.h"

/* Readers map the board read-only and load from it atomically all the same. */
static struct board_master *
master_of(const struct board *board)
{
	return (struct board_master *)(uintptr_t)board->master;
}

static bool
is_set(const _Atomic uint32_t *flag)
{
	return atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)flag, memory_order_acquire) != 0;
}

int
board_find_upstream(const struct board *board, const char *name)
{
	const struct board_upstream_head *heads = master_of(board)->upstreams;

	for (int i = 0; i < BOARD_UPSTREAMS && is_set(&heads[i].is_used); i++) {
		if (strcmp(heads[i].name, name) == 0) {
			return i;
		}
	}
	return -ENOENT;
}

int
board_find_server(const struct board *board, int upstream, const char *name)
{
	const struct board_server_head *heads = master_of(board)->servers;

	for (int i = 0; i < BOARD_SERVERS && is_set(&heads[i].is_used); i++) {
		if (heads[i].upstream == upstream && strcmp(heads[i].name, name) == 0) {
			return i;
		}
	}
	return -ENOENT;
}

int
board_upstream_index(struct board *board, const char *name)
{
	struct board_upstream_head *heads = board->writable->upstreams;
	int index = board_find_upstream(board, name);

	if (index >= 0) {
		return index;
	}
	if (strlen(name) >= sizeof(heads->name)) {
		return -ENAMETOOLONG;
	}
	for (index = 0; index < BOARD_UPSTREAMS && is_set(&heads[index].is_used); index++) {
	}
	if (index == BOARD_UPSTREAMS) {
		return -ENOSPC;
	}
	strcpy(heads[index].name, name);
	atomic_store_explicit(&heads[index].is_used, 1, memory_order_release);
	return index;
}

int
board_server_index(struct board *board, int upstream, const char *name)
{
	struct board_server_head *heads = board->writable->servers;
	int index = board_find_server(board, upstream, name);

	if (index >= 0) {
		return index;
	}
	if (strlen(name) >= sizeof(heads->name)) {
		return -ENAMETOOLONG;
	}
	for (index = 0; index < BOARD_SERVERS && is_set(&heads[index].is_used); index++) {
	}
	if (index == BOARD_SERVERS) {
		return -ENOSPC;
	}
	strcpy(heads[index].name, name);
	heads[index].upstream = upstream;
	atomic_store_explicit(&heads[index].is_used, 1, memory_order_release);
	return index;
}

/* @return the slot whose verdict holds; -1: there is none */
static int
slot_of_verdict(const struct board *board, int server)
{
	int slots = board_slots_used(board), found = -1;
	uint64_t latest = 0;

	for (int slot = 0; slot < slots; slot++) {
		uint64_t verdict = stat_get(&board->slots[slot].servers[server].verdict);

		if (verdict > latest) {
			latest = verdict;
			found = slot;
		}
	}
	return found;
}

uint64_t
board_server_verdict(const struct board *board, int server)
{
	int slot = slot_of_verdict(board, server);

	return slot < 0 ? 0 : stat_get(&board->slots[slot].servers[server].verdict);
}

int
board_server_cause(const struct board *board, int server)
{
	int slot = slot_of_verdict(board, server);

	return slot < 0 ? 0 : (int)stat_get(&board->slots[slot].servers[server].cause);
}

const char *
board_cause_words(int cause)
{
	switch (cause) {
	case ECONNREFUSED:
		return "connection refused";
	case ETIMEDOUT:
		return "no answer";
	case EBADMSG:
		return "wrong answer to its check";
	default:
		return strerror(cause);
	}
}
