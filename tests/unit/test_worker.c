/* The life of a worker, from its first commit to its end. */
#include "build.h"

#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "common/channel.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/descriptor.h"
#include "common/inherit.h"
#include "common/log.h"
#include "tests/unit/net_help.h"
#include "tests/unit/run.h"
#include "tests/unit/worker_stage.h"

START_TEST(a_worker_serves_from_its_first_commit_on)
{
	struct channel_message message;
	int client;

	generation = 0;
	start_worker();
	client = client_of(0);
	tell_hello();
	tell_config(ECHO);
	tell_socket(0, 0, true);
	ck_assert_uint_eq(help_sample(listeners[0]).depth, 1);
	tell_commit();
	hear_applied();
	hear(CHANNEL_READY, &message);
	ck_assert_uint_eq(atomic_load(&board.slots[SLOT].state), BOARD_WORKER_SERVING);
	ck_assert_uint_eq(atomic_load(&board.slots[SLOT].generation), 1);
	ck_assert_int_eq(atomic_load(&board.slots[SLOT].pid), worker_pid);
	expect_echo(client);
	close(client);
	finish();
}
END_TEST

static const struct {
	const char *config, *why;
} bad_configs[] = {
	{"listeners = (", "error"},
	{"", "listeners"},
	{CONFIG("protocol = \"nonsense\"; "), "nonsense"},
};

START_TEST(a_configuration_that_cannot_be_used_changes_nothing)
{
	struct channel_message message;
	int before, after;

	serve(ECHO);
	before = client_of(0);
	expect_echo(before);
	reload(bad_configs[_i].config);
	hear(CHANNEL_REFUSED, &message);
	ck_assert_uint_eq(message.refused.generation, 2);
	ck_assert_msg(strstr(message.refused.why, bad_configs[_i].why) != NULL, "%s",
		message.refused.why);
	expect_echo(before);
	after = client_of(0);
	expect_echo(after);
	reload(ECHO);
	hear_applied();
	expect_echo(before);
	close(before);
	close(after);
	finish();
}
END_TEST

START_TEST(a_list_that_does_not_fit_is_refused)
{
	struct channel_message message;
	int client;

	serve(ECHO);
	tell_config(ECHO);
	tell_socket(0, 0, true);
	tell_commit();
	hear(CHANNEL_REFUSED, &message);
	tell_config(ECHO);
	tell_socket(1, 1, false);
	tell_commit();
	hear(CHANNEL_REFUSED, &message);
	tell_config(ECHO);
	tell_socket(1, 2, true);
	tell_commit();
	hear(CHANNEL_REFUSED, &message);
	tell_commit();
	hear(CHANNEL_REFUSED, &message);
	client = client_of(0);
	expect_echo(client);
	close(client);
	finish();
}
END_TEST

START_TEST(a_reload_adds_and_removes_listeners_and_disturbs_nobody)
{
	struct channel_number number = {.number = 0};
	struct channel_message message;
	int first, waiting, second;

	serve(ECHO);
	first = client_of(0);
	expect_echo(first);
	tell_config(ECHO);
	tell_socket(0, -1, false);
	tell_socket(1, 1, true);
	tell_commit();
	hear_applied();
	second = client_of(1);
	expect_echo(second);
	waiting = client_of(0);
	tell(CHANNEL_RELEASE, &number, NULL, 0);
	hear(CHANNEL_RELEASED, &message);
	ck_assert_uint_eq(message.number.number, 0);
	expect_echo(waiting);
	expect_echo(first);
	/* Ours was the last copy. */
	close(listeners[0]);
	ck_assert_int_eq(
		connect(socket(AF_INET, SOCK_STREAM, 0), &addresses[0].any, addresses[0].len), -1);
	ck_assert_int_eq(errno, ECONNREFUSED);
	close(first);
	close(second);
	close(waiting);
	finish();
}
END_TEST

START_TEST(connections_keep_the_settings_they_began_with)
{
	int before, after;

	serve(ECHO);
	before = client_of(0);
	expect_echo(before);
	reload(CONFIG("protocol = \"echo\"; idle_timeout = \"20ms\"; "));
	hear_applied();
	after = client_of(0);
	ck_assert_int_eq(wait_for_close(after), 0);
	ck_assert_uint_eq(closed(CLOSE_idle), 1);
	expect_echo(before);
	close(before);
	close(after);
	finish();
}
END_TEST

START_TEST(a_draining_worker_leaves_the_queue_and_lets_connections_finish)
{
	int client, later;

	serve(ECHO);
	client = client_of(0);
	expect_echo(client);
	drain(10000);
	while (atomic_load(&board.slots[SLOT].state) != BOARD_WORKER_DRAINING) {
		expect_echo(client);
	}
	expect_echo(client);
	later = client_of(0);
	expect_echo(client);
	ck_assert_uint_eq(help_sample(listeners[0]).depth, 1);
	close(client);
	ck_assert_int_eq(wait_for_end(), 0);
	ck_assert_uint_eq(closed(CLOSE_client), 1);
	close(later);
}
END_TEST

START_TEST(what_is_open_at_the_end_of_the_drain_is_cut_and_counted)
{
	int client;

	serve(ECHO);
	client = client_of(0);
	expect_echo(client);
	drain(50);
	ck_assert_int_eq(wait_for_close(client), 0);
	ck_assert_int_eq(wait_for_end(), 0);
	ck_assert_uint_eq(closed(CLOSE_drain), 1);
	ck_assert_uint_eq(stat_get(&board.slots[SLOT].stats[STAT_WORKER_open]), 0);
	close(client);
}
END_TEST

START_TEST(a_commit_while_draining_is_refused)
{
	struct channel_message message;
	int client;

	serve(ECHO);
	client = client_of(0);
	expect_echo(client);
	drain(10000);
	reload(ECHO);
	hear(CHANNEL_REFUSED, &message);
	close(client);
	ck_assert_int_eq(wait_for_end(), 0);
}
END_TEST

/* The channel's end is the sign; the last worker takes what waits in the queue with it. */
START_TEST(without_its_master_a_worker_finishes_and_goes)
{
	int client;

	serve(ECHO);
	client = client_of(0);
	expect_echo(client);
	ck_assert_int_eq(shutdown(channel_fd, SHUT_RDWR), 0);
	while (atomic_load(&board.slots[SLOT].state) != BOARD_WORKER_DRAINING) {
		expect_echo(client);
	}
	close(listeners[0]);
	ck_assert_int_eq(
		connect(socket(AF_INET, SOCK_STREAM, 0), &addresses[0].any, addresses[0].len), -1);
	expect_echo(client);
	close(client);
	ck_assert_int_eq(wait_for_end(), 0);
}
END_TEST

START_TEST(a_master_that_goes_before_saying_hello_takes_the_worker_along)
{
	int status;

	start_worker();
	ck_assert_int_eq(shutdown(channel_fd, SHUT_RDWR), 0);
	status = wait_for_end();
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EXIT_FAILURE);
}
END_TEST

/* They come from a terminal to the whole group; the master says what they mean. */
static const int ignored[] = {SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU};

START_TEST(signals_of_the_terminal_are_not_for_workers)
{
	int client;

	serve(ECHO);
	client = client_of(0);
	ck_assert_int_eq(kill(worker_pid, ignored[_i]), 0);
	expect_echo(client);
	close(client);
	finish();
}
END_TEST

START_TEST(sigterm_drains)
{
	int client;

	serve(ECHO);
	client = client_of(0);
	expect_echo(client);
	ck_assert_int_eq(kill(worker_pid, SIGTERM), 0);
	while (atomic_load(&board.slots[SLOT].state) != BOARD_WORKER_DRAINING) {
		expect_echo(client);
	}
	expect_echo(client);
	close(client);
	ck_assert_int_eq(wait_for_end(), 0);
}
END_TEST

START_TEST(an_idle_worker_shows_progress)
{
	const struct board_slot *slot;
	int64_t stamp, began_ms;

	serve(ECHO);
	slot = &board.slots[SLOT];
	stamp = atomic_load(&slot->progress_ms);
	began_ms = clock_monotonic_ms();
	while (atomic_load(&slot->progress_ms) == stamp) {
		ck_assert_int_lt(clock_monotonic_ms() - began_ms, 5000);
	}
	ck_assert_int_le(atomic_load(&slot->progress_ms), clock_monotonic_ms());
	finish();
}
END_TEST

START_TEST(log_lines_go_where_the_master_says)
{
	struct channel_log log = {.sink = LOG_FILE, .level = LOG_LEVEL_INFO};
	struct channel_message message;
	char line[1000];
	ssize_t len;
	int ends[2];

	generation = 0;
	start_worker();
	tell_hello();
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	tell(CHANNEL_LOG, &log, &ends[1], 1);
	close(ends[1]);
	tell_config(ECHO);
	tell_socket(0, 0, true);
	tell_commit();
	hear_applied();
	hear(CHANNEL_READY, &message);
	finish();
	len = read(ends[0], line, sizeof(line) - 1);
	ck_assert_int_gt(len, 0);
	line[len] = '\0';
	ck_assert_ptr_nonnull(strstr(line, "worker 2"));
	ck_assert_ptr_nonnull(strstr(line, "serving"));
	close(ends[0]);
}
END_TEST

START_TEST(the_wake_ups_of_a_worker_are_exclusive)
{
	struct channel_log log = {.sink = LOG_FILE, .level = LOG_LEVEL_INFO};
	char line[4000];
	int ends[2], client;

	serve(ECHO);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	tell(CHANNEL_LOG, &log, &ends[1], 1);
	close(ends[1]);
	reload(ECHO);
	hear_applied();
	client = client_of(0);
	expect_echo(client);
	ck_assert(help_waits(ends[0], POLLIN, HELP_WAIT_MS));
	ck_assert_int_gt(read(ends[0], line, sizeof(line) - 1), 0);
	ck_assert_ptr_nonnull(strstr(line, "exclusive on 1 sockets"));
	close(client);
	close(ends[0]);
	finish();
}
END_TEST

UNIT_TESTS("worker", tcase_add_test(tests, a_worker_serves_from_its_first_commit_on);
	   tcase_add_loop_test(tests, a_configuration_that_cannot_be_used_changes_nothing, 0,
		   ARRAY_LEN(bad_configs));
	   tcase_add_test(tests, a_list_that_does_not_fit_is_refused);
	   tcase_add_test(tests, a_reload_adds_and_removes_listeners_and_disturbs_nobody);
	   tcase_add_test(tests, connections_keep_the_settings_they_began_with);
	   tcase_add_test(tests, a_draining_worker_leaves_the_queue_and_lets_connections_finish);
	   tcase_add_test(tests, what_is_open_at_the_end_of_the_drain_is_cut_and_counted);
	   tcase_add_test(tests, a_commit_while_draining_is_refused);
	   tcase_add_test(tests, without_its_master_a_worker_finishes_and_goes);
	   tcase_add_test(tests, a_master_that_goes_before_saying_hello_takes_the_worker_along);
	   tcase_add_loop_test(
		   tests, signals_of_the_terminal_are_not_for_workers, 0, ARRAY_LEN(ignored));
	   tcase_add_test(tests, sigterm_drains);
	   tcase_add_test(tests, an_idle_worker_shows_progress);
	   tcase_add_test(tests, log_lines_go_where_the_master_says);
	   tcase_add_test(tests, the_wake_ups_of_a_worker_are_exclusive);)
