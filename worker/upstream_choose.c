/* Puts together what the balance needs: who is up, who was tried, who has room. */
#include "worker/guard.h"
#include "worker/service.h"
#include "worker/upstream_private.h"

static const struct board_server_head *
head_of(const struct upstream_server *server)
{
	return &server->upstream->service->board.master->servers[server->row];
}

/* What was configured, unless the administrator ordered otherwise. */
static uint64_t
ordered(const board_cell *order, int64_t configured)
{
	uint64_t value = stat_get(order);

	return value == 0 ? (uint64_t)configured : value - 1;
}

static struct guard_limits
limits_of(const struct upstream_server *server)
{
	return (struct guard_limits){
		.held = ordered(&head_of(server)->max_connections, server->max_connections),
		.backlog = (uint64_t)server->backlog};
}

static bool
is_drained(const struct upstream_server *server)
{
	return atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)&head_of(server)->is_drained,
		       memory_order_relaxed) != 0;
}

static bool
is_up(const struct upstream_server *server, uint64_t *verdict)
{
	*verdict = board_server_verdict(&server->upstream->service->board, server->row);
	return *verdict == 0 || BOARD_VERDICT_IS_UP(*verdict);
}

static uint32_t
weight_of(const struct upstream_server *server, uint64_t verdict)
{
	const struct service *service = server->upstream->service;
	uint32_t weight = (uint32_t)ordered(&head_of(server)->weight, server->weight);
	int64_t up_ms = verdict == 0 ? INT64_MAX : service->now_ms - BOARD_VERDICT_SINCE(verdict);

	return balance_slow_start(weight, up_ms, server->upstream->plan->slow_start_ms);
}

static bool
is_backup_now(const struct upstream_server *server)
{
	return server->is_backup || server->place.is_backup != 0;
}

/* Who could take the request if there is room.
 *  @param is_backup  of which kind
 *  @return how many */
static size_t
find_usable(const struct upstream_request *request, bool is_backup, struct balance_server *servers)
{
	const struct upstream_plan *plan = request->upstream->plan;
	size_t count = 0;

	for (size_t i = 0; i < plan->server_count; i++) {
		const struct upstream_server *server = plan->servers[i];
		uint64_t verdict;
		bool is_able = server->is_open && is_backup_now(server) == is_backup &&
			       (request->tried >> i & 1) == 0 && !is_drained(server) &&
			       is_up(server, &verdict);
		uint32_t weight = is_able ? weight_of(server, verdict) : 0;

		servers[i] = (struct balance_server){.is_able = weight > 0, .weight = weight};
		count += servers[i].is_able ? 1 : 0;
	}
	return count;
}

static void
keep_those_with_room(const struct upstream_plan *plan, struct balance_server *servers)
{
	for (size_t i = 0; i < plan->server_count; i++) {
		const struct upstream_server *server = plan->servers[i];
		const struct board *board = &server->upstream->service->board;
		struct guard_limits limits = limits_of(server);

		if (servers[i].is_able) {
			servers[i].load = guard_held(board, server->row);
			servers[i].is_able = guard_has_room(board, server->row, &limits);
		}
	}
}

static int
balance(struct upstream_plan *plan, const struct upstream_request *request,
	const struct balance_server *servers)
{
	switch (plan->balance) {
	case BALANCE_LEAST_CONNECTIONS:
		return balance_least(&plan->memory, servers, plan->server_count);
	case BALANCE_CLIENT_HASH:
		return balance_hash(plan->table, request->hash, servers, plan->server_count);
	case BALANCE_RANDOM_TWO:
		return balance_random_two(&plan->memory, servers, plan->server_count);
	default:
		return balance_round_robin(&plan->memory, servers, plan->server_count);
	}
}

enum upstream_choice
upstream_choose(struct upstream_request *request, struct upstream_server **chosen)
{
	struct upstream_plan *plan = request->upstream->plan;
	const struct service *service = request->upstream->service;
	struct balance_server servers[CONFIG_SERVERS_MAX]; /* as many as the plan has are filled */
	int index;

	upstream_places_refresh(request->upstream);
	if (find_usable(request, false, servers) == 0 && find_usable(request, true, servers) == 0) {
		return CHOICE_NONE;
	}
	keep_those_with_room(plan, servers);
	while ((index = balance(plan, request, servers)) >= 0) {
		struct upstream_server *server = plan->servers[index];
		struct guard_limits limits = limits_of(server);

		if (guard_take(&service->board, service->slot_index, server->row, &limits)) {
			*chosen = server;
			return CHOICE_TAKEN;
		}
		servers[index].is_able = false; /* somebody was faster */
	}
	return CHOICE_WAIT;
}

bool
upstream_has_room(const struct upstream *upstream)
{
	const struct upstream_plan *plan = upstream->plan;

	for (size_t i = 0; i < plan->server_count; i++) {
		const struct upstream_server *server = plan->servers[i];
		struct guard_limits limits = limits_of(server);
		uint64_t verdict;

		if (server->is_open && is_up(server, &verdict) && !is_drained(server) &&
			guard_has_room(&upstream->service->board, server->row, &limits)) {
			return true;
		}
	}
	return false;
}
