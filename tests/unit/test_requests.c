/* What operators ask for and what they are answered: workers, monitor and lifecycle only remember.
 */
#include "master/requests.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/board.h"
#include "common/config.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/net.h"
#include "master/lifecycle.h"
#include "master/listeners.h"
#include "master/listeners_change.h"
#include "master/master.h"
#include "master/monitor_child.h"
#include "master/reload.h"
#include "master/upgrade.h"
#include "master/upgrade_state.h"
#include "tests/unit/fake_fleet.h"
#include "tests/unit/net_help.h"
#include "tests/unit/run.h"

#define ANSWERS_MAX 64

static struct master master;
static struct requests requests;
static struct reload reload;
static struct listeners listeners;
static struct address address;
static struct listener_config row;
static struct config config;

/* --- what the others were told --- */

static struct {
	struct answer {
		uint32_t id;
		int status;
		char text[1024];
	} at[ANSWERS_MAX];
	unsigned count;
	unsigned rows, reloads, drains, stops, upgrades;
	bool is_upgrading;
	char upgrader[96];
	uint64_t row_count;
} told;

void
monitor_child_answer(struct monitor_child *monitor, uint32_t id, int status, const char *text)
{
	struct answer *answer = &told.at[told.count++];

	ck_assert_ptr_null(monitor);
	ck_assert_uint_lt(told.count, ANSWERS_MAX);
	answer->id = id;
	answer->status = status;
	(void)snprintf(answer->text, sizeof(answer->text), "%s", text);
}

void
monitor_child_send_rows(
	struct monitor_child *monitor, uint32_t id, int slot, uint64_t count, int fd)
{
	(void)monitor;
	(void)id;
	(void)slot;
	ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
	told.rows++;
	told.row_count += count;
}

void
reload_request(struct master *whose)
{
	ck_assert_ptr_eq(whose, &master);
	told.reloads++;
}

void
lifecycle_drain(struct master *whose, const char *reason)
{
	ck_assert_str_eq(reason, "acceptctl stop");
	whose->state = MASTER_DRAINING;
	told.drains++;
}

void
lifecycle_stop(struct master *whose, int exit_status, const char *reason)
{
	ck_assert_int_eq(exit_status, 0);
	ck_assert_str_eq(reason, "acceptctl stop now");
	whose->state = MASTER_STOPPING;
	told.stops++;
}

void
upgrade_request(struct master *whose, const char *who)
{
	ck_assert_ptr_eq(whose, &master);
	told.upgrades++;
	(void)snprintf(told.upgrader, sizeof(told.upgrader), "%s", who);
}

bool
upgrade_is_going_on(const struct master *whose)
{
	ck_assert_ptr_eq(whose, &master);
	return told.is_upgrading;
}

/* --- the stage --- */

static void
setup(void)
{
	struct listeners_change *change;
	struct fault why;

	log_set_level(LOG_LEVEL_ERROR);
	address = help_free_address();
	row = (struct listener_config){
		.name = (char *)"one", .addresses = {.items = &address, .count = 1}, .backlog = 16};
	config = (struct config){.listeners = &row, .listener_count = 1};
	ck_assert_int_eq(board_create(&master.board, &master.board_memory, &why), 0);
	master.state = MASTER_SERVING;
	master.config = &config;
	master.listeners = &listeners;
	master.reload = &reload;
	master.descriptor_limit = 1024;
	master.loop = loop_new();
	ck_assert_int_eq(listeners_prepare(&listeners, &config, &change, &why), 0);
	listeners_commit(&master, &change);
	ck_assert_int_eq(requests_init(&requests, &master), 0);
}

static void
teardown(void)
{
	requests_fini(&requests);
	listeners_close_all(&listeners);
	free(listeners.sockets);
	ev_loop_destroy(master.loop);
	close(master.board_memory);
	board_detach(&master.board);
}

static void
ask(uint32_t id, enum channel_command command, const char *argument)
{
	struct channel_request request = {.id = id, .command = command, .who = "uid 0 (pid 1)"};

	(void)snprintf(request.argument, sizeof(request.argument), "%s", argument);
	requests_take(&master, &request);
}

/* The one answer since the last call. */
static const struct answer *
only_answer(uint32_t id)
{
	ck_assert_uint_eq(told.count, 1);
	told.count = 0;
	ck_assert_uint_eq(told.at[0].id, id);
	return &told.at[0];
}

/* --- reload --- */

START_TEST(a_reload_is_answered_by_the_one_that_it_asked_for)
{
	reload.run = 4;
	ask(1, COMMAND_RELOAD, "");
	ck_assert_uint_eq(told.reloads, 1);
	requests_on_reload(&master, 4, true, "too early");
	ck_assert_uint_eq(told.count, 0);
	requests_on_reload(&master, 5, true, "done");
	ck_assert_int_eq(told.at[0].status, 0);
	ck_assert_str_eq(only_answer(1)->text, "done");
	requests_on_reload(&master, 6, true, "not again");
	ck_assert_uint_eq(told.count, 0);
}
END_TEST

START_TEST(one_reload_answers_all_who_waited_and_says_what_was_wrong)
{
	ask(1, COMMAND_RELOAD, "");
	ask(2, COMMAND_RELOAD, "");
	requests_on_reload(&master, 1, false, "t.conf:3: error");
	ck_assert_uint_eq(told.count, 2);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(told.at[i].id, i + 1);
		ck_assert_int_eq(told.at[i].status, -EINVAL);
		ck_assert_str_eq(told.at[i].text, "t.conf:3: error");
	}
}
END_TEST

/* The number of a reload wraps one day. */
START_TEST(the_number_of_a_reload_may_wrap)
{
	reload.run = UINT32_MAX;
	ask(1, COMMAND_RELOAD, "");
	requests_on_reload(&master, UINT32_MAX, true, "before");
	ck_assert_uint_eq(told.count, 0);
	requests_on_reload(&master, 0, true, "after");
	ck_assert_str_eq(only_answer(1)->text, "after");
}
END_TEST

START_TEST(who_stops_does_not_reload)
{
	master.state = MASTER_DRAINING;
	ask(1, COMMAND_RELOAD, "");
	ck_assert_uint_eq(told.reloads, 0);
	ck_assert_int_eq(only_answer(1)->status, -ESHUTDOWN);
}
END_TEST

START_TEST(more_than_can_wait_are_told_so)
{
	for (uint32_t i = 1; i <= REQUESTS_MAX; i++) {
		ask(i, COMMAND_RELOAD, "");
	}
	ck_assert_uint_eq(told.count, 0);
	ask(77, COMMAND_RELOAD, "");
	ck_assert_int_eq(only_answer(77)->status, -EBUSY);
	ck_assert_uint_eq(told.reloads, REQUESTS_MAX);
}
END_TEST

/* --- stop --- */

static void
cut_connections(uint64_t count)
{
	board_open_slot(&master.board, 0);
	stat_add(&master.board.slots[0].listeners[0].stats[STAT_LISTENER_accepted], count);
	stat_add(&master.board.slots[0].listeners[0].closed[CLOSE_drain], count);
}

/* Those that an earlier drain has cut are not this one's. */
START_TEST(a_stop_is_answered_at_the_end_with_what_it_cut)
{
	cut_connections(5);
	ask(1, COMMAND_STOP, "");
	ck_assert_uint_eq(told.drains, 1);
	ck_assert_uint_eq(told.count, 0);
	cut_connections(2);
	ask(2, COMMAND_STOP, "");
	ck_assert_uint_eq(told.drains, 1);
	ask(3, COMMAND_RELOAD, "");
	ck_assert_int_eq(only_answer(3)->status, -ESHUTDOWN);
	requests_on_stopped(&master);
	ck_assert_uint_eq(told.count, 2);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(told.at[i].status, 0);
		ck_assert_str_eq(told.at[i].text, "stopped; 2 connections were cut\n");
	}
}
END_TEST

START_TEST(stop_now_is_passed_on_also_after_a_stop)
{
	ask(1, COMMAND_STOP, "");
	ask(2, COMMAND_STOP, "now");
	ck_assert_uint_eq(told.drains, 1);
	ck_assert_uint_eq(told.stops, 1);
}
END_TEST

START_TEST(who_waits_for_something_else_hears_of_the_end)
{
	ask(1, COMMAND_RELOAD, "");
	requests_on_stopped(&master);
	ck_assert_int_eq(told.at[0].status, -ESHUTDOWN);
	ck_assert_str_eq(only_answer(1)->text, "the server has stopped");
}
END_TEST

/* --- drain and resume --- */

START_TEST(a_listener_is_drained_and_resumed)
{
	const struct answer *answer;

	ask(1, COMMAND_DRAIN, "one");
	answer = only_answer(1);
	if (answer->status == -EOPNOTSUPP) { /* without the right to filter */
		ck_assert_ptr_nonnull(strstr(answer->text, "CAP_NET_ADMIN"));
		ck_assert(!listeners.sockets[0].is_drained);
		return;
	}
	ck_assert_int_eq(answer->status, 0);
	ck_assert(listeners.sockets[0].is_drained);
	ck_assert_uint_eq(
		stat_get(&master.board.master->listeners[0].queue[STAT_QUEUE_drained]), 1);
	ask(2, COMMAND_RESUME, "one");
	ck_assert_str_eq(only_answer(2)->text, "listener one: takes new clients again");
	ck_assert(!listeners.sockets[0].is_drained);
	ck_assert_uint_eq(
		stat_get(&master.board.master->listeners[0].queue[STAT_QUEUE_drained]), 0);
	ck_assert_uint_eq(atomic_load(&master.board.master->last_event), 2);
}
END_TEST

START_TEST(a_listener_that_is_not_there_is_named)
{
	ask(1, COMMAND_DRAIN, "two");
	ck_assert_int_eq(told.at[0].status, -ENOENT);
	ck_assert_ptr_nonnull(strstr(only_answer(1)->text, "'two'"));
}
END_TEST

START_TEST(a_socket_of_the_service_manager_cannot_be_drained)
{
	listeners.sockets[0].was_inherited = true;
	ask(1, COMMAND_DRAIN, "one");
	ck_assert_int_eq(told.at[0].status, -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(told.at[0].text, "nothing changed"));
	ck_assert_ptr_nonnull(strstr(only_answer(1)->text, "service manager"));
	listeners.sockets[0].was_inherited = false;
}
END_TEST

/* --- connections --- */

static void
hear_list(int slot, uint32_t id, uint64_t count)
{
	struct channel_listed listed = {.id = id, .count = count};

	ck_assert_int_eq(requests_on_listed(&master, slot, &listed), 0);
}

START_TEST(a_list_is_the_answers_of_all_workers)
{
	fake_fleet.askable = 0x7;
	ask(9, COMMAND_LIST, "");
	ck_assert_uint_eq(fake_fleet.asked, 0x7);
	hear_list(0, 9, 3);
	hear_list(2, 9, 4);
	ck_assert_uint_eq(told.count, 0);
	hear_list(1, 9, 0);
	ck_assert_uint_eq(told.rows, 3);
	ck_assert_uint_eq(told.row_count, 7);
	ck_assert_int_eq(told.at[0].status, 0);
	ck_assert_str_eq(only_answer(9)->text, "");
}
END_TEST

START_TEST(without_workers_a_list_is_empty)
{
	ask(9, COMMAND_LIST, "");
	ck_assert_str_eq(only_answer(9)->text, "");
}
END_TEST

/* Missing workers are told of: those that cannot be asked, and those that die. */
START_TEST(a_list_says_who_is_missing)
{
	fake_fleet.askable = 0x7;
	fake_fleet.deaf = 0x2;
	ask(9, COMMAND_LIST, "");
	requests_on_worker_gone(&master, 1);
	hear_list(0, 9, 1);
	requests_on_worker_gone(&master, 2);
	ck_assert_uint_eq(told.rows, 1);
	ck_assert_ptr_nonnull(strstr(only_answer(9)->text, "2 workers did not answer"));
}
END_TEST

START_TEST(patience_with_a_silent_worker_ends)
{
	fake_fleet.askable = 0x3;
	ask(9, COMMAND_LIST, "");
	hear_list(0, 9, 1);
	ck_assert(ev_is_active(&requests.list.patience.watcher));
	ev_invoke(master.loop, &requests.list.patience.watcher, EV_TIMER);
	ck_assert_ptr_nonnull(strstr(only_answer(9)->text, "1 workers did not answer"));
	hear_list(1, 9, 5); /* too late */
	ck_assert_uint_eq(told.rows, 1);
	ck_assert_uint_eq(told.count, 0);
}
END_TEST

START_TEST(lists_are_made_one_after_the_other)
{
	fake_fleet.askable = 0x1;
	ask(1, COMMAND_LIST, "");
	ask(2, COMMAND_LIST, "");
	hear_list(0, 2, 5); /* nobody has asked yet */
	ck_assert_uint_eq(told.count, 0);
	hear_list(0, 1, 5);
	ck_assert_str_eq(only_answer(1)->text, "");
	hear_list(0, 2, 6);
	ck_assert_str_eq(only_answer(2)->text, "");
	ck_assert_uint_eq(told.row_count, 11);
}
END_TEST

/* The next monitor numbers its requests anew: an answer to the one before is none of its. */
START_TEST(a_new_monitor_gets_no_answer_to_the_one_before)
{
	fake_fleet.askable = 0x1;
	ask(1, COMMAND_LIST, "");
	ask(2, COMMAND_LIST, "");
	ask(3, COMMAND_RELOAD, "");
	requests_forget(&master);
	ask(1, COMMAND_RELOAD, "");
	hear_list(0, 1, 5);
	ck_assert_uint_eq(told.count, 0);
	ck_assert_uint_eq(told.rows, 0);
	ck_assert(!ev_is_active(&requests.list.patience.watcher));
	requests_on_reload(&master, 1, true, "done");
	ck_assert_str_eq(only_answer(1)->text, "done");
}
END_TEST

static const struct {
	const char *id;
	bool is_asked;
	int status;
} kills[] = {
	{"0-7", true, 0},
	{"0-4294967295", true, 0},
	{"1-7", false, -ENOENT}, /* no worker there */
	{"2-7", true, -ENOENT},  /* deaf */
	{"1024-7", false, -EINVAL},
	{"-1-7", false, -EINVAL},
	{"0-", false, -EINVAL},
	{"0", false, -EINVAL},
	{"", false, -EINVAL},
	{"0-7x", false, -EINVAL},
	{" 0-7", false, -EINVAL},
	{"0-4294967296", false, -EINVAL},
};

START_TEST(a_connection_to_be_killed_is_named_exactly)
{
	fake_fleet.askable = 0x5;
	fake_fleet.deaf = 0x4;
	ask(1, COMMAND_KILL, kills[_i].id);
	ck_assert_uint_eq(fake_fleet.asked_kills, kills[_i].is_asked);
	if (kills[_i].status == 0) {
		ck_assert_uint_eq(told.count, 0);
		ck_assert_int_eq(fake_fleet.kill_slot, 0);
		ck_assert_uint_eq(fake_fleet.kill_serial, strtoull(kills[_i].id + 2, NULL, 10));
	} else {
		ck_assert_int_eq(only_answer(1)->status, kills[_i].status);
	}
}
END_TEST

static void
hear_kill(uint32_t id, int slot, uint32_t serial, int status)
{
	struct channel_kill killed = {.id = id, .serial = serial, .status = status};

	ck_assert_int_eq(requests_on_killed(&master, slot, &killed), 0);
}

START_TEST(what_became_of_a_kill_is_passed_on)
{
	fake_fleet.askable = 0x8;
	ask(5, COMMAND_KILL, "3-8");
	hear_kill(5, 3, 8, 0);
	ck_assert_int_eq(told.at[0].status, 0);
	ck_assert_str_eq(only_answer(5)->text, "connection 3-8 is closed");
	ask(5, COMMAND_KILL, "3-8");
	hear_kill(5, 3, 8, -ENOENT);
	ck_assert_int_eq(only_answer(5)->status, -ENOENT);
}
END_TEST

START_TEST(a_kill_that_nobody_waits_for_is_not_answered)
{
	fake_fleet.askable = 0xf;
	ask(5, COMMAND_KILL, "3-8");
	requests_forget(&master);
	ask(5, COMMAND_KILL, "2-9");
	hear_kill(5, 3, 8, 0); /* to the monitor before */
	hear_kill(5, 2, 8, 0);
	hear_kill(6, 2, 9, 0);
	ck_assert_uint_eq(told.count, 0);
	hear_kill(5, 2, 9, 0);
	ck_assert_str_eq(only_answer(5)->text, "connection 2-9 is closed");
	hear_kill(5, 2, 9, 0);
	ck_assert_uint_eq(told.count, 0);
}
END_TEST

START_TEST(a_worker_that_dies_answers_what_it_was_to_kill)
{
	fake_fleet.askable = 0xf;
	ask(5, COMMAND_KILL, "3-8");
	ask(6, COMMAND_KILL, "2-8");
	requests_on_worker_gone(&master, 3);
	ck_assert_int_eq(told.at[0].status, -ENOENT);
	ck_assert_str_eq(only_answer(5)->text, "connection 3-8 is not there (any more)");
	hear_kill(6, 2, 8, 0);
	ck_assert_int_eq(only_answer(6)->status, 0);
}
END_TEST

/* Before anybody could ask, an answer breaks the grammar. */
START_TEST(an_answer_that_nobody_can_have_asked_for_is_refused)
{
	struct channel_listed listed = {.id = 1};
	struct channel_kill killed = {.id = 1};

	master.requests = NULL;
	ck_assert_int_eq(requests_on_listed(&master, 0, &listed), -EPROTO);
	ck_assert_int_eq(requests_on_killed(&master, 0, &killed), -EPROTO);
	requests_on_worker_gone(&master, 0);
	requests_on_stopped(&master);
	requests_forget(&master);
	ck_assert_uint_eq(told.count, 0);
}
END_TEST

START_TEST(an_order_to_a_server_is_answered_at_once)
{
	ask(1, COMMAND_SERVER, "nobody drain");
	ck_assert_int_eq(told.at[0].status, -ENOENT);
	ck_assert_ptr_nonnull(strstr(only_answer(1)->text, "no server 'nobody'"));
}
END_TEST

/* --- upgrade --- */

START_TEST(an_upgrade_is_answered_when_it_has_ended)
{
	ask(1, COMMAND_UPGRADE, "");
	ck_assert_uint_eq(told.upgrades, 1);
	ck_assert_ptr_nonnull(strstr(told.upgrader, "acceptctl upgrade"));
	ck_assert_uint_eq(told.count, 0);
	requests_on_upgrade(&master, -EINVAL, "upgrade refused");
	ck_assert_int_eq(told.at[0].status, -EINVAL);
	ck_assert_str_eq(only_answer(1)->text, "upgrade refused");
}
END_TEST

START_TEST(nothing_is_begun_beside_an_upgrade)
{
	told.is_upgrading = true;
	ask(1, COMMAND_UPGRADE, "");
	ck_assert_int_eq(told.at[0].status, -EBUSY);
	ck_assert_ptr_nonnull(strstr(only_answer(1)->text, "an upgrade is in progress"));
	ask(2, COMMAND_RELOAD, "");
	ck_assert_int_eq(told.at[0].status, -EBUSY);
	ck_assert_ptr_nonnull(strstr(only_answer(2)->text, "an upgrade is in progress"));
	ck_assert_uint_eq(told.upgrades + told.reloads, 0);
}
END_TEST

START_TEST(who_stops_does_not_upgrade)
{
	master.state = MASTER_DRAINING;
	ask(1, COMMAND_UPGRADE, "");
	ck_assert_int_eq(only_answer(1)->status, -ESHUTDOWN);
	ck_assert_uint_eq(told.upgrades, 0);
}
END_TEST

/* Before the program is replaced; who asked for that waits on in the next. */
START_TEST(only_who_asked_for_the_upgrade_is_handed_over)
{
	struct upgrade_asker asker = {.id = 9};
	struct upgrade_state state = {.askers = &asker, .asker_count = 1};

	fake_fleet.askable = 1;
	ask(1, COMMAND_RELOAD, "");
	ask(2, COMMAND_UPGRADE, "");
	ask(3, COMMAND_LIST, "");
	requests_dismiss(&master);
	ck_assert_uint_eq(told.count, 2);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_ne(told.at[i].id, 2);
		ck_assert_int_eq(told.at[i].status, -EBUSY);
	}
	told.count = 0;
	requests_on_upgrade(&master, 0, "here");
	ck_assert_str_eq(only_answer(2)->text, "here");
	requests_take_over(&master, &state);
	requests_on_upgrade(&master, 0, "there");
	ck_assert_str_eq(only_answer(9)->text, "there");
}
END_TEST

UNIT_TESTS("requests", tcase_add_checked_fixture(tests, setup, teardown);
	   tcase_add_test(tests, a_reload_is_answered_by_the_one_that_it_asked_for);
	   tcase_add_test(tests, one_reload_answers_all_who_waited_and_says_what_was_wrong);
	   tcase_add_test(tests, the_number_of_a_reload_may_wrap);
	   tcase_add_test(tests, who_stops_does_not_reload);
	   tcase_add_test(tests, more_than_can_wait_are_told_so);
	   tcase_add_test(tests, a_stop_is_answered_at_the_end_with_what_it_cut);
	   tcase_add_test(tests, stop_now_is_passed_on_also_after_a_stop);
	   tcase_add_test(tests, who_waits_for_something_else_hears_of_the_end);
	   tcase_add_test(tests, a_listener_is_drained_and_resumed);
	   tcase_add_test(tests, a_listener_that_is_not_there_is_named);
	   tcase_add_test(tests, a_socket_of_the_service_manager_cannot_be_drained);
	   tcase_add_test(tests, a_list_is_the_answers_of_all_workers);
	   tcase_add_test(tests, without_workers_a_list_is_empty);
	   tcase_add_test(tests, a_list_says_who_is_missing);
	   tcase_add_test(tests, patience_with_a_silent_worker_ends);
	   tcase_add_test(tests, lists_are_made_one_after_the_other);
	   tcase_add_test(tests, a_new_monitor_gets_no_answer_to_the_one_before);
	   tcase_add_loop_test(
		   tests, a_connection_to_be_killed_is_named_exactly, 0, (int)ARRAY_LEN(kills));
	   tcase_add_test(tests, what_became_of_a_kill_is_passed_on);
	   tcase_add_test(tests, a_kill_that_nobody_waits_for_is_not_answered);
	   tcase_add_test(tests, a_worker_that_dies_answers_what_it_was_to_kill);
	   tcase_add_test(tests, an_answer_that_nobody_can_have_asked_for_is_refused);
	   tcase_add_test(tests, an_order_to_a_server_is_answered_at_once);
	   tcase_add_test(tests, an_upgrade_is_answered_when_it_has_ended);
	   tcase_add_test(tests, nothing_is_begun_beside_an_upgrade);
	   tcase_add_test(tests, who_stops_does_not_upgrade);
	   tcase_add_test(tests, only_who_asked_for_the_upgrade_is_handed_over);)
