/* A worker's service on a board of its own, turned by hand, for the tests of worker/. Sockets are
 * real ones on loopback; time is the service's `now_ms`, which a test may move on. */
#pragma once

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/board.h"
#include "common/config.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "tests/unit/net_help.h"
#include "tests/unit/service_help.h"
#include "worker/acceptor.h"
#include "worker/admission.h"
#include "worker/conn.h"
#include "worker/ledger.h"
#include "worker/output.h"
#include "worker/service.h"
#include "worker/settings.h"

#define TURNS_MAX 400 /* of at most 100 ms each: a limit for what should have happened long ago */

struct room {
	struct board board;
	struct service service;
	struct listener_config config;
	struct settings *settings;
};

static struct room room;

static inline void
room_config_defaults(struct listener_config *config)
{
	static char name[] = "test";

	*config = (struct listener_config){.name = name,
		.protocol = PROTOCOL_echo,
		.idle_timeout_ms = 600000,
		.write_timeout_ms = 60000,
		.max_pending_bytes = 65536,
		.keepalive = {.idle_ms = 6000, .interval_ms = 3000, .probes = 2}};
}

/** Change room.config, then call this: clients from now on are served by it. */
static inline void
room_use_config(void)
{
	settings_release(&room.settings);
	room.settings = settings_new(&room.service, &room.config, 0, NULL);
	ck_assert_ptr_nonnull(room.settings);
}

static inline void
room_open(void)
{
	memset(&room, 0, sizeof(room));
	help_open_service(&room.service, &room.board);
	ck_assert_int_eq(board_listener_index(&room.board, "test"), 0);
	room_config_defaults(&room.config);
	room_use_config();
}

static inline uint64_t
room_closed(enum close_reason reason)
{
	return stat_get(&room.service.slot->listeners[0].closed[reason]);
}

static inline uint64_t
room_stat(enum stat_listener_index index)
{
	return stat_get(&room.service.slot->listeners[0].stats[index]);
}

static inline uint64_t
room_worker_stat(enum stat_worker_index index)
{
	return stat_get(&room.service.slot->stats[index]);
}

/* The books: accepted = open + closed, and the claims are the open connections. */
static inline void
room_check_books(void)
{
	uint64_t closed = 0, open = 0;

	for (size_t i = 0; i < CLOSE_COUNT; i++) {
		closed += room_closed((enum close_reason)i);
	}
	for (const struct conn *conn = room.service.conns; conn != NULL; conn = conn->next) {
		open++;
	}
	ck_assert_uint_eq(room_stat(STAT_LISTENER_open), open);
	ck_assert_uint_eq(room_worker_stat(STAT_WORKER_open), open);
	ck_assert_uint_eq(room_stat(STAT_LISTENER_accepted), open + closed);
	ck_assert_uint_eq(stat_get(&room.service.slot->listeners[0].claims), open);
	ck_assert_uint_eq(stat_get(&room.service.slot->claims), open);
}

static inline void
room_close(void)
{
	room_check_books();
	while (room.service.acceptors != NULL) {
		acceptor_close(room.service.acceptors);
	}
	while (room.service.conns != NULL) {
		conn_close(room.service.conns, CLOSE_drain);
	}
	settings_release(&room.settings);
	room_check_books();
	service_fini(&room.service);
}

/** One turn; sleeps until something happens, for 100 ms at most. */
static inline void
room_turn(void)
{
	service_turn(&room.service);
}

static inline void
room_on_alarm(struct ev_loop *loop, struct loop_timer *alarm)
{
	(void)loop;
	(void)alarm;
}

/** One turn for what is ready or due, and no waiting. */
static inline void
room_turn_at_once(void)
{
	struct loop_timer alarm;

	loop_timer_init(&alarm, room_on_alarm);
	loop_timer_start(room.service.loop, &alarm, 0);
	room_turn();
	loop_timer_stop(room.service.loop, &alarm);
}

#define room_turn_until(condition)                                                                 \
	do {                                                                                       \
		int turns_taken = 0;                                                               \
                                                                                                   \
		while (!(condition)) {                                                             \
			ck_assert_msg(                                                             \
				turns_taken++ < TURNS_MAX, "never became true: %s", #condition);   \
			room_turn();                                                               \
		}                                                                                  \
	} while (0)

/** Let time pass as far as deadlines are concerned. */
static inline void
room_pass_ms(int64_t ms)
{
	room.service.now_ms += ms;
	(void)deadlines_expire(&room.service.deadlines, room.service.now_ms, SIZE_MAX);
}

/** Serve one end of a new TCP connection. @return the client's end, blocking */
static inline int
room_client(void)
{
	struct address any = help_any_port("127.0.0.1"), bound;
	int listener = help_listen(&any, &help_options), client, fd;
	union peer peer = {.any = {.sa_family = AF_INET}};
	struct census census;

	bound = help_bound(listener, false);
	client = help_connect(&bound);
	fd = help_accept(listener);
	close(listener);
	ck_assert_int_eq(fcntl(client, F_SETFL, 0), 0);
	ck_assert_uint_eq(admission_claim(room.settings, 1, &census), 1);
	ck_assert_int_eq(conn_open(room.settings, fd, &peer, -1), 0);
	return client;
}

static inline void
client_send(int client, const void *bytes, size_t len)
{
	ck_assert_int_eq(send(client, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

/** What recv says now, after turns until it says something. @return as recv, or -errno */
static inline ssize_t
client_receive(int client, void *bytes, size_t len)
{
	ssize_t got;

	room_turn_until(help_waits(client, POLLIN, 0));
	got = recv(client, bytes, len, MSG_DONTWAIT);
	return got < 0 ? -errno : got;
}

static inline void
client_expect(int client, const unsigned char *bytes, size_t len)
{
	unsigned char got[4096];

	while (len > 0) {
		ssize_t part = client_receive(client, got, len < sizeof(got) ? len : sizeof(got));

		ck_assert_int_gt(part, 0);
		ck_assert_mem_eq(got, bytes, (size_t)part);
		bytes += part;
		len -= (size_t)part;
	}
}
