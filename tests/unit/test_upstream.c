#include "worker/upstream.h"

#include <errno.h>

#include "common/clock.h"
#include "tests/unit/upstream_help.h"
#include "worker/failures.h"
#include "worker/guard.h"

static const union peer client = {.any = {.sa_family = AF_INET}};

static void
use(const char *options, const char *servers)
{
	help_commit_upstream(help_load_upstream(options, servers));
}

static void
ask(int session)
{
	upstream_ask(upstream, &sessions[session].request, &client);
}

static const char *
server_of(int session)
{
	return sessions[session].request.server->name;
}

START_TEST(servers_come_in_turn)
{
	use("", "{ name = \"a\"; address = \"127.0.0.1:1\"; }, { name = \"b\"; address = "
		"\"127.0.0.1:2\"; }");
	ask(0);
	ask(1);
	ck_assert_str_eq(server_of(0), "a");
	ck_assert_str_eq(server_of(1), "b");
}
END_TEST

START_TEST(who_finds_no_place_waits_in_order)
{
	use("", "{ address = \"127.0.0.1:1\"; max_connections = 1; }");
	ask(0);
	ask(1);
	ask(2);
	ck_assert_int_eq(sessions[0].granted, 1);
	ck_assert_int_eq(sessions[1].granted + sessions[2].granted, 0);
	upstream_done(&sessions[0].request);
	upstreams_look(&service);
	ck_assert_int_eq(sessions[1].granted, 1);
	ck_assert_int_eq(sessions[2].granted, 0);
	upstream_done(&sessions[1].request);
	upstreams_look(&service);
	ck_assert_int_eq(sessions[2].granted, 1);
}
END_TEST

START_TEST(a_proven_connection_makes_room_for_the_next_connect)
{
	use("", "{ address = \"127.0.0.1:1\"; backlog = 1; }");
	ask(0);
	ask(1);
	ck_assert_int_eq(sessions[1].granted, 0);
	upstream_connected(&sessions[0].request, 0);
	upstreams_look(&service);
	ck_assert_int_eq(sessions[1].granted, 0);
	upstream_proven(&sessions[0].request);
	upstreams_look(&service);
	ck_assert_int_eq(sessions[1].granted, 1);
}
END_TEST

static void
pass_ms(int64_t ms)
{
	service.now_ms += ms;
	atomic_store(&service.slot->progress_ms, service.now_ms);
	(void)deadlines_expire(&service.deadlines, service.now_ms, SIZE_MAX);
}

/* A sample of the accept queue of the first server, taken after all that was done so far. */
static void
sample_queue(uint64_t depth, bool is_known)
{
	struct board_server_head *head = &board.writable->servers[0];

	stat_set(&head->queue_depth, depth);
	stat_set(&head->queue_limit, is_known ? 50 + 1 : 0);
	stat_set(&head->queue_sampled_ms, (uint64_t)clock_monotonic_ms() + GUARD_HANDSHAKE_MS + 1);
}

static void
expect_counts(uint64_t unproven, uint64_t settled)
{
	ck_assert_uint_eq(stat_get(&service.slot->servers[0].unproven), unproven);
	ck_assert_uint_eq(stat_get(&service.slot->servers[0].settled), settled);
}

/* One connection, which is all that the server's queue holds, and one client that waits. */
static void
connect_and_wait(void)
{
	use("settle_time = \"1s\";", "{ address = \"127.0.0.1:1\"; backlog = 1; }");
	ask(0);
	upstream_connected(&sessions[0].request, 0);
	ask(1);
	ck_assert_int_eq(sessions[1].granted, 0);
}

static bool
is_woken(void)
{
	return ev_is_pending(&service.wakers.soon);
}

START_TEST(a_silent_connection_has_settled_after_its_time)
{
	sample_queue(7, false);
	connect_and_wait();
	pass_ms(999);
	ck_assert_int_eq(sessions[0].request.state, UPSTREAM_UNPROVEN);
	expect_counts(1, 0);
	pass_ms(2);
	ck_assert_int_eq(sessions[0].request.state, UPSTREAM_SETTLED);
	expect_counts(0, 1);
	ck_assert(is_woken());
	upstreams_look(&service);
	ck_assert_int_eq(sessions[1].granted, 1);
}
END_TEST

START_TEST(none_settles_before_its_servers_queue_was_looked_at)
{
	bool was_sampled = _i == 1;

	if (was_sampled) {
		sample_queue(0, true);
		stat_add(&board.writable->servers[0].queue_sampled_ms, (uint64_t)-1000);
	}
	connect_and_wait();
	for (int i = 0; i < 30; i++) {
		pass_ms(UPSTREAM_SAMPLE_MS + 1);
		ck_assert_int_eq(sessions[0].request.state, UPSTREAM_UNPROVEN);
	}
	sample_queue(0, was_sampled);
	pass_ms(UPSTREAM_SAMPLE_MS + 1);
	ck_assert_int_eq(sessions[0].request.state, UPSTREAM_SETTLED);
	ck_assert(is_woken());
	upstreams_look(&service);
	ck_assert_int_eq(sessions[1].granted, 1);
}
END_TEST

/* How a connection that settled may leave the queue of a server that pauses. */
static const enum leaving {
	LEAVE_BYTE,
	LEAVE_END,
	LEAVE_SAMPLE
} leavings[] = {LEAVE_BYTE, LEAVE_END, LEAVE_SAMPLE};

START_TEST(nobody_follows_into_the_queue_of_a_server_that_pauses)
{
	connect_and_wait();
	sample_queue(1, true);
	pass_ms(1001);
	expect_counts(0, 1);
	upstreams_look(&service);
	ck_assert_int_eq(sessions[1].granted, 0);
	ck_assert(!is_woken());
	switch (leavings[_i]) {
	case LEAVE_BYTE:
		upstream_proven(&sessions[0].request);
		ck_assert_int_eq(sessions[0].request.state, UPSTREAM_PROVEN);
		break;
	case LEAVE_END:
		upstream_done(&sessions[0].request);
		break;
	default: /* the worker looks often enough by itself */
		sample_queue(0, true);
	}
	ck_assert_int_eq(is_woken(), leavings[_i] != LEAVE_SAMPLE);
	expect_counts(0, leavings[_i] == LEAVE_SAMPLE ? 1 : 0);
	upstreams_look(&service);
	ck_assert_int_eq(sessions[1].granted, 1);
}
END_TEST

/* Silent sessions of a server that nobody paces must not use up the backlog that a reload declares.
 */
START_TEST(without_a_declared_backlog_nobody_is_counted_as_queued)
{
	use("settle_time = \"1s\";", "{ address = \"127.0.0.1:1\"; }");
	ask(0);
	upstream_connected(&sessions[0].request, 0);
	expect_counts(0, 0);
	use("settle_time = \"1s\";", "{ address = \"127.0.0.1:1\"; backlog = 1; }");
	ask(1);
	ck_assert_int_eq(sessions[1].granted, 1);
}
END_TEST

START_TEST(patience_ends_with_the_queue_timeout)
{
	use("queue_timeout = \"1s\";", "{ address = \"127.0.0.1:1\"; max_connections = 1; }");
	ask(0);
	ask(1);
	(void)deadlines_expire(&service.deadlines, service.now_ms + 1001, SIZE_MAX);
	ck_assert_int_eq(sessions[1].refused, 1);
	ck_assert_int_eq(sessions[1].reason, CLOSE_queue_timeout);
}
END_TEST

START_TEST(a_full_queue_refuses)
{
	use("queue_max = 1;", "{ address = \"127.0.0.1:1\"; max_connections = 1; }");
	ask(0);
	ask(1);
	ask(2);
	ck_assert_int_eq(sessions[2].reason, CLOSE_queue_full);
	ck_assert_int_eq(sessions[1].refused, 0);
}
END_TEST

static const struct {
	int error;
	enum close_reason reason;
} failures[] = {{ECONNREFUSED, CLOSE_connect_refused}, {ETIMEDOUT, CLOSE_connect_timeout},
	{EHOSTUNREACH, CLOSE_connect_failed}, {EADDRNOTAVAIL, CLOSE_no_port},
	{EMFILE, CLOSE_no_memory}};

START_TEST(the_last_failure_is_the_reason)
{
	use("on_down = \"refuse\";", "{ address = \"127.0.0.1:1\"; }");
	ask(0);
	upstream_connect_failed(&sessions[0].request, failures[_i].error);
	ck_assert_int_eq(sessions[0].refused, 1);
	ck_assert_int_eq(sessions[0].reason, failures[_i].reason);
}
END_TEST

START_TEST(a_failed_connect_goes_to_another_server_and_then_to_the_backup)
{
	use("on_down = \"refuse\";",
		"{ name = \"a\"; address = \"127.0.0.1:1\"; }, { name = \"b\"; address = "
		"\"127.0.0.1:2\"; "
		"backup = true; }");
	ask(0);
	ck_assert_str_eq(server_of(0), "a");
	upstream_connect_failed(&sessions[0].request, ECONNREFUSED);
	ck_assert_int_eq(sessions[0].granted, 2);
	ck_assert_str_eq(server_of(0), "b");
	upstream_connect_failed(&sessions[0].request, ETIMEDOUT);
	ck_assert_int_eq(sessions[0].reason, CLOSE_connect_timeout);
}
END_TEST

START_TEST(who_failed_everywhere_tries_again_after_a_pause)
{
	use("", "{ address = \"127.0.0.1:1\"; }");
	ask(0);
	upstream_connect_failed(&sessions[0].request, ECONNREFUSED);
	ck_assert_int_eq(sessions[0].refused, 0);
	ck_assert_int_eq(sessions[0].granted, 1);
	ck_assert_uint_eq(stat_get(&service.slot->upstreams[0].waiting), 1);
	ask(1); /* is not in its way */
	ck_assert_int_eq(sessions[1].granted, 1);
	pass_ms(UPSTREAM_RETRY_MS + 1);
	ck_assert_int_eq(sessions[0].granted, 2);
	ck_assert_uint_eq(stat_get(&service.slot->upstreams[0].waiting), 0);
	upstream_connected(&sessions[0].request, 0);
}
END_TEST

START_TEST(who_leaves_in_the_pause_is_gone)
{
	use("", "{ address = \"127.0.0.1:1\"; }");
	ask(0);
	upstream_connect_failed(&sessions[0].request, ECONNREFUSED);
	upstream_done(&sessions[0].request);
	ck_assert_uint_eq(stat_get(&service.slot->upstreams[0].waiting), 0);
	pass_ms(UPSTREAM_RETRY_MS + 1);
	ck_assert_int_eq(sessions[0].granted, 1);
}
END_TEST

/* Not once more for each try. */
START_TEST(the_queue_timeout_counts_from_the_first_question)
{
	int64_t asked_ms = service.now_ms;
	int tries = 1;

	use("queue_timeout = \"1s\"; check = { fall = 1000; };", "{ address = \"127.0.0.1:1\"; }");
	ask(0);
	upstream_connect_failed(&sessions[0].request, ECONNREFUSED);
	while (sessions[0].refused == 0) {
		pass_ms(10);
		if (sessions[0].granted > tries) {
			tries++;
			upstream_connect_failed(&sessions[0].request, ECONNREFUSED);
		}
	}
	ck_assert_int_eq(sessions[0].reason, CLOSE_connect_refused);
	ck_assert_int_ge(service.now_ms - asked_ms, 1000);
	ck_assert_int_le(service.now_ms - asked_ms, 1000 + 2 * UPSTREAM_RETRY_MS);
	ck_assert_int_le(tries, 1 + 1000 / UPSTREAM_RETRY_MS);
}
END_TEST

START_TEST(want_of_ports_is_not_held_against_the_server)
{
	use("check = { fall = 1; };", "{ address = \"127.0.0.1:1\"; }");
	ask(0);
	upstream_connect_failed(&sessions[0].request, EADDRNOTAVAIL);
	ck_assert_int_eq(sessions[0].reason, CLOSE_no_port);
	ask(1);
	ck_assert_int_eq(sessions[1].granted, 1);
}
END_TEST

/* A port that is used up to one server is free to another. */
START_TEST(who_gets_no_port_to_one_server_goes_to_another)
{
	use("", "{ address = \"127.0.0.1:1\"; }, { address = \"127.0.0.1:2\"; }");
	ask(0);
	upstream_connect_failed(&sessions[0].request, EADDRNOTAVAIL);
	ck_assert_int_eq(sessions[0].granted, 2);
	ck_assert_str_eq(server_of(0), "127.0.0.1:2");
	upstream_connect_failed(&sessions[0].request, EADDRNOTAVAIL);
	ck_assert_int_eq(sessions[0].refused, 1);
	ck_assert_int_eq(sessions[0].reason, CLOSE_no_port);
}
END_TEST

START_TEST(failures_in_a_row_put_a_server_down_and_clients_wait)
{
	use("check = { fall = 2; };", "{ address = \"127.0.0.1:1\"; }");
	for (int i = 0; i < 2; i++) {
		ask(i);
		upstream_connect_failed(&sessions[i].request, ECONNREFUSED);
	}
	ask(2);
	pass_ms(UPSTREAM_RETRY_MS + 1);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(sessions[i].granted, i < 2 ? 1 : 0);
		ck_assert_int_eq(sessions[i].refused, 0);
	}
	stat_set(&service.slot->servers[0].verdict, BOARD_VERDICT(clock_monotonic_ms() + 1, true));
	upstreams_look(&service);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(sessions[i].granted, i < 2 ? 2 : 1);
	}
}
END_TEST

START_TEST(failures_of_other_workers_count_and_a_verdict_ends_the_run)
{
	use("check = { fall = 3; };", "{ address = \"127.0.0.1:1\"; }");
	board_open_slot(&board, 1);
	ask(0);
	ask(1);
	(void)failures_count(&board, 1, 0);
	upstream_connect_failed(&sessions[0].request, ECONNREFUSED);
	upstream_connected(&sessions[1].request, 0); /* what failed before counts no more */
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(board_server_verdict(&board, 0), 0);
		ck_assert_uint_eq(failures_count(&board, 1, 0), i + 1);
	}
	ask(2);
	upstream_connect_failed(&sessions[2].request, ECONNREFUSED);
	ck_assert_uint_ne(board_server_verdict(&board, 0), 0);
	ck_assert(!BOARD_VERDICT_IS_UP(board_server_verdict(&board, 0)));
	ck_assert_int_eq(board_server_cause(&board, 0), ECONNREFUSED);
	ck_assert_uint_eq(failures_in_row(&board, 0), 0);
}
END_TEST

/* As libev tells it, after it stopped the watcher. */
START_TEST(a_check_that_cannot_be_watched_says_nothing_of_the_server)
{
	struct upstream_check *check;
	int64_t used = service.descriptors_used;

	use("check = { when = \"always\"; fall = 1; };", "{ address = \"127.0.0.1:1\"; }");
	upstream_checks_look(&service);
	check = &upstream->plan->servers[0]->check;
	ck_assert_int_ge(check->watcher.fd, 0);
	ev_invoke(service.loop, &check->watcher, EV_ERROR | EV_READ | EV_WRITE);
	ck_assert_int_eq(check->watcher.fd, -1);
	ck_assert_int_eq(service.descriptors_used, used);
	ck_assert_int_gt(check->next_ms, service.now_ms);
	ck_assert_uint_eq(board_server_verdict(&board, 0), 0);
	ck_assert_uint_eq(stat_get(&service.slot->servers[0].stats[STAT_SERVER_checks_failed]), 0);
}
END_TEST

/* @return its counts as they are after a reload */
static const struct upstream_check *
check_after_reload(const char *options, const char *server)
{
	struct upstream_check *check = &upstream->plan->servers[0]->check;

	check->good = 2;
	check->bad = 3;
	check->next_ms = service.now_ms + 1500;
	use(options, server);
	return &upstream->plan->servers[0]->check;
}

START_TEST(checks_go_on_over_a_reload_but_not_with_another_address)
{
	const struct upstream_check *check;

	use("", "{ name = \"a\"; address = \"127.0.0.1:1\"; }");
	check = check_after_reload("", "{ name = \"a\"; address = \"127.0.0.1:1\"; weight = 2; }");
	ck_assert_uint_eq(check->good, 2);
	ck_assert_uint_eq(check->bad, 3);
	ck_assert_int_eq(check->next_ms, service.now_ms + 1500);
	check = check_after_reload("check = { interval = \"1s\"; };",
		"{ name = \"b\"; address = \"127.0.0.1:2\"; }, "
		"{ name = \"a\"; address = \"127.0.0.1:1\"; }");
	ck_assert_uint_eq(check->good, 0);
	check = &upstream->plan->servers[1]->check;
	ck_assert_uint_eq(check->good, 2);
	ck_assert_int_eq(check->next_ms, service.now_ms + 1000);
	check = check_after_reload("", "{ name = \"b\"; address = \"127.0.0.1:3\"; }");
	ck_assert_uint_eq(check->good + check->bad, 0);
}
END_TEST

START_TEST(checks_before_another_worker_had_the_duty_do_not_count)
{
	struct upstream_check *check;

	use("check = { when = \"always\"; };", "{ address = \"127.0.0.1:1\"; }");
	check = &upstream->plan->servers[0]->check;
	check->bad = 2;
	upstream_checks_look(&service);
	ck_assert_uint_eq(check->bad, 2);
	ck_assert_int_ge(check->watcher.fd, 0);
	atomic_store(&service.slot->state, BOARD_WORKER_DRAINING);
	upstream_checks_look(&service);
	ck_assert_uint_eq(check->bad, 0);
	ck_assert_int_eq(check->watcher.fd, -1);
}
END_TEST

START_TEST(down_and_refuse_is_told_at_once)
{
	use("on_down = \"refuse\"; check = { fall = 1; };", "{ address = \"127.0.0.1:1\"; }");
	ask(0);
	upstream_connect_failed(&sessions[0].request, ECONNREFUSED);
	ask(1);
	ck_assert_int_eq(sessions[1].reason, CLOSE_no_server);
}
END_TEST

START_TEST(a_reload_serves_those_who_wait_by_the_new_limits)
{
	use("", "{ name = \"a\"; address = \"127.0.0.1:1\"; max_connections = 1; }");
	ask(0);
	ask(1);
	ck_assert_int_eq(sessions[1].granted, 0);
	use("queue_timeout = \"9s\";",
		"{ name = \"a\"; address = \"127.0.0.1:1\"; max_connections = 2; }");
	ck_assert_int_eq(sessions[1].granted, 1);
	use("", "{ name = \"z\"; address = \"127.0.0.1:9\"; }");
	ck_assert_str_eq(server_of(0), "a"); /* who is there stays */
	ask(2);
	ck_assert_str_eq(server_of(2), "z");
}
END_TEST

/* For as long as that, nobody else gets its row. */
START_TEST(an_upstream_that_was_removed_is_known_until_its_last_session_ends)
{
	static struct findings findings;
	struct config *config = NULL;
	board_cell *known = &service.slot->upstreams[0].known;

	use("", "{ name = \"a\"; address = \"127.0.0.1:1\"; }");
	ck_assert_uint_eq(stat_get(known), 1);
	ask(0);
	ck_assert_int_eq(
		config_load_text("listeners = ( { name = \"l\"; address = \"127.0.0.1:7000\"; "
				 "protocol = \"echo\"; } );",
			"t.conf", &config, &findings),
		0);
	ck_assert_int_eq(upstreams_prepare(&service, config), 0);
	upstreams_commit(&service);
	config_free(&config);
	ck_assert_uint_eq(stat_get(known), 1);
	upstream_done(&sessions[0].request);
	ck_assert_uint_eq(stat_get(known), 0);
}
END_TEST

START_TEST(sources_come_in_turn_and_of_the_right_family)
{
	struct address source;

	use("sources = [ \"127.0.0.5\", \"::1\", \"127.0.0.6\" ];",
		"{ address = \"127.0.0.1:1\"; }");
	ask(0);
	ck_assert(upstream_source(&sessions[0].request, &source));
	ck_assert_uint_eq(ntohl(source.in4.sin_addr.s_addr), 0x7f000005);
	ck_assert(upstream_source(&sessions[0].request, &source));
	ck_assert_uint_eq(ntohl(source.in4.sin_addr.s_addr), 0x7f000006);
	use("sources = \"::1\";", "{ address = \"127.0.0.1:1\"; }");
	ck_assert(!upstream_source(&sessions[0].request, &source));
}
END_TEST

UNIT_TESTS("upstream", tcase_add_checked_fixture(tests, upstream_setup, upstream_teardown);
	   tcase_add_test(tests, servers_come_in_turn);
	   tcase_add_test(tests, who_finds_no_place_waits_in_order);
	   tcase_add_test(tests, a_proven_connection_makes_room_for_the_next_connect);
	   tcase_add_test(tests, a_silent_connection_has_settled_after_its_time);
	   tcase_add_loop_test(tests, none_settles_before_its_servers_queue_was_looked_at, 0, 2);
	   tcase_add_loop_test(tests, nobody_follows_into_the_queue_of_a_server_that_pauses, 0,
		   ARRAY_LEN(leavings));
	   tcase_add_test(tests, without_a_declared_backlog_nobody_is_counted_as_queued);
	   tcase_add_test(tests, patience_ends_with_the_queue_timeout);
	   tcase_add_test(tests, a_full_queue_refuses);
	   tcase_add_loop_test(tests, the_last_failure_is_the_reason, 0, ARRAY_LEN(failures));
	   tcase_add_test(tests, a_failed_connect_goes_to_another_server_and_then_to_the_backup);
	   tcase_add_test(tests, who_failed_everywhere_tries_again_after_a_pause);
	   tcase_add_test(tests, who_leaves_in_the_pause_is_gone);
	   tcase_add_test(tests, the_queue_timeout_counts_from_the_first_question);
	   tcase_add_test(tests, want_of_ports_is_not_held_against_the_server);
	   tcase_add_test(tests, who_gets_no_port_to_one_server_goes_to_another);
	   tcase_add_test(tests, failures_in_a_row_put_a_server_down_and_clients_wait);
	   tcase_add_test(tests, failures_of_other_workers_count_and_a_verdict_ends_the_run);
	   tcase_add_test(tests, a_check_that_cannot_be_watched_says_nothing_of_the_server);
	   tcase_add_test(tests, checks_go_on_over_a_reload_but_not_with_another_address);
	   tcase_add_test(tests, checks_before_another_worker_had_the_duty_do_not_count);
	   tcase_add_test(tests, down_and_refuse_is_told_at_once);
	   tcase_add_test(tests, a_reload_serves_those_who_wait_by_the_new_limits);
	   tcase_add_test(tests, an_upstream_that_was_removed_is_known_until_its_last_session_ends);
	   tcase_add_test(tests, sources_come_in_turn_and_of_the_right_family);)
