/* A request's way from asking to the end. Steps that call back do so as their last act: the
 * request may be gone afterwards, and the callback may have asked, failed or ended others. */
#include <assert.h>
#include <errno.h>

#include "common/board_wait.h"
#include "common/clock.h"
#include "common/network.h"
#include "common/siphash.h"
#include "worker/guard.h"
#include "worker/service.h"
#include "worker/upstream_private.h"

static struct service *
service_of(const struct upstream_request *request)
{
	return request->upstream->service;
}

/* --- the queue of this worker --- */

static void
queue_publish(const struct upstream *upstream)
{
	guard_publish(&upstream->service->board, upstream->service->slot_index, upstream->row,
		upstream->first == NULL ? 0 : upstream->first->ticket);
}

static board_cell *
waiting_cell(const struct upstream *upstream)
{
	return &upstream->service->slot->upstreams[upstream->row].waiting;
}

/* One whose connect failed keeps its ticket, which is older than those at the end. */
static void
queue_add(struct upstream_request *request)
{
	struct upstream *upstream = request->upstream;
	struct upstream_request *before = upstream->last;

	while (before != NULL && before->ticket > request->ticket) {
		before = before->prev;
	}
	request->prev = before;
	request->next = before == NULL ? upstream->first : before->next;
	*(before == NULL ? &upstream->first : &before->next) = request;
	*(request->next == NULL ? &upstream->last : &request->next->prev) = request;
	request->state = UPSTREAM_WAITING;
	stat_add(waiting_cell(upstream), 1);
	if (before == NULL) {
		queue_publish(upstream);
	}
}

static void
queue_remove(struct upstream_request *request)
{
	struct upstream *upstream = request->upstream;
	bool was_first = request->prev == NULL;

	*(was_first ? &upstream->first : &request->prev->next) = request->next;
	*(request->next == NULL ? &upstream->last : &request->next->prev) = request->prev;
	request->prev = request->next = NULL;
	stat_add(waiting_cell(upstream), (uint64_t)-1);
	if (was_first) {
		queue_publish(upstream);
	}
}

/* Every server was tried just now. Until it may try again it does not stand in the way of those
 * behind it; it keeps its ticket, and is still one who waits. */
static void
queue_pause(struct upstream_request *request)
{
	queue_remove(request);
	stat_add(waiting_cell(request->upstream), 1);
	request->state = UPSTREAM_PAUSING;
}

static void
queue_resume(struct upstream_request *request)
{
	stat_add(waiting_cell(request->upstream), (uint64_t)-1);
	queue_add(request);
}

/* Whoever leaves the head of the queue or frees a place lets the next one look: it may be in
 * another worker. */
static void
wake_next(struct upstream *upstream)
{
	struct service *service = upstream->service;
	int first = guard_first(&service->board, upstream->row, service->now_ms);

	if (first >= 0 && upstream_has_room(upstream)) {
		wakers_wake(service, first);
	}
}

/* --- ends --- */

static enum guard_stage
stage_of(const struct upstream_request *request)
{
	switch (request->state) {
	case UPSTREAM_SETTLED:
		return GUARD_SETTLED;
	case UPSTREAM_PROVEN:
		return GUARD_PROVEN;
	default:
		return GUARD_UNPROVEN;
	}
}

static void
give_back(struct upstream_request *request)
{
	const struct service *service = service_of(request);

	if (request->server != NULL) {
		guard_give_back(&service->board, service->slot_index, request->server->row,
			stage_of(request));
		upstream_server_release(&request->server);
		wake_next(request->upstream);
	}
}

static void
request_end(struct upstream_request *request)
{
	deadline_clear(&request->patience);
	if (request->state == UPSTREAM_PAUSING) {
		queue_resume(request);
	}
	if (request->state == UPSTREAM_WAITING) {
		queue_remove(request);
		wake_next(request->upstream);
	}
	give_back(request);
	request->state = UPSTREAM_IDLE;
	upstream_plan_release(&request->plan);
	upstream_release(&request->upstream);
}

static void
request_refuse(struct upstream_request *request, enum close_reason reason)
{
	request_end(request);
	request->on_refused(request, reason);
}

void
upstream_done(struct upstream_request *request)
{
	if (request->state != UPSTREAM_IDLE) {
		request_end(request);
	}
}

void
upstream_on_queue_timeout(struct deadline *deadline)
{
	struct upstream_request *request =
		container_of(deadline, struct upstream_request, patience);

	enum close_reason reason = (enum close_reason)request->failure;

	if (reason == CLOSE_no_server) {
		reason = upstream_lack(request->upstream) == CLOSE_no_address ? CLOSE_no_address
									      : CLOSE_queue_timeout;
	}
	request_refuse(request, reason);
}

/* --- grants --- */

static void
request_grant(struct upstream_request *request, struct upstream_server *server)
{
	deadline_clear(&request->patience);
	queue_remove(request);
	request->server = upstream_server_hold(server);
	request->state = UPSTREAM_CONNECTING;
	stat_add(&server->cells->stats[STAT_SERVER_sessions], 1);
	request->on_granted(request);
}

/* Whether a failed connect is, when no other server is left to try. */
static bool
is_last_word(const struct upstream_request *request)
{
	return request->upstream->plan->refuses_when_down || request->failure == CLOSE_no_port;
}

/* @return whether the first in the queue is settled, one way or the other */
static bool
serve_first(struct upstream *upstream)
{
	struct upstream_request *request = upstream->first;
	struct upstream_server *server;

	switch (upstream_choose(request, &server)) {
	case CHOICE_TAKEN:
		request_grant(request, server);
		return true;
	case CHOICE_NONE:
		if (request->tried != 0 && is_last_word(request)) {
			request_refuse(request, (enum close_reason)request->failure);
			return true;
		}
		if (upstream->plan->refuses_when_down && !upstream_is_asking(upstream)) {
			request_refuse(request, upstream_lack(upstream));
			return true;
		}
		if (request->tried != 0) {
			queue_pause(request);
			return true;
		}
		return false;
	default:
		return false;
	}
}

static bool
is_our_turn(const struct upstream *upstream)
{
	const struct service *service = upstream->service;

	return upstream->first != NULL &&
	       guard_first(&service->board, upstream->row, service->now_ms) == service->slot_index;
}

void
upstream_pump(struct upstream *upstream)
{
	struct upstream *held;

	if (upstream->is_pumping) {
		upstream->must_pump_again = true;
		return;
	}
	held = upstream_hold(upstream);
	upstream->is_pumping = true;
	do {
		upstream->must_pump_again = false;
		while (is_our_turn(upstream) && serve_first(upstream)) {
		}
	} while (upstream->must_pump_again);
	upstream->is_pumping = false;
	if (!is_our_turn(upstream)) {
		wake_next(upstream);
	}
	upstream_release(&held);
}

/* --- asking --- */

/* Every machine must choose the same server for a client, so the key is no secret. */
static uint64_t
hash_client(const union peer *client)
{
	static const struct siphash_key key = {0x6163636570746421, 0x75707374726561};
	struct in6_addr source;

	return network_source_of(client, &source) ? siphash(&key, &source, sizeof(source)) : 0;
}

static bool
is_queue_full(const struct upstream *upstream)
{
	return upstream->plan->queue_max > 0 &&
	       board_waiting(&upstream->service->board, upstream->row) >=
		       (uint64_t)upstream->plan->queue_max;
}

static void
request_wait(struct upstream_request *request, struct deadline_list *list)
{
	struct upstream *upstream = request->upstream;
	struct service *service = upstream->service;

	queue_add(request);
	deadline_set(&service->deadlines, &request->patience, list, service->now_ms);
	upstream_pump(upstream);
}

void
upstream_ask(struct upstream *upstream, struct upstream_request *request, const union peer *client)
{
	struct service *service = upstream->service;

	assert(request->state == UPSTREAM_IDLE);
	request->upstream = upstream_hold(upstream);
	request->plan = upstream->plan;
	request->plan->references++;
	request->tried = 0;
	request->failure = CLOSE_no_server;
	request->hash = request->plan->table == NULL ? 0 : hash_client(client);
	if (is_queue_full(upstream)) {
		request_refuse(request, CLOSE_queue_full);
		return;
	}
	upstream->last_ticket = request->ticket =
		guard_ticket(clock_monotonic_us(), service->slot_index, upstream->last_ticket);
	request_wait(request, request->plan->queueing);
}

/* --- connecting --- */

static enum close_reason
reason_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
	case ENOENT: /* a unix socket */
		return CLOSE_connect_refused;
	case ETIMEDOUT:
		return CLOSE_connect_timeout;
	case EADDRNOTAVAIL:
		return CLOSE_no_port;
	case ENOMEM:
	case ENOBUFS:
	case EMFILE:
	case ENFILE:
		return CLOSE_no_memory;
	default:
		return CLOSE_connect_failed;
	}
}

static void
count_failure(struct upstream_server *server, enum close_reason reason)
{
	static const enum stat_server_index rows[CLOSE_COUNT] = {
		[CLOSE_connect_refused] = STAT_SERVER_connect_refused,
		[CLOSE_connect_timeout] = STAT_SERVER_connect_timeouts,
		[CLOSE_connect_failed] = STAT_SERVER_connect_failures,
		[CLOSE_no_port] = STAT_SERVER_no_port,
	};

	if (reason != CLOSE_no_memory) {
		stat_add(&server->cells->stats[rows[reason]], 1);
	}
}

/* After a reload the bits count other servers. */
static void
mark_tried(struct upstream_request *request)
{
	const struct upstream_plan *plan = request->upstream->plan;

	for (size_t i = 0; i < plan->server_count; i++) {
		if (plan->servers[i]->row == request->server->row) {
			request->tried |= UINT64_C(1) << i;
		}
	}
}

void
upstream_connect_failed(struct upstream_request *request, int error)
{
	enum close_reason reason = reason_of(error);

	assert(request->state == UPSTREAM_CONNECTING);
	request->failure = (uint8_t)reason;
	count_failure(request->server, reason);
	if (reason == CLOSE_no_memory) {
		request_refuse(request, reason);
		return;
	}
	if (reason != CLOSE_no_port) {
		upstream_judge_connect(request->server, error);
	}
	if (request->plan != request->upstream->plan) {
		request->tried = 0;
		upstream_plan_release(&request->plan);
		request->plan = request->upstream->plan;
		request->plan->references++;
	}
	mark_tried(request);
	give_back(request);
	request_wait(request, request->plan->retrying);
}

/* A server that is just restarted refuses for a moment, and a client from which it got nothing
 * loses nothing by waiting. Its servers' health decides when it is no use to try: then it waits in
 * the queue for one to come up. */
void
upstream_on_retry(struct deadline *deadline)
{
	struct upstream_request *request =
		container_of(deadline, struct upstream_request, patience);
	struct service *service = service_of(request);
	int64_t waited_ms = service->now_ms - guard_ticket_ms(request->ticket);

	if (waited_ms >= request->plan->queueing->length_ms) {
		request_refuse(request, (enum close_reason)request->failure);
		return;
	}
	request->tried = 0;
	deadline_set(
		&service->deadlines, &request->patience, request->plan->retrying, service->now_ms);
	if (request->state == UPSTREAM_PAUSING) {
		queue_resume(request);
		upstream_pump(request->upstream);
	}
}

void
upstream_connected(struct upstream_request *request, unsigned syn_retries)
{
	struct upstream_server *server = request->server;
	struct service *service = service_of(request);

	assert(request->state == UPSTREAM_CONNECTING);
	stat_add(&server->cells->stats[STAT_SERVER_connected], 1);
	stat_add(&server->cells->stats[STAT_SERVER_syn_retries], syn_retries);
	upstream_judge_connect(server, 0);
	request->state = UPSTREAM_UNPROVEN;
	if (server->backlog > 0) {
		request->connected_ms = clock_monotonic_ms(); /* the turn began before it was */
		deadline_set(&service->deadlines, &request->patience, request->plan->settling,
			service->now_ms);
	} else { /* nobody paces by it; should a reload begin to, it has been accepted long ago */
		upstream_prove(request);
	}
}

void
upstream_prove(struct upstream_request *request)
{
	const struct service *service = service_of(request);
	enum guard_stage stage = stage_of(request);

	deadline_clear(&request->patience);
	request->state = UPSTREAM_PROVEN;
	guard_move(&service->board, service->slot_index, request->server->row, stage, GUARD_PROVEN);
	if (request->server->backlog > 0) {
		wake_next(request->upstream);
	}
}

void
upstream_on_settled(struct deadline *deadline)
{
	struct upstream_request *request =
		container_of(deadline, struct upstream_request, patience);
	struct service *service = service_of(request);
	int row = request->server->row;

	assert(request->state == UPSTREAM_UNPROVEN);
	if (!guard_may_settle(&service->board, row, request->connected_ms)) {
		deadline_set(&service->deadlines, &request->patience, request->plan->sampling,
			service->now_ms);
		return;
	}
	request->state = UPSTREAM_SETTLED;
	guard_move(&service->board, service->slot_index, row, GUARD_UNPROVEN, GUARD_SETTLED);
	wake_next(request->upstream);
}
