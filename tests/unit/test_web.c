/* Who is let in, with clients on loopback. What they are answered is for the system tests. */
#include "monitor/web.h"

#include <stdlib.h>
#include <string.h>

#include "common/loop.h"
#include "monitor/reading.h"
#include "monitor/states.h"
#include "tests/unit/board_help.h"
#include "tests/unit/net_help.h"
#include "tests/unit/run.h"

#define TURN_MS 20

static struct board board;
static struct reading reading;
static struct states *states;
static struct ev_loop *loop;
static struct loop_timer turn;
static struct web *web;
static struct address address;

static void
on_look(void *owner, bool with_states, struct web_readings *readings)
{
	(void)owner;
	(void)with_states;
	*readings = (struct web_readings){&reading, &reading, &reading, states, 0};
}

static void
on_turn(struct ev_loop *ours, struct loop_timer *timer)
{
	(void)ours;
	(void)timer;
}

static void
setup(void)
{
	static const struct net_options options = {.backlog = 2 * WEB_CONNECTIONS_MAX};
	struct fault why;
	int fd;

	help_create_board(&board, 1);
	reading_take(&board, &reading);
	states = calloc(1, sizeof(*states));
	ck_assert_ptr_nonnull(states);
	loop = loop_new();
	loop_timer_init(&turn, on_turn);
	loop_timer_repeat(loop, &turn, TURN_MS);
	web = web_new(loop, &board, on_look, NULL);
	ck_assert_ptr_nonnull(web);
	address = help_any_port("127.0.0.1");
	fd = net_listen(&address, &options, &why);
	ck_assert_msg(fd >= 0, "%s", why.text);
	address = help_bound(fd, false);
	web_listen(web, fd);
}

static void
teardown(void)
{
	web_free(&web);
	loop_timer_stop(loop, &turn);
	ev_loop_destroy(loop);
	free(states);
	board_detach(&board);
}

static int
client(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(connect(fd, &address.any, address.len), 0);
	return fd;
}

/* As each second in the life of the monitor. */
static void
run_a_turn(void)
{
	web_tick(web);
	ev_run(loop, EVRUN_ONCE);
}

static size_t
count_closed(const int *clients, size_t count)
{
	size_t closed = 0;
	char byte;

	for (size_t i = 0; i < count; i++) {
		closed += recv(clients[i], &byte, 1, MSG_DONTWAIT) == 0;
	}
	return closed;
}

START_TEST(who_kept_us_waiting_makes_room_for_who_comes_and_for_nobody_else)
{
	int clients[WEB_CONNECTIONS_MAX], last;
	char answer[32] = "";

	for (size_t i = 0; i < WEB_CONNECTIONS_MAX; i++) {
		clients[i] = client();
	}
	last = client(); /* in the accept queue until the others have waited for long enough */
	ck_assert_int_eq(send(last, "GET /nothing HTTP/1.0\r\n\r\n", 25, 0), 25);
	while (recv(last, answer, sizeof(answer) - 1, MSG_DONTWAIT) < 0) {
		run_a_turn();
	}
	ck_assert_mem_eq(answer, "HTTP/1.1 404", 12);
	ck_assert_uint_eq(count_closed(clients, WEB_CONNECTIONS_MAX), 1);
	close(last);
	for (size_t i = 0; i < WEB_CONNECTIONS_MAX; i++) {
		close(clients[i]);
	}
}
END_TEST

UNIT_TESTS("web", tcase_add_checked_fixture(tests, setup, teardown);
	   tcase_add_test(tests, who_kept_us_waiting_makes_room_for_who_comes_and_for_nobody_else);)
