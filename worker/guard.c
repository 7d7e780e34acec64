/* Few workers, so sums are short walks over cells that mostly rest in the cache. */
#include "worker/guard.h"

#include <assert.h>

#include "common/board.h"

static_assert(BOARD_SLOTS <= 1 << BOARD_TICKET_SLOT_BITS, "a ticket names its slot");

static struct board_server_cells *
cells_of(const struct board *board, int slot, int server)
{
	return &board->slots[slot].servers[server];
}

/* Workers map it read-only and load from it atomically all the same. */
static struct board_server_head *
head_of(const struct board *board, int server)
{
	return &((struct board_master *)(uintptr_t)board->master)->servers[server];
}

uint64_t
guard_held(const struct board *board, int server)
{
	int slots = board_slots_used(board);
	uint64_t sum = 0;

	for (int slot = 0; slot < slots; slot++) {
		sum += atomic_load(&cells_of(board, slot, server)->held);
	}
	return sum;
}

/* Of the last sample; 0 when it is not known. */
static uint64_t
queue_depth(const struct board *board, int server)
{
	struct board_server_head *head = head_of(board, server);

	return atomic_load(&head->queue_limit) == 0 ? 0 : atomic_load(&head->queue_depth);
}

/* The most that can be in the server's accept queue. A connection that moves is added to the next
 * count before it leaves the last one; read in the order of the moves, none is missed. The sample
 * is read last: then it is at least as young as the one that let the last of them settle. */
static uint64_t
sum_queued(const struct board *board, int server)
{
	int slots = board_slots_used(board);
	uint64_t unproven = 0, settled = 0, depth;

	for (int slot = 0; slot < slots; slot++) {
		unproven += atomic_load(&cells_of(board, slot, server)->unproven);
		settled += atomic_load(&cells_of(board, slot, server)->settled);
	}
	depth = queue_depth(board, server);
	return unproven + (settled < depth ? settled : depth);
}

/* Whether `more` can be added. */
static bool
is_within(const struct board *board, int server, const struct guard_limits *limits, uint64_t more)
{
	return (limits->held == 0 || guard_held(board, server) + more <= limits->held) &&
	       (limits->backlog == 0 || sum_queued(board, server) + more <= limits->backlog);
}

bool
guard_has_room(const struct board *board, int server, const struct guard_limits *limits)
{
	return is_within(board, server, limits, 1);
}

bool
guard_take(const struct board *board, int slot, int server, const struct guard_limits *limits)
{
	struct board_server_cells *own = cells_of(board, slot, server);

	(void)atomic_fetch_add(&own->held, 1);
	(void)atomic_fetch_add(&own->unproven, 1);
	if (is_within(board, server, limits, 0)) {
		return true;
	}
	guard_give_back(board, slot, server, GUARD_UNPROVEN);
	return false;
}

/* NULL: who is proven is not counted. */
static board_cell *
count_of(struct board_server_cells *cells, enum guard_stage stage)
{
	switch (stage) {
	case GUARD_UNPROVEN:
		return &cells->unproven;
	case GUARD_SETTLED:
		return &cells->settled;
	default:
		return NULL;
	}
}

static void
leave(struct board_server_cells *cells, enum guard_stage stage)
{
	board_cell *count = count_of(cells, stage);

	if (count != NULL) {
		(void)atomic_fetch_sub(count, 1);
	}
}

void
guard_move(
	const struct board *board, int slot, int server, enum guard_stage from, enum guard_stage to)
{
	struct board_server_cells *own = cells_of(board, slot, server);
	board_cell *count = count_of(own, to);

	if (count != NULL) {
		(void)atomic_fetch_add(count, 1);
	}
	leave(own, from);
}

void
guard_give_back(const struct board *board, int slot, int server, enum guard_stage stage)
{
	struct board_server_cells *own = cells_of(board, slot, server);

	leave(own, stage);
	(void)atomic_fetch_sub(&own->held, 1);
}

/* Before the first look nobody knows whether the queue can be known: that comes within a second. */
bool
guard_may_settle(const struct board *board, int server, int64_t connected_ms)
{
	struct board_server_head *head = head_of(board, server);
	int64_t sampled_ms = (int64_t)atomic_load(&head->queue_sampled_ms);

	return sampled_ms > connected_ms + GUARD_HANDSHAKE_MS ||
	       (sampled_ms > 0 && atomic_load(&head->queue_limit) == 0);
}

uint64_t
guard_ticket(int64_t monotonic_us, int slot, uint64_t last)
{
	uint64_t ticket = (uint64_t)monotonic_us << BOARD_TICKET_SLOT_BITS | (uint64_t)slot;

	return ticket > last ? ticket : last + (1 << BOARD_TICKET_SLOT_BITS);
}

int64_t
guard_ticket_ms(uint64_t ticket)
{
	return BOARD_TICKET_US(ticket) / 1000;
}

void
guard_publish(const struct board *board, int slot, int upstream, uint64_t ticket)
{
	atomic_store(&board->slots[slot].upstreams[upstream].ticket, ticket);
}

static bool
is_stalled(const struct board_slot *slot, int64_t now_ms)
{
	int64_t progress_ms = atomic_load_explicit(
		&((struct board_slot *)(uintptr_t)slot)->progress_ms, memory_order_relaxed);

	return now_ms - progress_ms > GUARD_STALL_MS;
}

int
guard_first(const struct board *board, int upstream, int64_t now_ms)
{
	int slots = board_slots_used(board), first = -1;
	uint64_t lowest = 0;

	for (int slot = 0; slot < slots; slot++) {
		uint64_t ticket = atomic_load(&board->slots[slot].upstreams[upstream].ticket);

		if (ticket != 0 && (first < 0 || ticket < lowest) &&
			!is_stalled(&board->slots[slot], now_ms)) {
			first = slot;
			lowest = ticket;
		}
	}
	return first;
}
