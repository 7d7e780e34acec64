/* The board's rows for upstreams and their servers. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/board.h"
#include "common/clock.h"

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

	for (int i = 0; i < BOARD_UPSTREAMS; i++) {
		if (is_set(&heads[i].is_used) && strcmp(heads[i].name, name) == 0) {
			return i;
		}
	}
	return -ENOENT;
}

int
board_find_server(const struct board *board, int upstream, const char *name)
{
	const struct board_server_head *heads = master_of(board)->servers;

	for (int i = 0; i < BOARD_SERVERS; i++) {
		if (is_set(&heads[i].is_used) && heads[i].upstream == upstream &&
			strcmp(heads[i].name, name) == 0) {
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
	board_give_upstream(board, index, name);
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
	board_give_server(board, index, upstream, name);
	return index;
}

uint64_t
board_server_held(const struct board *board, int server)
{
	int slots = board_slots_used(board);
	uint64_t sum = 0;

	for (int slot = 0; slot < slots; slot++) {
		sum += atomic_load(&board->slots[slot].servers[server].held);
	}
	return sum;
}

static uint64_t
sum_stat(const struct board *board, int server, enum stat_server_index index)
{
	int slots = board_slots_used(board);
	uint64_t sum = 0;

	for (int slot = 0; slot < slots; slot++) {
		sum += stat_get(&board->slots[slot].servers[server].stats[index]);
	}
	return sum;
}

uint64_t
board_server_stat(const struct board *board, int server, enum stat_server_index index)
{
	return sum_stat(board, server, index) -
	       stat_get(&master_of(board)->servers[server].base[index]);
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
	int64_t placed_ms = (int64_t)stat_get(&board->master->servers[server].placed_ms);
	int slot = slot_of_verdict(board, server);
	uint64_t verdict = slot < 0 ? 0 : stat_get(&board->slots[slot].servers[server].verdict);

	return BOARD_VERDICT_SINCE(verdict) < placed_ms ? 0 : verdict;
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

/* --- places --- */

#define READ_TRIES 1000

static_assert(sizeof(struct board_place) % sizeof(uint64_t) == 0, "made of words");

/* A writer that was killed in the middle was the master: then nothing new is connected anyway. */
void
board_read_place(const struct board *board, int server, struct board_place *place)
{
	struct board_server_head *head = &master_of(board)->servers[server];
	uint64_t words[BOARD_PLACE_WORDS];

	for (int tries = 0; tries < READ_TRIES; tries++) {
		uint32_t before = atomic_load_explicit(&head->place_sequence, memory_order_acquire);

		for (size_t i = 0; i < BOARD_PLACE_WORDS; i++) {
			words[i] = stat_get(&head->place_words[i]);
		}
		atomic_thread_fence(memory_order_acquire);
		if (before % 2 == 0 && before == atomic_load_explicit(&head->place_sequence,
							 memory_order_relaxed)) {
			memcpy(place, words, sizeof(*place));
			return;
		}
	}
	memset(place, 0, sizeof(*place));
}

bool
board_server_is_open(const struct board *board, int server)
{
	struct board_place place;

	board_read_place(board, server, &place);
	return board->master->servers[server].place == 0 || place.state == BOARD_PLACE_HELD;
}

void
board_write_place(struct board *board, int server, const struct board_place *place, bool is_new)
{
	struct board_server_head *head = &board->writable->servers[server];
	uint32_t sequence = atomic_load_explicit(&head->place_sequence, memory_order_relaxed);
	uint64_t words[BOARD_PLACE_WORDS];

	memcpy(words, place, sizeof(words));
	if (is_new) {
		stat_set(&head->placed_ms, (uint64_t)clock_monotonic_ms());
	}
	atomic_store_explicit(&head->place_sequence, sequence + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (size_t i = 0; i < BOARD_PLACE_WORDS; i++) {
		stat_set(&head->place_words[i], words[i]);
	}
	atomic_store_explicit(&head->place_sequence, sequence + 2, memory_order_release);
	(void)atomic_fetch_add(&board->writable->upstreams[head->upstream].placings, 1);
}

void
board_place_address(const struct board_place *place, struct address *address)
{
	memset(address, 0, sizeof(*address));
	if (IN6_IS_ADDR_V4MAPPED(&place->host)) {
		address->len = sizeof(address->in4);
		address->in4.sin_family = AF_INET;
		address->in4.sin_port = htons(place->port);
		memcpy(&address->in4.sin_addr, &place->host.s6_addr[12], 4);
	} else {
		address->len = sizeof(address->in6);
		address->in6.sin6_family = AF_INET6;
		address->in6.sin6_port = htons(place->port);
		address->in6.sin6_addr = place->host;
	}
}

bool
board_place_equal(const struct board_place *a, const struct board_place *b)
{
	return a->port == b->port && IN6_ARE_ADDR_EQUAL(&a->host, &b->host);
}

/* --- rows given to names --- */

/* In this order: a life that is read while the row is changed is not the one after. */
static uint32_t
life_of(const _Atomic uint32_t *lives, const _Atomic uint32_t *is_used)
{
	uint32_t life;

	atomic_thread_fence(memory_order_acquire);
	life = atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)lives, memory_order_acquire);
	return is_set(is_used) ? life : 0;
}

uint32_t
board_upstream_life(const struct board *board, int row)
{
	const struct board_upstream_head *head = &board->master->upstreams[row];

	return life_of(&head->lives, &head->is_used);
}

uint32_t
board_server_life(const struct board *board, int row)
{
	const struct board_server_head *head = &board->master->servers[row];

	return life_of(&head->lives, &head->is_used);
}

/* Readers see that nobody has it before they can see anything of what comes. */
static void
begin_life(_Atomic uint32_t *lives, _Atomic uint32_t *is_used)
{
	atomic_store_explicit(is_used, 0, memory_order_relaxed);
	(void)atomic_fetch_add(lives, 1);
	atomic_thread_fence(memory_order_release);
}

static void
free_servers_of(struct board *board, int upstream)
{
	struct board_server_head *heads = board->writable->servers;

	for (int i = 0; i < BOARD_SERVERS; i++) {
		if (heads[i].upstream == upstream) {
			atomic_store(&heads[i].is_used, 0);
		}
	}
}

void
board_give_upstream(struct board *board, int row, const char *name)
{
	struct board_upstream_head *head = &board->writable->upstreams[row];

	assert(strlen(name) < sizeof(head->name));
	if (is_set(&head->is_used)) {
		free_servers_of(board, row);
	}
	begin_life(&head->lives, &head->is_used);
	atomic_store(&head->is_configured, 0);
	stat_set(&head->left_generation, 0);
	strcpy(head->name, name);
	atomic_store_explicit(&head->is_used, 1, memory_order_release);
}

static void
forget_orders_and_queue(struct board_server_head *head)
{
	atomic_store(&head->is_drained, 0);
	head->is_ordered_alone = 0;
	stat_set(&head->weight, 0);
	stat_set(&head->max_connections, 0);
	stat_set(&head->configured_weight, 0);
	stat_set(&head->configured_max, 0);
	stat_set(&head->configured_backlog, 0);
	stat_set(&head->queue_depth, 0);
	stat_set(&head->queue_limit, 0);
	stat_set(&head->queue_dropped, 0);
	stat_set(&head->queue_sampled_ms, 0);
}

void
board_forget_lookup(struct board *board, int row)
{
	struct board_lookup *lookup = &board->writable->servers[row].lookup;

	atomic_store(&lookup->state, BOARD_LOOKUP_NEW);
	stat_set(&lookup->answered_ms, 0);
	stat_set(&lookup->next_ms, 0);
	stat_set(&lookup->failing_ms, 0);
	stat_set(&lookup->found, 0);
	stat_set(&lookup->taken, 0);
	atomic_store(&lookup->is_partial, 0);
}

/* Verdicts, and failures in a row, are void when they are older than the placing. */
static void
outdate_findings(struct board *board, int row)
{
	const struct board_place empty = {.state = BOARD_PLACE_EMPTY};
	board_cell *placed_ms = &board->writable->servers[row].placed_ms;
	int slot = slot_of_verdict(board, row);
	uint64_t last_ms = slot < 0 ? 0
				    : (uint64_t)BOARD_VERDICT_SINCE(
					      stat_get(&board->slots[slot].servers[row].verdict));

	board_write_place(board, row, &empty, true);
	if (stat_get(placed_ms) <= last_ms) {
		stat_set(placed_ms, last_ms + 1);
	}
}

static void
forget_server(struct board *board, int row)
{
	struct board_server_head *head = &board->writable->servers[row];

	head->address[0] = head->asked[0] = '\0';
	head->place = 0;
	atomic_store(&head->is_configured, 0);
	forget_orders_and_queue(head);
	board_forget_lookup(board, row);
	outdate_findings(board, row);
	for (int i = 0; i < STAT_SERVER_COUNT; i++) {
		stat_set(&head->base[i], sum_stat(board, row, i));
	}
}

void
board_give_server(struct board *board, int row, int upstream, const char *name)
{
	struct board_server_head *head = &board->writable->servers[row];
	bool was_given = atomic_load(&head->lives) > 0;

	assert(strlen(name) < sizeof(head->name));
	begin_life(&head->lives, &head->is_used);
	head->upstream = upstream;
	stat_set(&head->left_generation, 0);
	if (was_given) {
		forget_server(board, row);
	}
	strcpy(head->name, name);
	atomic_store_explicit(&head->is_used, 1, memory_order_release);
}
