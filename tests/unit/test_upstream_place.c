/* What a worker makes of the addresses that the master writes on the board. */
#include <errno.h>

#include "tests/unit/net_help.h"
#include "tests/unit/place_help.h"
#include "tests/unit/upstream_help.h"

#define PLACES 3

static void
use(const char *options)
{
	help_commit_upstream(help_load_upstream(
		options, "{ name = \"j\"; address = \"java:80\"; addresses = 3; }"));
}

/* As the master does. */
static void
answer(const char *places)
{
	struct board_place is[PLACES];

	ck_assert_uint_eq(help_places(places, is), PLACES);
	for (int i = 0; i < PLACES; i++) {
		board_write_place(&board, i, &is[i], false);
	}
	atomic_store(&board.writable->servers[0].lookup.state, BOARD_LOOKUP_ANSWERED);
}

static void
ask_from(int session, unsigned client_byte)
{
	union peer client = {.in4 = {.sin_family = AF_INET, .sin_addr = {htonl(client_byte)}}};

	upstream_ask(upstream, &sessions[session].request, &client);
}

static unsigned
address_of(int session)
{
	ck_assert_int_eq(sessions[session].granted, 1);
	return ntohl(sessions[session].request.server->address.in4.sin_addr.s_addr) & 0xff;
}

START_TEST(who_comes_before_the_first_answer_waits_for_it)
{
	use("on_down = \"refuse\";");
	ask_from(0, 1);
	ck_assert_int_eq(sessions[0].granted + sessions[0].refused, 0);
	answer("7 . .");
	upstreams_look(&service);
	ck_assert_uint_eq(address_of(0), 7);
}
END_TEST

START_TEST(who_may_not_wait_is_refused_with_the_reason_once_a_lookup_has_failed)
{
	use("on_down = \"refuse\";");
	ask_from(0, 1);
	atomic_store(&board.writable->servers[0].lookup.state, BOARD_LOOKUP_FAILING);
	upstreams_look(&service);
	ck_assert_int_eq(sessions[0].refused, 1);
	ck_assert_int_eq(sessions[0].reason, CLOSE_no_address);
}
END_TEST

START_TEST(who_waits_in_vain_is_told_that_there_was_no_address)
{
	use("queue_timeout = \"1s\";");
	ask_from(0, 1);
	(void)deadlines_expire(&service.deadlines, service.now_ms + 1001, SIZE_MAX);
	ck_assert_int_eq(sessions[0].reason, CLOSE_no_address);
}
END_TEST

START_TEST(new_clients_go_to_the_new_address_and_old_sessions_keep_theirs)
{
	use("");
	answer("7 . .");
	ask_from(0, 1);
	ck_assert_uint_eq(address_of(0), 7);
	answer("-7 8 .");
	ask_from(1, 1);
	ck_assert_uint_eq(address_of(1), 8);
	answer("9 8 ."); /* the place is taken by another address */
	ask_from(2, 1);
	ask_from(3, 1);
	ck_assert_uint_eq(address_of(2) + address_of(3), 9 + 8);
	ck_assert_uint_eq(address_of(0), 7);
}
END_TEST

START_TEST(a_failed_connect_says_nothing_of_the_address_that_came_meanwhile)
{
	use("check = { fall = 1; };");
	answer("7 . .");
	ask_from(0, 1);
	answer("9 . .");
	upstreams_look(&service);
	ask_from(1, 1); /* the worker looks at the board when it chooses */
	ck_assert_uint_eq(address_of(1), 9);
	upstream_connect_failed(&sessions[0].request, ECONNREFUSED);
	ck_assert_uint_eq(board_server_verdict(&board, 0), 0);
	upstream_connect_failed(&sessions[1].request, ECONNREFUSED);
	ck_assert_uint_ne(board_server_verdict(&board, 0), 0);
}
END_TEST

/* At 127.0.0.1:1 nobody listens. */
START_TEST(a_check_says_nothing_of_the_address_that_came_meanwhile)
{
	struct board_place place = help_place(1);
	struct upstream_check *check;

	place.host.s6_addr[12] = 127;
	place.port = 1;
	use("check = { when = \"always\"; fall = 1; };");
	board_write_place(&board, 0, &place, true);
	upstream_checks_look(&service);
	check = &upstream->plan->servers[0]->check;
	ck_assert(help_waits(check->watcher.fd, POLLOUT, HELP_WAIT_MS));
	answer("9 . .");
	ev_invoke(service.loop, &check->watcher, EV_WRITE);
	ck_assert_int_eq(check->watcher.fd, -1);
	ck_assert_uint_eq(board_server_verdict(&board, 0), 0);
}
END_TEST

START_TEST(backups_of_an_answer_serve_when_nobody_else_does)
{
	use("");
	answer("7! 8 .");
	ask_from(0, 1);
	ask_from(1, 1);
	ck_assert_uint_eq(address_of(0), 8);
	ck_assert_uint_eq(address_of(1), 8);
	answer("7! -8 .");
	ask_from(2, 1);
	ck_assert_uint_eq(address_of(2), 7);
}
END_TEST

/* Which address each of many clients gets. */
static void
choices(unsigned *got, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		sessions[0].granted = 0;
		ask_from(0, 0x0a010000 + i);
		got[i] = address_of(0);
		upstream_done(&sessions[0].request);
	}
}

#define CLIENTS 200

START_TEST(client_hash_goes_by_the_address_wherever_its_place_is)
{
	unsigned before[CLIENTS], after[CLIENTS], moved = 0;

	use("balance = \"client_hash\";");
	answer("7 8 9");
	choices(before, CLIENTS);
	answer("9 7 8"); /* as another machine may have put them */
	choices(after, CLIENTS);
	ck_assert_mem_eq(before, after, sizeof(before));
	answer("9 7 -8");
	choices(after, CLIENTS);
	for (unsigned i = 0; i < CLIENTS; i++) {
		ck_assert_uint_ne(after[i], 8);
		moved += before[i] != 8 && before[i] != after[i];
	}
	ck_assert_uint_lt(moved, CLIENTS / 10); /* those of the others stay where they are */
}
END_TEST

START_TEST(weights_of_an_answer_count)
{
	struct board_place is[PLACES];
	unsigned nines = 0, got[12];

	use("");
	(void)help_places("7 9 .", is);
	is[0].weight = 1;
	is[1].weight = 3;
	board_write_place(&board, 0, &is[0], true);
	board_write_place(&board, 1, &is[1], true);
	choices(got, 12);
	for (unsigned i = 0; i < 12; i++) {
		nines += got[i] == 9;
	}
	ck_assert_uint_eq(nines, 9);
}
END_TEST

START_TEST(a_reload_begins_with_the_addresses_that_are_there)
{
	use("");
	answer("7 . .");
	ask_from(0, 1);
	use("queue_max = 5;");
	ask_from(1, 1);
	ck_assert_uint_eq(address_of(1), 7);
}
END_TEST

UNIT_TESTS("upstream_place", tcase_add_checked_fixture(tests, upstream_setup, upstream_teardown);
	   tcase_add_test(tests, who_comes_before_the_first_answer_waits_for_it); tcase_add_test(
		   tests, who_may_not_wait_is_refused_with_the_reason_once_a_lookup_has_failed);
	   tcase_add_test(tests, who_waits_in_vain_is_told_that_there_was_no_address);
	   tcase_add_test(tests, new_clients_go_to_the_new_address_and_old_sessions_keep_theirs);
	   tcase_add_test(tests, a_failed_connect_says_nothing_of_the_address_that_came_meanwhile);
	   tcase_add_test(tests, a_check_says_nothing_of_the_address_that_came_meanwhile);
	   tcase_add_test(tests, backups_of_an_answer_serve_when_nobody_else_does);
	   tcase_add_test(tests, client_hash_goes_by_the_address_wherever_its_place_is);
	   tcase_add_test(tests, weights_of_an_answer_count);
	   tcase_add_test(tests, a_reload_begins_with_the_addresses_that_are_there);)
