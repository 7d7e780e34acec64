/* Plays the master: a worker of its own process, told everything through its channel. */
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

#define SLOT 2

static struct board board;
static int board_memory, channel_fd;
static pid_t worker_pid;
static uint64_t generation;
static struct address addresses[3];
static int listeners[3];

/* --- the master's part --- */

static void
open_listeners(void)
{
	for (size_t i = 0; i < ARRAY_LEN(listeners); i++) {
		listeners[i] = help_listen_explicit(64, &addresses[i]);
	}
}

static void
start_worker(void)
{
	struct inherit inherit = {.role = ROLE_WORKER, .slot = SLOT};
	struct fault why;
	int status;

	ck_assert_int_eq(board_create(&board, &board_memory, &why), 0);
	ck_assert_int_eq(board_listener_index(&board, "first"), 0);
	ck_assert_int_eq(board_listener_index(&board, "second"), 1);
	board_open_slot(&board, SLOT);
	ck_assert_int_eq(channel_pair(&channel_fd, &inherit.channel), 0);
	open_listeners();
	worker_pid = fork();
	if (worker_pid == 0) {
		close(channel_fd);
		for (size_t i = 0; i < ARRAY_LEN(listeners); i++) {
			close(listeners[i]);
		}
		status = worker_main(&inherit);
		exit(status); /* as main does, so that sanitizers report */
	}
	close(inherit.channel);
}

static void
tell(enum channel_type type, const void *payload, const int *fds, size_t fd_count)
{
	ck_assert_int_eq(channel_send(channel_fd, type, payload, fds, fd_count), 0);
}

static void
tell_hello(void)
{
	struct channel_hello hello = {.slot = SLOT, .master_pid = (int32_t)getpid()};

	tell(CHANNEL_HELLO, &hello, &board_memory, 1);
}

static void
tell_config(const char *text)
{
	struct channel_config config = {.generation = ++generation, .cpu = -1};
	int fd = descriptor_seal_bytes("config", text, strlen(text));

	ck_assert_int_ge(fd, 0);
	tell(CHANNEL_CONFIG, &config, &fd, 1);
	close(fd);
}

/* One socket of a listener; its number is its index here.
 * @param listener  in the configuration, -1: retiring */
static void
tell_socket(uint32_t number, int listener, bool is_new)
{
	struct channel_listeners message = {.count = 1, .new_mask = {is_new ? 1 : 0}};

	message.sockets[0] = (struct channel_socket){.number = number,
		.listener = (int16_t)listener,
		.board_listener = (int16_t)(listener < 0 ? 0 : listener),
		.is_retiring = listener < 0};
	tell(CHANNEL_LISTENERS, &message, &listeners[number], is_new ? 1 : 0);
}

static void
tell_commit(void)
{
	struct channel_commit commit = {.generation = generation};

	tell(CHANNEL_COMMIT, &commit, NULL, 0);
}

static void
hear(enum channel_type type, struct channel_message *message)
{
	ck_assert(help_waits(channel_fd, POLLIN, HELP_WAIT_MS));
	ck_assert_int_eq(channel_receive(channel_fd, CHANNEL_MASTER, message), 0);
	ck_assert_msg(message->type == type, "expected %s, heard %s: %s", channel_type_name(type),
		channel_type_name(message->type),
		message->type == CHANNEL_REFUSED ? message->refused.why : "");
}

static void
hear_applied(void)
{
	struct channel_message message;

	hear(CHANNEL_APPLIED, &message);
	ck_assert_uint_eq(message.commit.generation, generation);
}

#define CONFIG(options)                                                                            \
	"max_connections = 1000; drain_timeout = \"20s\";\n"                                       \
	"listeners = ({ name = \"first\"; address = \"127.0.0.1:1\"; " options "},\n"              \
	"{ name = \"second\"; address = \"127.0.0.1:2\"; protocol = \"echo\"; });\n"

#define ECHO CONFIG("protocol = \"echo\"; ")

static void
serve(const char *config)
{
	struct channel_message message;

	generation = 0;
	start_worker();
	tell_hello();
	tell_config(config);
	tell_socket(0, 0, true);
	tell_commit();
	hear_applied();
	hear(CHANNEL_READY, &message);
}

static void
reload(const char *config)
{
	tell_config(config);
	tell_socket(0, 0, false);
	tell_commit();
}

static void
drain(int64_t timeout_ms)
{
	struct channel_drain message = {.drain_timeout_ms = timeout_ms};

	tell(CHANNEL_DRAIN, &message, NULL, 0);
}

/* @return the wait status */
static int
wait_for_end(void)
{
	int status;

	ck_assert_int_eq(waitpid(worker_pid, &status, 0), worker_pid);
	close(channel_fd);
	return status;
}

static void
finish(void)
{
	drain(0);
	ck_assert_int_eq(wait_for_end(), 0);
}

static uint64_t
closed(enum close_reason reason)
{
	return stat_get(&board.slots[SLOT].listeners[0].closed[reason]);
}

/* --- the clients' part --- */

static int
client_of(size_t listener)
{
	int fd = help_connect(&addresses[listener]);

	ck_assert(help_is_connected(fd, HELP_WAIT_MS));
	return fd;
}

static void
say(int client, const char *words)
{
	ck_assert_int_eq(send(client, words, strlen(words), MSG_NOSIGNAL), (ssize_t)strlen(words));
}

static void
expect_echo(int client)
{
	char byte;

	say(client, "x");
	ck_assert(help_waits(client, POLLIN, HELP_WAIT_MS));
	ck_assert_int_eq(recv(client, &byte, 1, 0), 1);
}

/* @return 0 or -errno */
static int
wait_for_close(int client)
{
	char byte;

	ck_assert(help_waits(client, POLLIN, HELP_WAIT_MS));
	return recv(client, &byte, 1, 0) == 0 ? 0 : -errno;
}

/* --- tests --- */

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
	ck_assert_uint_eq(stat_get(&board.slots[SLOT].stats[STAT_WORKER_starts]), 1);
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

#ifdef WITH_FAULTS
#ifdef WITH_SANITIZER
#define DEADLY "abort\n"
#define SIGNAL SIGABRT
#else
#define DEADLY "segv\n"
#define SIGNAL SIGSEGV
#endif

START_TEST(a_crash_is_explained_on_the_board)
{
	const struct board_crash *crash;
	struct address from;
	bool is_named = false;
	int client, status;

	serve(CONFIG("protocol = \"fault\"; "));
	crash = &board.slots[SLOT].crash;
	client = client_of(0);
	from = help_bound(client, false);
	say(client, DEADLY);
	status = wait_for_end();
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGNAL);
	ck_assert_uint_eq(atomic_load(&crash->is_written), 1);
	ck_assert_int_eq(crash->signal, SIGNAL);
	ck_assert_int_eq(crash->listener, 0);
	ck_assert_uint_eq(crash->peer.in4.sin_port, from.in4.sin_port);
	ck_assert_uint_gt(crash->frame_count, 3);
	for (uint32_t i = 0; i < crash->frame_count; i++) {
		is_named = is_named || strncmp(crash->frames[i], "fault_on_received+0x", 20) == 0;
	}
	ck_assert(is_named);
	ck_assert_uint_eq(board_bury_slot(&board, SLOT), 1);
	close(client);
}
END_TEST

#ifndef WITH_SANITIZER
START_TEST(an_overflow_of_the_stack_is_explained_too)
{
	const struct board_crash *crash;
	int client, status;

	serve(CONFIG("protocol = \"fault\"; "));
	crash = &board.slots[SLOT].crash;
	client = client_of(0);
	say(client, "stack\n");
	status = wait_for_end();
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGSEGV);
	ck_assert_uint_eq(atomic_load(&crash->is_written), 1);
	ck_assert_uint_eq(crash->frame_count, BOARD_FRAMES_MAX);
	close(client);
}
END_TEST
#endif

/* What the watchdog does to a worker that makes no progress. */
START_TEST(a_hanging_worker_that_is_aborted_says_where_it_hung)
{
	const struct board_crash *crash;
	const struct board_slot *slot;
	uint64_t turns;
	int client, status;

	serve(CONFIG("protocol = \"fault\"; "));
	crash = &board.slots[SLOT].crash;
	slot = &board.slots[SLOT];
	client = client_of(0);
	say(client, "loop\n");
	while (stat_get(&slot->listeners[0].stats[STAT_LISTENER_received_bytes]) < 5) {
	}
	turns = stat_get(&slot->stats[STAT_WORKER_turns]);
	ck_assert_int_eq(kill(worker_pid, SIGABRT), 0);
	status = wait_for_end();
	ck_assert_int_eq(WTERMSIG(status), SIGABRT);
	ck_assert_uint_eq(stat_get(&slot->stats[STAT_WORKER_turns]), turns);
	ck_assert_int_eq(crash->listener, 0);
	ck_assert_msg(strncmp(crash->frames[0], "fault_", 6) == 0, "%s", crash->frames[0]);
	close(client);
}
END_TEST

static const struct {
	const char *words, *answer;
} fault_rows[] = {
	{"block 1\n", "ok\n"},
	{"leak 100\n", "ok\n"},
	{"\n", "unknown\n"},
	{"nonsense\n", "unknown\n"},
	{"leak 1\r\nblock 0\n", "ok\nok\n"},
};

START_TEST(harmless_faults_are_answered)
{
	const char *answer = fault_rows[_i].answer;
	char got[16];
	size_t len = 0;
	int client;

	serve(CONFIG("protocol = \"fault\"; "));
	client = client_of(0);
	say(client, fault_rows[_i].words);
	while (len < strlen(answer)) {
		ssize_t part;

		ck_assert(help_waits(client, POLLIN, HELP_WAIT_MS));
		part = recv(client, got + len, sizeof(got) - len, 0);
		ck_assert_int_gt(part, 0);
		len += (size_t)part;
	}
	ck_assert_mem_eq(got, answer, len);
	close(client);
	finish();
}
END_TEST

START_TEST(a_worker_ends_with_the_status_it_is_told)
{
	int client, status;

	serve(CONFIG("protocol = \"fault\"; "));
	client = client_of(0);
	say(client, "exit 3\n");
	status = wait_for_end();
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 3);
	close(client);
}
END_TEST
#endif

static void
add_fault_tests(TCase *tests)
{
#ifdef WITH_FAULTS
	tcase_add_test(tests, a_crash_is_explained_on_the_board);
#ifndef WITH_SANITIZER
	tcase_add_test(tests, an_overflow_of_the_stack_is_explained_too);
#endif
	tcase_add_test(tests, a_hanging_worker_that_is_aborted_says_where_it_hung);
	tcase_add_loop_test(tests, harmless_faults_are_answered, 0, ARRAY_LEN(fault_rows));
	tcase_add_test(tests, a_worker_ends_with_the_status_it_is_told);
#else
	(void)tests;
#endif
}

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
	   tcase_add_test(tests, the_wake_ups_of_a_worker_are_exclusive); add_fault_tests(tests);)
