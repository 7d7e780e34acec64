/* Servers that are places of a name: the master writes their addresses on the board, and a worker
 * that sees the count of changes grow replaces what it knows, object by object, so that sessions
 * keep what they have. */
#include <stdlib.h>

#include "worker/service.h"
#include "worker/upstream_private.h"

uint32_t
upstream_placings(const struct upstream *upstream)
{
	const struct board_upstream_head *head =
		&upstream->service->board.master->upstreams[upstream->row];

	return atomic_load_explicit(
		(_Atomic uint32_t *)(uintptr_t)&head->placings, memory_order_acquire);
}

static void
use_place(struct upstream_server *server, const struct board_place *place)
{
	server->is_open = place->state == BOARD_PLACE_HELD;
	if (place->state == BOARD_PLACE_EMPTY) {
		return; /* what sessions go to goes on being known */
	}
	server->place = *place;
	board_place_address(place, &server->address);
	if (place->weight > 0) {
		server->weight = place->weight;
	}
}

void
upstream_place_read(struct upstream_server *server)
{
	struct board_place place;

	if (server->is_place) {
		board_read_place(&server->upstream->service->board, server->row, &place);
		use_place(server, &place);
	}
}

bool
upstream_place_is_current(const struct upstream_server *server)
{
	struct board_place place;

	if (!server->is_place) {
		return true;
	}
	board_read_place(&server->upstream->service->board, server->row, &place);
	return board_place_equal(&place, &server->place);
}

/* A place that has another address is another server. */
static struct upstream_server *
server_elsewhere(const struct upstream_server *server)
{
	struct upstream_server *other = malloc(sizeof(*other));

	if (other != NULL) {
		*other = *server;
		other->references = 1;
		other->check = (struct upstream_check){0};
		upstream_check_init(&other->check);
	}
	return other;
}

/* @return whether it is up to date now */
static bool
refresh_server(struct upstream_server **place)
{
	struct upstream_server *server = *place, *other;
	struct board_place is;

	if (!server->is_place) {
		return true;
	}
	board_read_place(&server->upstream->service->board, server->row, &is);
	if (is.state == BOARD_PLACE_EMPTY || server->address.len == 0 ||
		board_place_equal(&is, &server->place)) {
		use_place(server, &is);
		return true;
	}
	other = server_elsewhere(server);
	if (other == NULL) {
		server->is_open = false; /* better no clients than clients for the wrong address */
		return false;
	}
	upstream_check_cancel(server);
	use_place(other, &is);
	upstream_server_release(place);
	*place = other;
	return true;
}

void
upstream_places_refresh(struct upstream *upstream)
{
	struct upstream_plan *plan = upstream->plan;
	uint32_t placings = upstream_placings(upstream);
	bool is_done = true;

	if (plan->placings == placings) {
		return;
	}
	for (size_t i = 0; i < plan->server_count; i++) {
		is_done = refresh_server(&plan->servers[i]) && is_done;
	}
	upstream_plan_hash(plan);
	if (is_done) {
		plan->placings = placings; /* else once more at the next occasion */
	}
}

enum close_reason
upstream_lack(const struct upstream *upstream)
{
	const struct upstream_plan *plan = upstream->plan;

	for (size_t i = 0; i < plan->server_count; i++) {
		if (plan->servers[i]->is_open) {
			return CLOSE_no_server;
		}
	}
	return CLOSE_no_address;
}

bool
upstream_is_asking(const struct upstream *upstream)
{
	const struct upstream_plan *plan = upstream->plan;

	for (size_t i = 0; i < plan->server_count; i++) {
		const struct board_server_head *head =
			&upstream->service->board.master->servers[plan->servers[i]->row];

		if (head->place == 1 &&
			atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)&head->lookup.state,
				memory_order_relaxed) == BOARD_LOOKUP_NEW) {
			return true;
		}
	}
	return false;
}
