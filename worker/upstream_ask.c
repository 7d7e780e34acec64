/* A request's way from asking to the end. The steps that call back do so as their last act: the
 * request may be gone afterwards. */
#include <assert.h>
#include <errno.h>

#include "worker/upstream_private.h"

static void
request_end(struct upstream_request *request)
{
	upstream_server_release(&request->server);
	request->state = UPSTREAM_IDLE;
	upstream_release(&request->upstream);
}

static void
request_refuse(struct upstream_request *request, enum close_reason reason)
{
	request_end(request);
	request->on_refused(request, reason);
}

static void
request_grant(struct upstream_request *request, struct upstream_server *server)
{
	server->references++;
	request->server = server;
	request->state = UPSTREAM_CONNECTING;
	request->on_granted(request);
}

static bool
is_candidate(const struct upstream_request *request, size_t index)
{
	return (request->tried >> index & 1) == 0 &&
	       request->upstream->plan->servers[index]->weight > 0;
}

static void
request_try(struct upstream_request *request)
{
	struct upstream *upstream = request->upstream;
	size_t count = upstream->plan->server_count;

	for (size_t i = 0; i < count; i++) {
		size_t index = upstream->turn++ % count;

		if (is_candidate(request, index)) {
			request_grant(request, upstream->plan->servers[index]);
			return;
		}
	}
	request_refuse(request, request->failure);
}

void
upstream_ask(struct upstream *upstream, struct upstream_request *request, const union peer *client)
{
	assert(request->state == UPSTREAM_IDLE);
	(void)client;
	request->upstream = upstream_hold(upstream);
	request->tried = 0;
	request->failure = CLOSE_no_server;
	request_try(request);
}

static void
mark_tried(struct upstream_request *request)
{
	const struct upstream_plan *plan = request->upstream->plan;

	for (size_t i = 0; i < plan->server_count; i++) {
		if (plan->servers[i] == request->server) {
			request->tried |= UINT64_C(1) << i;
		}
	}
}

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
		return CLOSE_no_memory;
	default:
		return CLOSE_connect_failed;
	}
}

void
upstream_connect_failed(struct upstream_request *request, int error)
{
	enum close_reason reason = reason_of(error);

	assert(request->state == UPSTREAM_CONNECTING);
	request->failure = (uint8_t)reason;
	if (reason == CLOSE_no_port || reason == CLOSE_no_memory) {
		request_refuse(request, reason);
		return;
	}
	mark_tried(request);
	upstream_server_release(&request->server);
	request_try(request);
}

void
upstream_connected(struct upstream_request *request, unsigned syn_retries)
{
	assert(request->state == UPSTREAM_CONNECTING);
	(void)syn_retries;
	request->state = UPSTREAM_UNPROVEN;
}

void
upstream_prove(struct upstream_request *request)
{
	request->state = UPSTREAM_PROVEN;
}

void
upstream_done(struct upstream_request *request)
{
	if (request->state != UPSTREAM_IDLE) {
		request_end(request);
	}
}

void
upstream_count(
	struct upstream_request *request, uint64_t to_server_bytes, uint64_t from_server_bytes)
{
	request->server->to_server_bytes += to_server_bytes;
	request->server->from_server_bytes += from_server_bytes;
}
