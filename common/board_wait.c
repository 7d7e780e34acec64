#include "common/board_wait.h"

#include <inttypes.h>

#include "common/board.h"
#include "common/text.h"

static bool
is_set(const _Atomic uint32_t *flag)
{
	return atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)flag, memory_order_relaxed) != 0;
}

uint64_t
board_wait_queued(uint64_t unproven, uint64_t settled, uint64_t depth)
{
	return unproven + (settled < depth ? settled : depth);
}

uint64_t
board_waiting(const struct board *board, int upstream)
{
	int slots = board_slots_used(board);
	uint64_t sum = 0;

	for (int slot = 0; slot < slots; slot++) {
		sum += stat_get(&board->slots[slot].upstreams[upstream].waiting);
	}
	return sum;
}

int64_t
board_oldest_wait_ms(const struct board *board, int upstream, int64_t now_ms)
{
	int slots = board_slots_used(board);
	uint64_t first = 0;

	for (int slot = 0; slot < slots; slot++) {
		uint64_t ticket = stat_get(&board->slots[slot].upstreams[upstream].ticket);

		first = ticket != 0 && (first == 0 || ticket < first) ? ticket : first;
	}
	return first == 0 ? 0 : now_ms - BOARD_TICKET_US(first) / 1000;
}

void
board_read_load(const struct board *board, int server, struct board_load *load)
{
	const struct board_server_head *head = &board->master->servers[server];
	uint64_t verdict = board_server_verdict(board, server), unproven = 0, settled = 0;
	bool is_up = verdict == 0 || BOARD_VERDICT_IS_UP(verdict);
	int slots = board_slots_used(board);

	load->held = 0;
	for (int slot = 0; slot < slots; slot++) {
		const struct board_server_cells *cells = &board->slots[slot].servers[server];

		load->held += stat_get(&cells->held);
		unproven += stat_get(&cells->unproven);
		settled += stat_get(&cells->settled);
	}
	load->max_connections = board_in_force(&head->max_connections, &head->configured_max);
	load->queued = board_wait_queued(unproven, settled,
		stat_get(&head->queue_limit) > 0 ? stat_get(&head->queue_depth) : 0);
	load->backlog = stat_get(&head->configured_backlog);
	load->is_serving = is_set(&head->is_configured) && board_server_is_open(board, server) &&
			   is_up && !is_set(&head->is_drained) &&
			   board_in_force(&head->weight, &head->configured_weight) > 0;
}

enum board_wait_reason
board_wait_reason(const struct board_load *load)
{
	if (load->is_serving && load->backlog > 0 && load->queued >= load->backlog) {
		return BOARD_WAIT_ACCEPT;
	}
	if (load->is_serving && load->max_connections > 0 && load->held >= load->max_connections) {
		return BOARD_WAIT_PLACES;
	}
	return BOARD_WAIT_UNKNOWN;
}

void
board_wait_write(const char *name, const struct board_load *load, struct text *text)
{
	switch (board_wait_reason(load)) {
	case BOARD_WAIT_ACCEPT:
		text_add(text,
			"back end %s leaves %" PRIu64 " connection%s without an answer, as many as "
			"its backlog: it is stopped or overloaded; look there",
			name, load->queued, load->queued == 1 ? "" : "s");
		return;
	case BOARD_WAIT_PLACES:
		text_add(text,
			"back end %s has %" PRIu64 " connection%s, max_connections = %" PRIu64
			"; raise it if it bears more, or add servers",
			name, load->held, load->held == 1 ? "" : "s", load->max_connections);
		return;
	case BOARD_WAIT_UNKNOWN:
		break;
	}
	text_add(text, "acceptctl upstreams shows the servers");
}
