/* Signals and the clock, with a real loop and a real listener, and workers that only remember. */
#include "master/lifecycle.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "common/board.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/net.h"
#include "master/listeners.h"
#include "master/listeners_change.h"
#include "master/master.h"
#include "master/reload.h"
#include "master/upgrade.h"
#include "tests/unit/fake_fleet.h"
#include "tests/unit/net_help.h"
#include "tests/unit/run.h"

static struct master master;
static struct listeners listeners;
static struct lifecycle lifecycle;
static struct reload reload;
static struct upgrade upgrade;
static struct address address;
static struct listener_config row;
static struct config config;

static void
setup(void)
{
	struct listeners_change *change;
	struct fault why;

	log_set_level(LOG_LEVEL_ERROR);
	address = help_free_address();
	row = (struct listener_config){
		.name = (char *)"one", .addresses = {.items = &address, .count = 1}, .backlog = 16};
	config = (struct config){.listeners = &row, .listener_count = 1, .drain_timeout_ms = 5000};
	ck_assert_int_eq(board_create(&master.board, &master.board_memory, &why), 0);
	master.config = &config;
	master.listeners = &listeners;
	master.reload = &reload;
	master.notify.fd = -1;
	master.somaxconn.now = 4096;
	master.loop = loop_new();
	ck_assert_ptr_nonnull(master.loop);
	ck_assert_int_eq(listeners_prepare(&listeners, &config, &change, &why), 0);
	listeners_commit(&master, &change);
	lifecycle_start(&lifecycle, &master);
	master_enter(&master, MASTER_SERVING, "test");
}

static void
teardown(void)
{
	lifecycle_close(&lifecycle);
	listeners_close_all(&listeners);
	free(listeners.sockets);
	ev_loop_destroy(master.loop);
	board_detach(&master.board);
}

/* Turn the loop until the signal has been heard. */
static void
say(int signal)
{
	ck_assert_int_eq(raise(signal), 0);
	(void)ev_run(master.loop, EVRUN_NOWAIT);
}

static int
enqueue_client(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(connect(fd, &address.any, address.len), 0);
	return fd;
}

static void
turn_until_drained(void)
{
	while (fake_fleet.drained == 0) {
		(void)ev_run(master.loop, EVRUN_ONCE);
	}
}

START_TEST(term_drains_with_the_time_that_is_left)
{
	say(SIGTERM);
	ck_assert_int_eq(master.state, MASTER_DRAINING);
	ck_assert_uint_eq(fake_fleet.drained, 0);
	ck_assert(listeners.sockets[0].is_shut || geteuid() != 0);
	turn_until_drained();
	ck_assert_int_gt(fake_fleet.drain_timeout_ms, 0);
	ck_assert_int_lt(fake_fleet.drain_timeout_ms, 5000);
	fake_fleet.on_gone(&master);
	ck_assert_int_eq(lifecycle.exit_status, 0);
}
END_TEST

START_TEST(workers_stay_until_the_queue_is_empty)
{
	int client = enqueue_client();
	int64_t began_ms;
	union peer peer;

	say(SIGTERM);
	began_ms = clock_monotonic_ms();
	while (clock_monotonic_ms() - began_ms < 300) {
		(void)ev_run(master.loop, EVRUN_ONCE);
	}
	ck_assert_uint_eq(fake_fleet.drained, 0);
	close(net_accept(listeners.sockets[0].fd, &peer));
	turn_until_drained();
	close(client);
}
END_TEST

START_TEST(without_drain_time_nothing_is_waited_for)
{
	int client = enqueue_client();

	config.drain_timeout_ms = 0;
	say(SIGTERM);
	turn_until_drained();
	ck_assert_int_eq(fake_fleet.drain_timeout_ms, 0);
	close(client);
}
END_TEST

START_TEST(a_second_term_stops_at_once)
{
	say(SIGTERM);
	say(SIGTERM);
	ck_assert_int_eq(master.state, MASTER_STOPPING);
	ck_assert_uint_eq(fake_fleet.drained, 1);
	ck_assert_int_eq(fake_fleet.drain_timeout_ms, 0);
	say(SIGTERM);
	ck_assert_uint_eq(fake_fleet.killed, 1);
}
END_TEST

static const int at_once[] = {SIGINT, SIGQUIT};

START_TEST(int_and_quit_stop_at_once_and_kill_the_slow)
{
	say(at_once[_i]);
	ck_assert_int_eq(master.state, MASTER_STOPPING);
	ck_assert_uint_eq(fake_fleet.drained, 1);
	ck_assert_int_eq(fake_fleet.drain_timeout_ms, 0);
	while (fake_fleet.killed == 0) {
		(void)ev_run(master.loop, EVRUN_ONCE);
	}
}
END_TEST

START_TEST(stopping_before_serving_is_at_once)
{
	master.state = MASTER_STARTING;
	say(SIGTERM);
	ck_assert_int_eq(master.state, MASTER_STOPPING);
	ck_assert_uint_eq(fake_fleet.drained, 1);
}
END_TEST

START_TEST(a_failed_start_keeps_its_exit_status)
{
	master.state = MASTER_STARTING;
	lifecycle_stop(&master, EXIT_FAILURE, "test");
	ck_assert_int_eq(lifecycle.exit_status, EXIT_FAILURE);
}
END_TEST

START_TEST(ttin_and_ttou_stay_within_bounds)
{
	say(SIGTTIN);
	ck_assert_uint_eq(fake_fleet.wanted, 3);
	say(SIGTTOU);
	say(SIGTTOU);
	ck_assert_uint_eq(fake_fleet.wanted, 1);
	say(SIGTTOU);
	ck_assert_uint_eq(fake_fleet.wanted, 1);
	fake_fleet.wanted = BOARD_SLOTS;
	say(SIGTTIN);
	ck_assert_uint_eq(fake_fleet.wanted, BOARD_SLOTS);
}
END_TEST

START_TEST(a_request_before_the_start_waits_for_it)
{
	lifecycle_close(&lifecycle);
	signals_hold();
	ck_assert_int_eq(raise(SIGTTIN), 0); /* would stop or end the process */
	lifecycle_start(&lifecycle, &master);
	(void)ev_run(master.loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(fake_fleet.wanted, 3);
}
END_TEST

/* There is no program to go on with here. */
START_TEST(usr2_asks_for_an_upgrade_and_a_refused_one_changes_nothing)
{
	upgrade_init(&upgrade, &master);
	log_set_level(LOG_LEVEL_ERROR - 1);
	say(SIGUSR2);
	ck_assert_uint_eq(stat_get(&master.board.master->stats[STAT_MASTER_upgrades_failed]), 1);
	ck_assert(!upgrade_is_going_on(&master));
	ck_assert_int_eq(master.state, MASTER_SERVING);
	ck_assert_uint_eq(fake_fleet.drained + fake_fleet.resized + fake_fleet.applied, 0);
}
END_TEST

/* The reload is put off, and a stop ends the upgrade; a second request is none. */
START_TEST(a_stop_goes_before_an_upgrade_and_an_upgrade_before_a_reload)
{
	upgrade_init(&upgrade, &master);
	upgrade.stage = UPGRADE_CHECKING;
	say(SIGHUP);
	ck_assert(reload.is_wanted);
	ck_assert(!reload.is_running);
	say(SIGUSR2);
	ck_assert_uint_eq(stat_get(&master.board.master->stats[STAT_MASTER_upgrades_failed]), 0);
	say(SIGTERM);
	ck_assert_int_eq(master.state, MASTER_DRAINING);
	ck_assert(!upgrade_is_going_on(&master));
}
END_TEST

/* The service manager's end of a socket. */
static int
hear_as_manager(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(master.notify.address);

	master.notify.address.sun_family = AF_UNIX;
	ck_assert_int_eq(
		bind(fd, (struct sockaddr *)&master.notify.address, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&master.notify.address, &len), 0);
	master.notify.address_len = len;
	master.notify.fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	ck_assert_int_ge(master.notify.fd, 0);
	return fd;
}

/* The workers of the next program begin to serve, or fail to, while the queues are emptied. */
START_TEST(who_settles_during_a_stop_is_not_ready_again)
{
	const char *failure = _i == 0 ? NULL : "test";
	int manager = hear_as_manager();
	char said[NOTIFY_TEXT_MAX];
	ssize_t len;

	upgrade_init(&upgrade, &master);
	upgrade.stage = UPGRADE_SETTLING;
	log_set_level(LOG_LEVEL_ERROR - 1);
	say(SIGTERM);
	ck_assert_int_eq(master.state, MASTER_DRAINING);
	upgrade_on_settled(&master, failure);
	len = recv(manager, said, sizeof(said) - 1, 0);
	ck_assert_int_gt(len, 0);
	said[len] = '\0';
	ck_assert_ptr_nonnull(strstr(said, "STOPPING=1"));
	ck_assert_int_lt(recv(manager, said, sizeof(said), 0), 0);
	ck_assert(!upgrade_is_going_on(&master));
	notify_close(&master.notify);
	close(manager);
}
END_TEST

START_TEST(a_storm_of_usr1_sends_the_log_on_twice)
{
	for (int i = 0; i < 50; i++) {
		say(SIGUSR1);
	}
	ck_assert_uint_eq(fake_fleet.logs_sent, 1);
	while (fake_fleet.logs_sent < 2) {
		(void)ev_run(master.loop, EVRUN_ONCE);
	}
	while (ev_is_active(&lifecycle.logs.watcher)) {
		(void)ev_run(master.loop, EVRUN_ONCE);
	}
	ck_assert_uint_eq(fake_fleet.logs_sent, 2);
}
END_TEST

START_TEST(a_drain_does_not_heal_what_it_shut_itself)
{
	say(SIGTERM);
	lifecycle.second.on_expiry(master.loop, &lifecycle.second);
	ck_assert_uint_eq(stat_get(&master.board.writable->stats[STAT_MASTER_listeners_healed]), 0);
	ck_assert(listeners.sockets[0].is_shut || geteuid() != 0);
}
END_TEST

UNIT_TESTS("lifecycle", tcase_add_checked_fixture(tests, setup, teardown);
	   tcase_add_test(tests, term_drains_with_the_time_that_is_left);
	   tcase_add_test(tests, workers_stay_until_the_queue_is_empty);
	   tcase_add_test(tests, without_drain_time_nothing_is_waited_for);
	   tcase_add_test(tests, a_second_term_stops_at_once);
	   tcase_add_loop_test(tests, int_and_quit_stop_at_once_and_kill_the_slow, 0,
		   sizeof(at_once) / sizeof(at_once[0]));
	   tcase_add_test(tests, stopping_before_serving_is_at_once);
	   tcase_add_test(tests, a_failed_start_keeps_its_exit_status);
	   tcase_add_test(tests, ttin_and_ttou_stay_within_bounds);
	   tcase_add_test(tests, a_request_before_the_start_waits_for_it);
	   tcase_add_test(tests, usr2_asks_for_an_upgrade_and_a_refused_one_changes_nothing);
	   tcase_add_test(tests, a_stop_goes_before_an_upgrade_and_an_upgrade_before_a_reload);
	   tcase_add_loop_test(tests, who_settles_during_a_stop_is_not_ready_again, 0, 2);
	   tcase_add_test(tests, a_storm_of_usr1_sends_the_log_on_twice);
	   tcase_add_test(tests, a_drain_does_not_heal_what_it_shut_itself);)
