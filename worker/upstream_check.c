/* A check is a connection like a client's: it says what is configured, after the header that a
 * server with PROXY protocol wants, and compares what comes back. It costs a descriptor and a
 * watcher while it lasts. */
#include "worker/upstream_check.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/net.h"
#include "common/proxy_protocol.h"
#include "worker/guard.h"
#include "worker/service.h"
#include "worker/upstream_private.h"

enum check_result { CHECK_GOES_ON, CHECK_GOOD, CHECK_BAD };

static struct service *
service_of(const struct upstream_server *server)
{
	return server->upstream->service;
}

static const struct upstream_plan *
plan_of(const struct upstream_server *server)
{
	return server->upstream->plan;
}

void
upstream_check_init(struct upstream_check *check)
{
	ev_io_init(&check->watcher, NULL, -1, 0);
}

static void
go_on(struct upstream_server *server, const struct upstream_server *before)
{
	struct upstream_check *check = &server->check;
	int64_t latest_ms = service_of(server)->now_ms + plan_of(server)->check.interval_ms;

	check->good = before->check.good;
	check->bad = before->check.bad;
	check->next_ms = before->check.next_ms < latest_ms ? before->check.next_ms : latest_ms;
}

void
upstream_checks_go_on(struct upstream_plan *plan, const struct upstream_plan *before)
{
	for (size_t i = 0; i < plan->server_count; i++) {
		struct upstream_server *server = plan->servers[i];

		for (size_t k = 0; k < before->server_count; k++) {
			if (before->servers[k]->row == server->row &&
				address_equal(&before->servers[k]->address, &server->address)) {
				go_on(server, before->servers[k]);
			}
		}
	}
}

static bool
is_under_way(const struct upstream_check *check)
{
	return check->watcher.fd >= 0;
}

void
upstream_check_cancel(struct upstream_server *server)
{
	struct upstream_check *check = &server->check;

	if (is_under_way(check)) {
		ev_io_stop(service_of(server)->loop, &check->watcher);
		(void)close(check->watcher.fd);
		ev_io_set(&check->watcher, -1, 0);
		service_of(server)->descriptors_used--;
	}
}

/* --- one check --- */

/* The next one comes after the usual time, whatever became of this one. */
static void
check_put_off(struct upstream_server *server)
{
	server->check.next_ms = service_of(server)->now_ms + plan_of(server)->check.interval_ms;
}

/* @param cause  positive errno of a bad one */
static void
check_end(struct upstream_server *server, enum check_result result, int cause)
{
	struct upstream_check *check = &server->check;
	const struct upstream_plan *plan = plan_of(server);

	upstream_check_cancel(server);
	check_put_off(server);
	if (!upstream_place_is_current(server)) {
		return; /* it says nothing of the address that is there now */
	}
	stat_add(&server->cells->stats[STAT_SERVER_checks], 1);
	if (result == CHECK_GOOD) {
		check->bad = 0;
		check->good++;
	} else {
		stat_add(&server->cells->stats[STAT_SERVER_checks_failed], 1);
		check->good = 0;
		check->bad++;
	}
	if (check->good >= (uint64_t)plan->rise) {
		upstream_decide(server, true, 0);
	} else if (check->bad >= (uint64_t)plan->fall) {
		upstream_decide(server, false, cause);
	}
}

/* The check speaks for itself, not for a client. */
static enum check_result
check_introduce(const struct upstream_server *server)
{
	const union peer nobody = {.any = {.sa_family = AF_UNSPEC}};
	unsigned char header[PROXY_WRITE_MAX];
	size_t len;

	if (plan_of(server)->send_proxy == SEND_PROXY_NONE) {
		return CHECK_GOES_ON;
	}
	len = proxy_header_write(plan_of(server)->send_proxy == SEND_PROXY_V1 ? PROXY_V1 : PROXY_V2,
		&nobody, &nobody, header);
	return send(server->check.watcher.fd, header, len, MSG_NOSIGNAL) == (ssize_t)len
		       ? CHECK_GOES_ON
		       : CHECK_BAD;
}

/* A new connection takes a few bytes at once, or it is not well. */
static enum check_result
check_speak(struct upstream_server *server)
{
	const struct upstream_plan *plan = plan_of(server);
	ssize_t len = (ssize_t)strlen(plan->check.send);

	if (check_introduce(server) == CHECK_BAD) {
		return CHECK_BAD;
	}
	if (plan->check.expect[0] == '\0') {
		return CHECK_GOOD;
	}
	return send(server->check.watcher.fd, plan->check.send, (size_t)len, MSG_NOSIGNAL) == len
		       ? CHECK_GOES_ON
		       : CHECK_BAD;
}

static enum check_result
check_listen(struct upstream_server *server)
{
	const char *expected = plan_of(server)->check.expect + server->check.matched;
	size_t len = strlen(expected);
	char answer[256];
	ssize_t got = recv(server->check.watcher.fd, answer,
		len < sizeof(answer) ? len : sizeof(answer), MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return CHECK_GOES_ON;
	}
	if (got <= 0 || memcmp(answer, expected, (size_t)got) != 0) {
		return CHECK_BAD;
	}
	server->check.matched += (size_t)got;
	return expected[got] == '\0' ? CHECK_GOOD : CHECK_GOES_ON;
}

static enum check_result
check_connected(struct upstream_server *server)
{
	struct upstream_check *check = &server->check;
	struct ev_loop *loop = service_of(server)->loop;
	enum check_result result = check_speak(server);

	if (result == CHECK_GOES_ON) {
		ev_io_stop(loop, &check->watcher);
		ev_io_set(&check->watcher, check->watcher.fd, EV_READ);
		ev_io_start(loop, &check->watcher);
	}
	return result;
}

static void
check_on_event(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct upstream_server *server =
		container_of(watcher, struct upstream_server, check.watcher);
	enum check_result result = CHECK_BAD;
	int error = 0;

	(void)loop;
	if ((events & EV_ERROR) != 0) {
		/* The kernel does not let us watch it: that says nothing about the server. */
		upstream_check_cancel(server);
		check_put_off(server);
		return;
	}
	if ((events & EV_READ) != 0) {
		result = check_listen(server);
	} else {
		error = net_socket_error(watcher->fd);
		if (error == 0) {
			result = check_connected(server);
		}
	}
	if (result != CHECK_GOES_ON) {
		check_end(server, result, error == 0 ? EBADMSG : error);
	}
}

static void
check_begin(struct upstream_server *server)
{
	static const struct net_options options = {.no_delay = true};
	struct upstream_check *check = &server->check;
	struct service *service = service_of(server);
	int fd = net_connect(&server->address, NULL, &options);

	check->deadline_ms = service->now_ms + plan_of(server)->check.timeout_ms;
	check->matched = 0;
	if (fd == -EADDRNOTAVAIL || fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM) {
		check_put_off(server);
		return; /* our own want says nothing about the server */
	}
	if (fd < 0) {
		check_end(server, CHECK_BAD, -fd);
		return;
	}
	service->descriptors_used++;
	ev_io_init(&check->watcher, check_on_event, fd, EV_WRITE);
	ev_io_start(service->loop, &check->watcher);
}

/* --- which --- */

static bool
is_due(struct upstream_server *server, int64_t now_ms)
{
	uint64_t verdict = board_server_verdict(&service_of(server)->board, server->row);
	bool is_down = verdict != 0 && !BOARD_VERDICT_IS_UP(verdict);

	if (!is_down && plan_of(server)->check.when == CHECK_DOWN) {
		server->check.good = server->check.bad = 0;
		return false;
	}
	if (is_down && now_ms < BOARD_VERDICT_SINCE(verdict) + plan_of(server)->check.interval_ms) {
		return false;
	}
	return now_ms >= server->check.next_ms;
}

static void
look_at(struct upstream_server *server, bool is_ours)
{
	struct upstream_check *check = &server->check;
	int64_t now_ms = service_of(server)->now_ms;

	if (!is_ours) {
		upstream_check_cancel(server);
		check->good = check->bad = 0; /* the next ones are not in a row with these */
	} else if (is_under_way(check) && now_ms >= check->deadline_ms) {
		check_end(server, CHECK_BAD, ETIMEDOUT);
	} else if (!is_under_way(check) && server->is_open && is_due(server, now_ms)) {
		check_begin(server);
	}
}

/* Whether no worker of a lower slot serves and makes progress. */
static bool
is_our_duty(const struct service *service)
{
	for (int i = 0; i < service->slot_index; i++) {
		struct board_slot *slot = &service->board.slots[i];
		int64_t progress_ms =
			atomic_load_explicit(&slot->progress_ms, memory_order_relaxed);

		if (atomic_load_explicit(&slot->state, memory_order_relaxed) ==
				BOARD_WORKER_SERVING &&
			service->now_ms - progress_ms <= GUARD_STALL_MS) {
			return false;
		}
	}
	return atomic_load_explicit(&service->slot->state, memory_order_relaxed) ==
	       BOARD_WORKER_SERVING;
}

void
upstream_checks_look(struct service *service)
{
	bool is_ours = service->upstreams != NULL && is_our_duty(service);

	for (struct upstream *upstream = service->upstreams; upstream != NULL;
		upstream = upstream->next) {
		if (upstream->is_configured) {
			upstream_places_refresh(upstream);
		}
		for (size_t i = 0; upstream->is_configured && i < upstream->plan->server_count;
			i++) {
			look_at(upstream->plan->servers[i], is_ours);
		}
	}
}
