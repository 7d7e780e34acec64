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

static uint64_t
sum_unproven(const struct board *board, int server)
{
	int slots = board_slots_used(board);
	uint64_t sum = 0;

	for (int slot = 0; slot < slots; slot++) {
		sum += atomic_load(&cells_of(board, slot, server)->unproven);
	}
	return sum;
}

uint64_t
guard_waiting(const struct board *board, int upstream)
{
	int slots = board_slots_used(board);
	uint64_t sum = 0;

	for (int slot = 0; slot < slots; slot++) {
		sum += stat_get(&board->slots[slot].upstreams[upstream].waiting);
	}
	return sum;
}

/* Whether `more` can be added. */
static bool
is_within(const struct board *board, int server, const struct guard_limits *limits, uint64_t more)
{
	return (limits->held == 0 || guard_held(board, server) + more <= limits->held) &&
	       (limits->unproven == 0 || sum_unproven(board, server) + more <= limits->unproven);
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
	guard_give_back(board, slot, server, false);
	return false;
}

void
guard_prove(const struct board *board, int slot, int server)
{
	(void)atomic_fetch_sub(&cells_of(board, slot, server)->unproven, 1);
}

void
guard_give_back(const struct board *board, int slot, int server, bool is_proven)
{
	struct board_server_cells *own = cells_of(board, slot, server);

	if (!is_proven) {
		(void)atomic_fetch_sub(&own->unproven, 1);
	}
	(void)atomic_fetch_sub(&own->held, 1);
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
