/*
 * The least TCP proxy that is still correct: N processes share one listener, each with a
 * level-triggered epoll set of its own; every client gets a connection to the one back end, and
 * bytes, ends and resets are passed on both ways. It has no timeouts, no statistics, no limits, no
 * choice of servers and no supervision: what it spends per operation is what the kernel asks, and
 * so it is the floor for proxies that do have them.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/bench_address.h"
#include "tests/bench/yardstick.h"
#include "tests/bench/yardstick_lane.h"

#define EVENTS_MAX     256
#define SPARE_FD_COUNT 64 /* pipes among them */

struct session;

struct side {
	struct session *session;
	int fd;
	uint32_t watched; /* 0: not in the epoll set */
	bool may_read; /* edge-triggered: it was told of bytes and not read until there were none */
	bool is_ending; /* its end or an error was announced: a short read is not the last word */
	bool has_ended; /* its last byte was read */
	bool is_shut;   /* it was told that the other one has ended */
	struct kept *kept; /* read here, not taken by the other side yet */
};

struct session {
	struct side client;
	struct side back;
	bool is_connecting;
	bool is_over;
	struct session *next_over;
};

struct proxy {
	const struct bench_address *target;
	int listener_fd;
	int epoll_fd;
	bool is_listening;
	size_t open_count;
	size_t open_max;
	struct mover mover;
	/* Their memory goes when the batch of events is past: it may hold one more for them. */
	struct session *over;
};

struct plan {
	int listener_fd;
	struct bench_address target;
	bool splices;
};

static struct side *
other_side(struct side *side)
{
	struct session *session = side->session;

	return side == &session->client ? &session->back : &session->client;
}

/* --- what to wait for --- */

static uint32_t
wanted_by_level(struct side *side)
{
	bool is_connecting = side->session->is_connecting;
	bool reads = !is_connecting && !side->has_ended && side->kept == NULL;
	bool writes = is_connecting ? side == &side->session->back : other_side(side)->kept != NULL;

	return (reads ? EPOLLIN : 0u) | (writes ? EPOLLOUT : 0u);
}

/* What is once waited for stays so; a client is asked for its readiness to take bytes only after
 * it took too few, because it would tell of it at once. */
static uint32_t
wanted_by_edge(struct side *side)
{
	bool is_back = side == &side->session->back;
	bool writes = is_back || other_side(side)->kept != NULL;

	if (!is_back && side->session->is_connecting) {
		return 0;
	}
	return side->watched | EPOLLET | EPOLLIN | EPOLLRDHUP | (writes ? EPOLLOUT : 0u);
}

/* A side that waits for nothing leaves the set: its errors would be told again and again. */
static void
follow_side(struct proxy *proxy, struct side *side)
{
	uint32_t wanted = proxy->mover.splices ? wanted_by_level(side) : wanted_by_edge(side);

	if (wanted == side->watched) {
		return;
	}
	int operation = side->watched == 0 ? EPOLL_CTL_ADD
			: wanted == 0      ? EPOLL_CTL_DEL
					   : EPOLL_CTL_MOD;
	yardstick_watch(proxy->epoll_fd, operation, side->fd, wanted, side);
	side->watched = wanted;
}

/* With a shared queue a process that is full must leave it to the others, or it takes their
 * wake-ups. */
static void
follow_open_count(struct proxy *proxy)
{
	bool should_listen = proxy->open_count < proxy->open_max;

	if (should_listen == proxy->is_listening) {
		return;
	}
	yardstick_watch(proxy->epoll_fd, should_listen ? EPOLL_CTL_ADD : EPOLL_CTL_DEL,
		proxy->listener_fd, EPOLLIN | EPOLLEXCLUSIVE, NULL);
	proxy->is_listening = should_listen;
}

/* --- a session --- */

static void
close_side(struct proxy *proxy, struct side *side, bool resets)
{
	struct linger reset = {.l_onoff = 1, .l_linger = 0};

	mover_drop(&proxy->mover, &side->kept);
	if (side->fd < 0) {
		return;
	}
	if (resets) {
		setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	}
	close(side->fd);
}

static void
session_end(struct proxy *proxy, struct session *session, bool resets)
{
	close_side(proxy, &session->client, resets);
	close_side(proxy, &session->back, resets);
	session->is_over = true;
	session->next_over = proxy->over;
	proxy->over = session;
	proxy->open_count--;
	follow_open_count(proxy);
}

static bool
is_passed_on(const struct side *side)
{
	return side->has_ended && side->kept == NULL;
}

static void
pass_end_on(struct side *side)
{
	struct side *other = other_side(side);

	if (is_passed_on(side) && !other->is_shut) {
		shutdown(other->fd, SHUT_WR);
		other->is_shut = true;
	}
}

static void
session_settle(struct proxy *proxy, struct session *session)
{
	if (is_passed_on(&session->client) && is_passed_on(&session->back)) {
		session_end(proxy, session, false);
		return;
	}
	pass_end_on(&session->client);
	pass_end_on(&session->back);
	follow_side(proxy, &session->client);
	follow_side(proxy, &session->back);
}

/* Moves what a side has, as far as the other one takes it. false: one of them has failed. */
static bool
pump(struct proxy *proxy, struct side *side)
{
	while (side->may_read && side->kept == NULL && !side->has_ended) {
		enum lane_result result =
			mover_move(&proxy->mover, side->fd, other_side(side)->fd, &side->kept);

		if (result == LANE_FAILED) {
			return false;
		}
		side->has_ended = result == LANE_ENDED;
		/* Level-triggered: what is left brings it back here. */
		side->may_read = !proxy->mover.splices && result != LANE_EMPTY &&
				 (result != LANE_SHORT || side->is_ending);
	}
	return true;
}

static bool
side_step(struct proxy *proxy, struct side *side, uint32_t events)
{
	struct side *other = other_side(side);
	bool is_broken = (events & (EPOLLERR | EPOLLHUP)) != 0;

	side->may_read = side->may_read || is_broken || (events & (EPOLLIN | EPOLLRDHUP)) != 0;
	side->is_ending = side->is_ending || is_broken || (events & EPOLLRDHUP) != 0;
	if (side->session->is_connecting) {
		side->session->is_connecting = false;
		return !is_broken;
	}
	if (other->kept != NULL) {
		return mover_flush(&proxy->mover, side->fd, &other->kept) && pump(proxy, other) &&
		       pump(proxy, side);
	}
	return pump(proxy, side);
}

static void
on_side(struct proxy *proxy, struct side *side, uint32_t events)
{
	struct session *session = side->session;

	if (session->is_over) {
		return;
	}
	if (side_step(proxy, side, events)) {
		session_settle(proxy, session);
	} else {
		session_end(proxy, session, true);
	}
}

static int
connect_to(const struct bench_address *target)
{
	int on = 1;
	int fd =
		socket(bench_address_family(target), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)&target->socket_address, target->len) < 0 &&
		errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
session_begin(struct proxy *proxy)
{
	int fd = accept4(proxy->listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		return;
	}
	struct session *session = calloc(1, sizeof(*session));
	if (session == NULL) {
		yardstick_die("no memory");
	}
	session->client = (struct side){.session = session, .fd = fd};
	session->back = (struct side){.session = session, .fd = connect_to(proxy->target)};
	session->is_connecting = true;
	proxy->open_count++;
	follow_open_count(proxy);
	if (session->back.fd < 0) {
		session_end(proxy, session, true);
		return;
	}
	follow_side(proxy, &session->back);
}

/* --- the process --- */

static void
free_those_over(struct proxy *proxy)
{
	while (proxy->over != NULL) {
		struct session *next = proxy->over->next_over;

		free(proxy->over);
		proxy->over = next;
	}
}

static void
proxy_run(void *argument)
{
	const struct plan *plan = argument;
	static struct proxy proxy;
	struct epoll_event events[EVENTS_MAX];

	proxy.listener_fd = plan->listener_fd;
	proxy.target = &plan->target;
	proxy.open_max = (yardstick_descriptor_limit() - SPARE_FD_COUNT) / 2;
	proxy.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (proxy.epoll_fd < 0) {
		yardstick_die("epoll_create1");
	}
	mover_init(&proxy.mover, plan->splices);
	follow_open_count(&proxy);
	for (;;) {
		int count = epoll_wait(proxy.epoll_fd, events, EVENTS_MAX, -1);

		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == NULL) {
				session_begin(&proxy);
			} else {
				on_side(&proxy, events[i].data.ptr, events[i].events);
			}
		}
		free_those_over(&proxy);
	}
}

static void
fail_usage(void)
{
	fprintf(stderr, "usage: yardstick_proxy [-w PROCESSES] [-l ADDRESS:PORT] "
			"[-t BACK_END:PORT] [-b BACKLOG] [-s: splice]\n");
	exit(2);
}

int
main(int argc, char **argv)
{
	const char *listen_text = "127.0.0.1:7000";
	const char *target_text = "127.0.0.1:7100";
	struct plan plan = {.splices = false};
	int process_count = 2;
	int backlog = 65535;
	int option;

	while ((option = getopt(argc, argv, "w:l:t:b:s")) != -1) {
		switch (option) {
		case 'w':
			process_count = atoi(optarg);
			break;
		case 'l':
			listen_text = optarg;
			break;
		case 't':
			target_text = optarg;
			break;
		case 'b':
			backlog = atoi(optarg);
			break;
		case 's':
			plan.splices = true;
			break;
		default:
			fail_usage();
		}
	}
	if (bench_address_parse(target_text, &plan.target) < 0) {
		fail_usage();
	}
	plan.listener_fd = yardstick_listen(listen_text, backlog);
	return yardstick_run(process_count, proxy_run, &plan);
}
