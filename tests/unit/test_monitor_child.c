/* The monitor as a child, with real processes: this program, executed anew, plays it. What it
 * should do is in the "configuration": "exit", "babble", "answer", "refuse", "deaf", "stay" or
 * nothing special. */
#include "master/monitor_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/board.h"
#include "common/channel.h"
#include "common/config.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "common/inherit.h"
#include "common/log.h"
#include "master/doors.h"
#include "master/master.h"
#include "master/requests.h"
#include "master/signals.h"
#include "tests/unit/fake_fleet.h"
#include "tests/unit/run.h"

#define PATIENCE_MS  20000
#define LONG_ANSWER  5000 /* of several messages */
#define ROWS_ID      77
#define LEAKED_FD    200
#define EXIT_GOT_IT  42 /* the long answer and the rows have come whole */
#define EXIT_STRANGE 43

/* --- the monitor --- */

struct player {
	int channel;
	char words[64];
	size_t answer_len;
	bool has_rows;
};

static void
player_say(const struct player *player, enum channel_type type, const void *payload)
{
	if (channel_send(player->channel, type, payload, NULL, 0) != 0) {
		_exit(EXIT_STRANGE);
	}
}

static void
player_commit(const struct player *player, const struct channel_commit *commit)
{
	struct channel_refused refused = {.generation = commit->generation, .why = "no\nthanks"};
	struct channel_request request = {.id = 5, .command = COMMAND_RELOAD, .who = "uid 7"};
	struct channel_answer answer = {.generation = commit->generation, .server = 5};
	struct channel_number number = {0};

	if (strcmp(player->words, "exit") == 0) {
		_exit(3);
	}
	if (strcmp(player->words, "babble") == 0) {
		player_say(player, CHANNEL_RELEASED, &number); /* that is for workers to say */
	}
	if (strcmp(player->words, "answer") == 0) {
		player_say(player, CHANNEL_ANSWER, &answer); /* and there is no such name */
	}
	if (strcmp(player->words, "refuse") == 0) {
		player_say(player, CHANNEL_REFUSED, &refused);
	}
	if (strcmp(player->words, "deaf") == 0) {
		for (;;) {
			(void)pause();
		}
	}
	player_say(player, CHANNEL_APPLIED, commit);
	player_say(player, CHANNEL_REQUEST, &request);
}

static void
player_hear(struct player *player, const struct channel_message *message)
{
	ssize_t len;

	switch (message->type) {
	case CHANNEL_CONFIG:
		len = pread(message->fds[0], player->words, sizeof(player->words) - 1, 0);
		player->words[len > 0 ? len : 0] = '\0';
		break;
	case CHANNEL_DOORS:
		if (message->fd_count != 1 || message->doors.has_web != 1) {
			_exit(EXIT_STRANGE);
		}
		break;
	case CHANNEL_COMMIT:
		player_commit(player, &message->commit);
		break;
	case CHANNEL_ROWS:
		player->has_rows = message->rows.id == ROWS_ID && message->rows.count == 9;
		break;
	case CHANNEL_RESULT:
		for (uint32_t i = 0; i < message->result.len; i++) {
			if (message->result.text[i] != (char)('a' + player->answer_len++ % 26)) {
				_exit(EXIT_STRANGE);
			}
		}
		if (message->result.is_last != 0 && player->has_rows &&
			player->answer_len == LONG_ANSWER) {
			_exit(EXIT_GOT_IT);
		}
		break;
	default:
		break;
	}
}

/* Before main and Check, as in fleet_player.c. */
__attribute__((constructor)) static void
play_monitor(void)
{
	struct player player = {0};
	struct channel_message message;
	struct inherit inherit;
	int status;

	if (inherit_read(&inherit) != 0 || inherit.role != ROLE_MONITOR) {
		return;
	}
	player.channel = inherit.channel;
	if (fcntl(LEAKED_FD, F_GETFD) >= 0) {
		_exit(EXIT_STRANGE);
	}
	for (;;) {
		struct pollfd wait = {.fd = player.channel, .events = POLLIN};

		(void)poll(&wait, 1, -1);
		status = channel_receive(player.channel, CHANNEL_CHILD, &message);
		if (status == 0) {
			player_hear(&player, &message);
			channel_message_close(&message);
		} else if (status != -EAGAIN && strcmp(player.words, "stay") == 0) {
			(void)pause();
		} else if (status != -EAGAIN) {
			_exit(0); /* the end of the channel is the order to go */
		}
	}
}

/* --- the master --- */

static struct master master;
static struct monitor_child monitor;
static struct doors doors;
static struct signals signals;
static unsigned deaths, gone, requests_heard, forgotten;
static int last_status;

void
requests_take(struct master *whose, const struct channel_request *request)
{
	ck_assert_ptr_eq(whose, &master);
	ck_assert_uint_eq(request->id, 5);
	ck_assert_uint_eq(request->command, COMMAND_RELOAD);
	ck_assert_str_eq(request->who, "uid 7");
	requests_heard++;
}

void
requests_forget(struct master *whose)
{
	ck_assert_ptr_eq(whose, &master);
	forgotten++;
}

static void
on_gone(struct master *whose)
{
	ck_assert_ptr_eq(whose, &master);
	gone++;
}

static void
on_child(struct master *whose)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		last_status = status;
		deaths += monitor_child_reap(whose->monitor, pid, status);
	}
}

static void
on_other_signal(struct master *whose)
{
	(void)whose;
	ck_abort_msg("a signal that nobody sent");
}

static void
configure(const char *words)
{
	descriptor_close(&master.config_memory);
	master.config_memory = descriptor_seal_bytes("test", words, strlen(words));
	ck_assert_int_ge(master.config_memory, 0);
	master.generation++;
}

static void
setup(void)
{
	static const struct signals_actions actions = {on_other_signal, on_other_signal,
		on_other_signal, on_other_signal, on_other_signal, on_child, on_other_signal,
		on_other_signal};
	static struct config without_names;
	struct fault why;

	log_set_level(LOG_LEVEL_ERROR);
	ck_assert_int_eq(board_create(&master.board, &master.board_memory, &why), 0);
	master.binary = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	master.loop = loop_new();
	master.identity = (struct privilege_identity){geteuid(), getegid()};
	master.config = &without_names;
	master.config_memory = -1;
	master.doors = &doors;
	master.monitor = &monitor;
	doors_init(&doors);
	/* Any descriptor is a door for whoever only hands it on. */
	doors.at[DOOR_WEB].fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(dup2(doors.at[DOOR_WEB].fd, LEAKED_FD), LEAKED_FD);
	signals_start(&signals, master.loop, &master, &actions);
}

static void
teardown(void)
{
	monitor_child_close(&monitor);
	signals_stop(&signals, master.loop);
	ev_loop_destroy(master.loop);
	doors_close(&doors);
	board_detach(&master.board);
}

static void
open_with(const char *words)
{
	struct fault why;

	configure(words);
	ck_assert_int_eq(monitor_child_start(&monitor, &master, &why), 0);
}

static void
lose_patience(struct ev_loop *loop, struct loop_timer *timer)
{
	(void)loop;
	(void)timer;
	ck_abort_msg("waited for too long");
}

#define WAIT(condition)                                                                            \
	do {                                                                                       \
		struct loop_timer patience;                                                        \
                                                                                                   \
		loop_timer_init(&patience, lose_patience);                                         \
		loop_timer_start(master.loop, &patience, PATIENCE_MS);                             \
		while (!(condition)) {                                                             \
			(void)ev_run(master.loop, EVRUN_ONCE);                                     \
		}                                                                                  \
		loop_timer_stop(master.loop, &patience);                                           \
	} while (0)

/* The newest event, "" when there is none. */
static const char *
last_event(void)
{
	static struct board_event event;
	uint64_t last = atomic_load(&master.board.master->last_event);

	event.text[0] = '\0';
	ck_assert(last == 0 || board_read_event(&master.board, last, &event) == 0);
	return event.text;
}

/* --- claims --- */

START_TEST(without_a_door_there_is_no_monitor)
{
	doors_close(&doors);
	open_with("");
	ck_assert_int_eq(monitor.pid, 0);
	monitor_child_answer(&monitor, 1, 0, "nobody hears that");
	monitor_child_end(&master, on_gone);
	ck_assert_uint_eq(gone, 1);
}
END_TEST

START_TEST(it_is_briefed_and_its_requests_are_heard)
{
	open_with("");
	ck_assert_int_gt(monitor.pid, 0);
	WAIT(requests_heard == 1);
	configure("again");
	monitor_child_apply(&monitor);
	WAIT(requests_heard == 2);
	monitor_child_end(&master, on_gone);
	ck_assert_uint_eq(gone, 0);
	WAIT(gone == 1);
	ck_assert_int_eq(last_status, 0);
	ck_assert_str_eq(last_event(), "");
	ck_assert_uint_eq(forgotten, 1);
}
END_TEST

START_TEST(long_answers_come_in_pieces_and_rows_before_them)
{
	char text[LONG_ANSWER + 1];

	for (int i = 0; i < LONG_ANSWER; i++) {
		text[i] = (char)('a' + i % 26);
	}
	text[LONG_ANSWER] = '\0';
	open_with("");
	WAIT(requests_heard == 1);
	monitor_child_send_rows(&monitor, ROWS_ID, 3, 9, doors.at[DOOR_WEB].fd);
	monitor_child_answer(&monitor, ROWS_ID, 0, text);
	WAIT(deaths == 1);
	ck_assert_int_eq(WEXITSTATUS(last_status), EXIT_GOT_IT);
}
END_TEST

START_TEST(one_that_is_killed_is_replaced_at_once_and_told_of)
{
	pid_t first;

	open_with("");
	WAIT(requests_heard == 1);
	first = monitor.pid;
	ck_assert_int_eq(kill(first, SIGKILL), 0);
	WAIT(requests_heard == 2);
	ck_assert_int_ne(monitor.pid, first);
	ck_assert_uint_eq(forgotten, 1);
	ck_assert_msg(strstr(last_event(), "was killed by SIGKILL; clients are not concerned; "
					   "starting another now") != NULL,
		"%s", last_event());
}
END_TEST

/* The first failure is tried again at once, later ones wait: no loop of births. */
START_TEST(one_that_always_fails_backs_off)
{
	open_with("exit");
	WAIT(deaths == 6 || (deaths > 1 && monitor.pid == 0));
	ck_assert_int_eq(WEXITSTATUS(last_status), 3);
	ck_assert_int_eq(monitor.pid, 0);
	ck_assert(ev_is_active(&monitor.alarm.watcher));
	monitor_child_end(&master, on_gone);
	ck_assert_uint_eq(gone, 1);
	ck_assert(!ev_is_active(&monitor.alarm.watcher));
}
END_TEST

START_TEST(one_that_breaks_the_grammar_is_killed)
{
	open_with("babble");
	WAIT(deaths >= 1);
	ck_assert(WIFSIGNALED(last_status) && WTERMSIG(last_status) == SIGKILL);
	ck_assert_msg(strstr(last_event(), "because it broke the grammar of its channel") != NULL,
		"%s", last_event());
}
END_TEST

START_TEST(one_that_answers_what_nobody_asked_is_killed)
{
	open_with("answer");
	WAIT(deaths >= 1);
	ck_assert(WIFSIGNALED(last_status) && WTERMSIG(last_status) == SIGKILL);
}
END_TEST

START_TEST(one_that_refuses_goes_on)
{
	open_with("refuse");
	WAIT(requests_heard == 1);
	ck_assert_uint_eq(deaths, 0);
}
END_TEST

/* However many there are, its channel does not fill up. */
START_TEST(reloads_while_it_is_busy_are_told_as_one)
{
	open_with("");
	for (int i = 0; i < 10000; i++) {
		configure("");
		monitor_child_apply(&monitor);
	}
	WAIT(requests_heard == 2);
	ck_assert_uint_eq(monitor.commits_due, 0);
	ck_assert(!monitor.is_behind);
	ck_assert_uint_eq(deaths, 0);
}
END_TEST

START_TEST(one_that_does_not_read_is_killed)
{
	open_with("deaf");
	for (int i = 0; deaths == 0; i++) {
		ck_assert_int_lt(i, 1000000);
		monitor_child_answer(&monitor, 1, 0, "take this");
		(void)ev_run(master.loop, EVRUN_NOWAIT);
	}
	ck_assert_msg(strstr(last_event(), "because it does not read its channel") != NULL, "%s",
		last_event());
}
END_TEST

/* Patience with it ends after a second. */
START_TEST(one_that_does_not_go_is_killed)
{
	open_with("stay");
	WAIT(requests_heard == 1);
	monitor_child_end(&master, on_gone);
	ck_assert(ev_is_active(&monitor.alarm.watcher));
	ev_invoke(master.loop, &monitor.alarm.watcher, EV_TIMER);
	WAIT(gone == 1);
	ck_assert(WIFSIGNALED(last_status) && WTERMSIG(last_status) == SIGKILL);
}
END_TEST

START_TEST(it_goes_with_its_last_door_and_comes_with_the_next)
{
	open_with("");
	WAIT(requests_heard == 1);
	doors_close(&doors);
	monitor_child_apply(&monitor);
	WAIT(deaths == 1);
	ck_assert_int_eq(monitor.pid, 0);
	ck_assert_str_eq(last_event(), "");
	doors.at[DOOR_WEB].fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	monitor_child_apply(&monitor);
	WAIT(requests_heard == 2);
}
END_TEST

START_TEST(other_children_are_not_it)
{
	open_with("");
	ck_assert(!monitor_child_reap(&monitor, monitor.pid + 1, 0));
	ck_assert(!monitor_child_reap(NULL, 1, 0));
	ck_assert_int_gt(monitor.pid, 0);
}
END_TEST

START_TEST(a_binary_that_cannot_be_executed_is_explained)
{
	close(master.binary);
	master.binary = open("/dev/null", O_RDONLY | O_CLOEXEC);
	open_with("");
	WAIT(deaths >= 1);
	ck_assert_msg(
		strstr(last_event(), "cannot execute its program") != NULL, "%s", last_event());
}
END_TEST

UNIT_TESTS("monitor_child", tcase_add_checked_fixture(tests, setup, teardown);
	   tcase_add_test(tests, without_a_door_there_is_no_monitor);
	   tcase_add_test(tests, it_is_briefed_and_its_requests_are_heard);
	   tcase_add_test(tests, long_answers_come_in_pieces_and_rows_before_them);
	   tcase_add_test(tests, one_that_is_killed_is_replaced_at_once_and_told_of);
	   tcase_add_test(tests, one_that_always_fails_backs_off);
	   tcase_add_test(tests, one_that_breaks_the_grammar_is_killed);
	   tcase_add_test(tests, one_that_answers_what_nobody_asked_is_killed);
	   tcase_add_test(tests, one_that_refuses_goes_on);
	   tcase_add_test(tests, reloads_while_it_is_busy_are_told_as_one);
	   tcase_add_test(tests, one_that_does_not_read_is_killed);
	   tcase_add_test(tests, one_that_does_not_go_is_killed);
	   tcase_add_test(tests, it_goes_with_its_last_door_and_comes_with_the_next);
	   tcase_add_test(tests, other_children_are_not_it);
	   tcase_add_test(tests, a_binary_that_cannot_be_executed_is_explained);)
