/* The fleet with real processes: this program, executed anew, plays the worker. What it should do
 * is in the "configuration" that the test seals: words, of which the first is for every worker, and
 * "N:word" for the worker in slot N alone. */
#include "master/fleet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "common/inherit.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/privilege.h"
#include "master/listeners.h"
#include "master/master.h"
#include "master/signals.h"
#include "tests/unit/run.h"

#define PATIENCE_MS 20000 /* of the test itself: far beyond every wait below */
#define SOCKET      7     /* the number of the one listening socket */

/* --- the worker --- */

struct player {
	int slot;
	int channel;
	struct board board;
	char words[256]; /* the last configuration */
	bool is_ready;
	bool is_deaf;
	struct channel_number released[8];
};

static bool
player_is_told(const struct player *player, const char *word)
{
	char all[64], own[64];

	(void)snprintf(all, sizeof(all), " %s ", word);
	(void)snprintf(own, sizeof(own), " %d:%s ", player->slot, word);
	return strstr(player->words, all) != NULL || strstr(player->words, own) != NULL;
}

static void
player_say(const struct player *player, enum channel_type type, const void *payload)
{
	if (channel_send(player->channel, type, payload, NULL, 0) != 0) {
		_exit(99);
	}
}

/* As a real worker's handler of fatal signals leaves it. */
static void
player_crash(struct player *player)
{
	struct board_slot *slot = &player->board.slots[player->slot];
	struct rlimit no_core = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &no_core);
	stat_add(&slot->listeners[0].stats[STAT_LISTENER_accepted], 3);
	stat_add(&slot->listeners[0].stats[STAT_LISTENER_open], 3);
	slot->crash.signal = SIGSEGV;
	slot->crash.fault_address = 0x10;
	slot->crash.listener = 0;
	slot->crash.peer.in4.sin_family = AF_INET;
	slot->crash.peer.in4.sin_port = htons(4242);
	slot->crash.peer.in4.sin_addr.s_addr = htonl(0xc0000201);
	slot->crash.frame_count = 4000000000; /* a lie: nobody may believe it */
	(void)snprintf(slot->crash.frames[0], sizeof(slot->crash.frames[0]), "conn_read+0x1f");
	memset(slot->crash.frames[1], '\x1b', sizeof(slot->crash.frames[1]));
	atomic_store(&slot->crash.is_written, 1);
	(void)signal(SIGSEGV, SIG_DFL);
	(void)raise(SIGSEGV);
}

static void
player_take_config(struct player *player, const struct channel_message *message)
{
	ssize_t len = pread(message->fds[0], player->words, sizeof(player->words) - 1, 0);

	player->words[len > 0 ? len : 0] = '\0';
}

static void
player_commit(struct player *player, const struct channel_commit *commit)
{
	struct channel_refused refused = {.generation = commit->generation};

	if (player_is_told(player, "exit")) {
		_exit(78);
	}
	if (player_is_told(player, "silent")) {
		return;
	}
	if (player_is_told(player, "refuse")) {
		(void)snprintf(refused.why, sizeof(refused.why), "no such\nthing");
		player_say(player, CHANNEL_REFUSED, &refused);
		return;
	}
	player_say(player, CHANNEL_APPLIED, commit);
	if (!player->is_ready) {
		player->is_ready = true;
		player_say(player, CHANNEL_READY, NULL);
	}
	if (player_is_told(player, "babble")) {
		player_say(player, CHANNEL_APPLIED, commit);
	}
	if (player_is_told(player, "crash")) {
		player_crash(player);
	}
	player->is_deaf = player_is_told(player, "deaf");
	while (player_is_told(player, "loop")) {
	}
}

static void
player_obey(struct player *player, const struct channel_message *message)
{
	struct fault why;

	switch (message->type) {
	case CHANNEL_HELLO:
		if (board_attach(&player->board, message->fds[0], player->slot, &why) != 0) {
			_exit(98);
		}
		break;
	case CHANNEL_CONFIG:
		player_take_config(player, message);
		break;
	case CHANNEL_COMMIT:
		player_commit(player, &message->commit);
		break;
	case CHANNEL_RELEASE:
		if (!player_is_told(player, "keep")) {
			player_say(player, CHANNEL_RELEASED, &message->number);
		}
		break;
	case CHANNEL_DRAIN:
		if (!player_is_told(player, "stay")) {
			_exit(0);
		}
		break;
	default:
		break;
	}
}

static void
player_turn(struct player *player)
{
	struct pollfd wait = {.fd = player->channel, .events = POLLIN};
	struct channel_message message;
	int status;

	(void)poll(&wait, player->is_deaf ? 0 : 1, 20);
	if (player->board.slots != NULL) {
		atomic_store(&player->board.slots[player->slot].progress_ms, clock_monotonic_ms());
	}
	if (player->is_deaf) {
		return;
	}
	status = channel_receive(player->channel, CHANNEL_CHILD, &message);
	if (status == 0) {
		player_obey(player, &message);
		channel_message_close(&message);
	} else if (status != -EAGAIN) {
		_exit(97); /* the master is gone */
	}
}

/* Before main and Check: this program is a worker when it was executed by a fleet. */
__attribute__((constructor)) static void
play_worker(void)
{
	struct player player = {0};
	struct inherit inherit;

	if (inherit_read(&inherit) != 0 || inherit.role != ROLE_WORKER) {
		return;
	}
	player.slot = inherit.slot;
	player.channel = inherit.channel;
	if (fcntl(CHANNEL_DESCRIPTORS_MAX, F_GETFD) >= 0) {
		_exit(96); /* something leaked into the child */
	}
	for (;;) {
		player_turn(&player);
	}
}

/* --- the master --- */

static struct master master = {.config_memory = -1, .board_memory = -1, .binary = -1};
static char listener_name[] = "echo";
static struct listener_config listener = {.name = listener_name, .protocol = PROTOCOL_echo};
static struct config config = {.hang_timeout_ms = 1000,
	.drain_timeout_ms = 300,
	.listeners = &listener,
	.listener_count = 1};
static struct listening_socket sockets[2];
static struct listeners listeners = {.sockets = sockets};
static struct signals signals;
static char directory[] = "/tmp/acceptd-fleet-XXXXXX";
static char log_path[128];

static unsigned settled, gone;
static char failure[1024];

static void
on_settled(struct master *whose, const char *why)
{
	ck_assert_ptr_eq(whose, &master);
	settled++;
	(void)snprintf(failure, sizeof(failure), "%s", why != NULL ? why : "");
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
	fleet_reap(whose->fleet);
}

static void
on_other_signal(struct master *whose)
{
	(void)whose;
	ck_abort_msg("a signal that nobody sent");
}

/* A new "configuration" is in force. */
static void
configure(const char *words)
{
	char text[256];

	(void)snprintf(text, sizeof(text), " %s ", words);
	descriptor_close(&master.config_memory);
	master.config_memory = descriptor_seal_bytes("test", text, strlen(text));
	ck_assert_int_ge(master.config_memory, 0);
	master.generation++;
}

static void
start_signals(void)
{
	static const struct signals_actions actions = {on_other_signal, on_other_signal,
		on_other_signal, on_other_signal, on_other_signal, on_child, on_other_signal,
		on_other_signal};

	signals_start(&signals, master.loop, &master, &actions);
}

static void
setup(unsigned workers, const char *words)
{
	struct fault why;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(log_path, sizeof(log_path), "%s/log", directory);
	ck_assert_int_eq(log_open(log_path, &why), 0);
	log_set_level(LOG_LEVEL_INFO);
	ck_assert_int_eq(board_create(&master.board, &master.board_memory, &why), 0);
	master.binary = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	master.loop = loop_new();
	master.config = &config;
	master.listeners = &listeners;
	master.identity = (struct privilege_identity){geteuid(), getegid()};
	master.descriptor_limit = 1024;
	sockets[0] = (struct listening_socket){.number = SOCKET,
		.fd = open("/dev/null", O_RDONLY | O_CLOEXEC),
		.board_listener = board_listener_index(&master.board, listener_name)};
	listeners.count = 1;
	/* What whoever started us left open must not reach the children. */
	ck_assert_int_eq(dup2(sockets[0].fd, CHANNEL_DESCRIPTORS_MAX), CHANNEL_DESCRIPTORS_MAX);
	configure(words);
	start_signals();
	ck_assert_int_eq(fleet_start(&master, workers, &why), 0);
	fleet_apply(master.fleet, on_settled);
}

static void
out_of_patience(struct ev_loop *loop, struct loop_timer *timer)
{
	(void)loop;
	(void)timer;
	ck_abort_msg("waited for too long; the log is in %s", log_path);
}

/* Run the loop until the condition holds. */
#define WAIT_FOR(condition)                                                                        \
	do {                                                                                       \
		struct loop_timer patience;                                                        \
                                                                                                   \
		loop_timer_init(&patience, out_of_patience);                                       \
		loop_timer_start(master.loop, &patience, PATIENCE_MS);                             \
		while (!(condition)) {                                                             \
			(void)ev_run(master.loop, EVRUN_ONCE);                                     \
		}                                                                                  \
		loop_timer_stop(master.loop, &patience);                                           \
	} while (0)

/* The log as it is now. */
static const char *
log_text(void)
{
	static char *text;
	size_t len;

	free(text);
	ck_assert_int_eq(descriptor_read_file(log_path, 1 << 20, &text, &len), 0);
	return text;
}

static bool PRINTF_LIKE(1, 2) log_has(const char *format, ...)
{
	char wanted[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(wanted, sizeof(wanted), format, args);
	va_end(args);
	return strstr(log_text(), wanted) != NULL;
}

static unsigned
log_count(const char *words)
{
	unsigned count = 0;
	const char *at;

	for (at = strstr(log_text(), words); at != NULL; at = strstr(at + 1, words)) {
		count++;
	}
	return count;
}

/* By the log, the only public way: the pid in the last line "slot N: …" is not there, so the board
 * of the real worker would be asked; here the fleet's own line is. */
static pid_t
pid_of(int slot)
{
	char wanted[64];
	const char *at, *last = NULL;

	(void)snprintf(wanted, sizeof(wanted), "worker %d (pid ", slot);
	for (at = strstr(log_text(), wanted); at != NULL; at = strstr(at + 1, wanted)) {
		last = at;
	}
	ck_assert_ptr_nonnull(last);
	return (pid_t)atoi(last + strlen(wanted));
}

static uint64_t
master_stat(enum stat_master_index index)
{
	return stat_get(&master.board.master->stats[index]);
}

static void
teardown(void)
{
	if (gone == 0) {
		fleet_drain(master.fleet, 0, on_gone);
		fleet_kill(master.fleet);
		WAIT_FOR(gone > 0);
	}
	fleet_free(&master.fleet);
	ck_assert_ptr_null(master.fleet);
	signals_stop(&signals, master.loop);
	ev_loop_destroy(master.loop);
	board_detach(&master.board);
	(void)unlink(log_path);
	(void)rmdir(directory);
}

/* --- the claims --- */

START_TEST(fleet_starts_settles_and_drains)
{
	setup(3, "");
	WAIT_FOR(settled > 0);
	ck_assert_str_eq(failure, "");
	ck_assert_uint_eq(fleet_serving(master.fleet), 3);
	ck_assert_uint_eq(fleet_wanted(master.fleet), 3);
	fleet_drain(master.fleet, 5000, on_gone);
	WAIT_FOR(gone > 0);
	ck_assert_uint_eq(settled, 1);
	ck_assert_uint_eq(log_count("has finished"), 3);
	ck_assert(!log_has("error:"));
	teardown();
}
END_TEST

START_TEST(fleet_replaces_a_killed_worker_within_250_ms)
{
	int64_t killed_ms;
	pid_t pid;

	setup(2, "");
	WAIT_FOR(settled > 0);
	pid = pid_of(1);
	killed_ms = clock_monotonic_ms();
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	WAIT_FOR(fleet_serving(master.fleet) == 1);
	WAIT_FOR(fleet_serving(master.fleet) == 2);
	ck_assert_int_lt(clock_monotonic_ms() - killed_ms, 250);
	ck_assert_int_ne(pid_of(1), pid);
	ck_assert(log_has("worker 1 (pid %d) killed by SIGKILL after ", (int)pid));
	ck_assert(log_has("; 0 connections lost; restarting now\n"));
	ck_assert_uint_eq(master_stat(STAT_MASTER_worker_crashes), 1);
	teardown();
}
END_TEST

START_TEST(fleet_survives_the_death_of_all_at_once)
{
	pid_t pids[4];
	int i;

	setup(4, "");
	WAIT_FOR(settled > 0);
	for (i = 0; i < 4; i++) {
		pids[i] = pid_of(i);
	}
	for (i = 0; i < 4; i++) {
		ck_assert_int_eq(kill(pids[i], SIGKILL), 0);
	}
	WAIT_FOR(master_stat(STAT_MASTER_worker_crashes) == 4);
	WAIT_FOR(fleet_serving(master.fleet) == 4);
	ck_assert_uint_eq(log_count("killed by SIGKILL"), 4);
	teardown();
}
END_TEST

START_TEST(fleet_explains_a_crash_with_its_client_and_stack)
{
	pid_t pid;

	setup(1, "");
	WAIT_FOR(settled > 0);
	pid = pid_of(0);
	configure("crash");
	fleet_apply(master.fleet, on_settled);
	WAIT_FOR(master_stat(STAT_MASTER_worker_crashes) > 0);
	ck_assert(log_has("worker 0 (pid %d) killed by SIGSEGV at address 0x10 after ", (int)pid));
	ck_assert(log_has("; 3 connections lost; was serving 192.0.2.1:4242 on listener echo "
			  "(protocol echo); restarting now\n"));
	ck_assert(log_has("worker 0 (pid %d) stack #0 conn_read+0x1f\n", (int)pid));
	ck_assert(log_has("stack #1 \\x1b\\x1b"));
	ck_assert(log_has("stack #31 "));
	ck_assert(!log_has("stack #32 "));
	ck_assert_uint_eq(
		stat_get(&master.board.slots[0].listeners[0].closed[CLOSE_lost_in_crash]), 3);
	configure("");
	fleet_apply(master.fleet, on_settled);
	WAIT_FOR(fleet_serving(master.fleet) == 1);
	teardown();
}
END_TEST

START_TEST(fleet_gives_up_on_a_start_after_a_burst_of_failures_and_goes_on_trying)
{
	setup(2, "1:exit");
	WAIT_FOR(settled > 0);
	ck_assert_ptr_nonnull(strstr(failure, "worker 1 (pid "));
	ck_assert_ptr_nonnull(strstr(failure, ") exited with status 78 after "));
	ck_assert_ptr_nonnull(strstr(failure, ", before it served; restarting in "));
	ck_assert_ptr_nonnull(strstr(failure, "; failure 5 in a row, 3 of them not logged"));
	WAIT_FOR(fleet_serving(master.fleet) == 1);
	configure("");
	fleet_apply(master.fleet, on_settled);
	WAIT_FOR(fleet_serving(master.fleet) == 2); /* at the next try, in less than a second */
	teardown();
}
END_TEST

START_TEST(fleet_says_what_a_worker_refused_at_the_start)
{
	setup(1, "refuse");
	WAIT_FOR(settled > 0);
	ck_assert_ptr_nonnull(strstr(failure,
		", before it served (refused its configuration); it said: no such\\x0athing; "));
	teardown();
}
END_TEST

START_TEST(fleet_keeps_workers_that_all_refuse_a_configuration)
{
	setup(3, "");
	WAIT_FOR(settled == 1);
	configure("refuse");
	fleet_apply(master.fleet, on_settled);
	WAIT_FOR(settled == 2);
	ck_assert_str_eq(failure, "no worker could take configuration 2: no such\\x0athing");
	ck_assert_uint_eq(log_count("cannot take configuration 2: no such\\x0athing"), 3);
	WAIT_FOR(master_stat(STAT_MASTER_worker_crashes) > 1); /* one was replaced, for a try */
	ck_assert_int_eq(kill(pid_of(0), 0), 0);
	ck_assert_int_eq(kill(pid_of(1), 0), 0);
	configure("");
	fleet_apply(master.fleet, on_settled);
	WAIT_FOR(fleet_serving(master.fleet) == 3);
	teardown();
}
END_TEST

START_TEST(fleet_replaces_the_one_that_refuses_what_others_take)
{
	pid_t pid;

	setup(3, "");
	WAIT_FOR(settled == 1);
	pid = pid_of(1);
	configure("1:refuse");
	fleet_apply(master.fleet, on_settled);
	WAIT_FOR(settled == 2);
	ck_assert_str_eq(failure, "");
	ck_assert_uint_eq(fleet_serving(master.fleet), 3);
	WAIT_FOR(kill(pid, 0) != 0);
	ck_assert_uint_eq(master_stat(STAT_MASTER_worker_crashes), 0);
	teardown();
}
END_TEST

static const struct {
	const char *words, *ending;
} hangs[] = {
	{"stop", ", state T"},
	{"loop", ", looping"},
	{"silent", NULL},
};

START_TEST(fleet_finds_a_hung_worker_and_replaces_it)
{
	pid_t pid;

	setup(2, "");
	WAIT_FOR(settled > 0);
	pid = pid_of(1);
	if (hangs[_i].ending == NULL) { /* it lives, but does not answer */
		configure("1:silent");
		fleet_apply(master.fleet, on_settled);
		WAIT_FOR(log_has("worker 1 (pid %d) killed by SIGKILL", (int)pid));
		ck_assert(log_has("(no answer)"));
		teardown();
		return;
	}
	if (strcmp(hangs[_i].words, "stop") == 0) {
		ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	} else {
		configure("1:loop");
		fleet_apply(master.fleet, on_settled);
	}
	WAIT_FOR(master_stat(STAT_MASTER_worker_hangs) > 0);
	configure("");
	fleet_apply(master.fleet, on_settled);
	WAIT_FOR(fleet_serving(master.fleet) == 2);
	ck_assert(log_has("worker 1 (pid %d) made no progress for 1.", (int)pid));
	ck_assert(log_has("%s: SIGABRT\n", hangs[_i].ending));
	ck_assert(log_has("worker 1 (pid %d) killed by SIGABRT", (int)pid));
	ck_assert_uint_eq(log_count(": SIGABRT\n"), 1);
	teardown();
}
END_TEST

START_TEST(fleet_kills_a_worker_that_breaks_the_grammar)
{
	setup(2, "");
	WAIT_FOR(settled > 0);
	configure("1:babble");
	fleet_apply(master.fleet, on_settled);
	WAIT_FOR(log_has("(broke the grammar of its channel: applied)"));
	configure("");
	fleet_apply(master.fleet, on_settled);
	WAIT_FOR(fleet_serving(master.fleet) == 2);
	teardown();
}
END_TEST

START_TEST(fleet_kills_a_worker_that_does_not_read)
{
	unsigned i;

	setup(1, "deaf");
	WAIT_FOR(settled > 0);
	for (i = 0; i < 100000 && fleet_serving(master.fleet) > 0; i++) {
		fleet_send_log(master.fleet);
	}
	configure("");
	WAIT_FOR(log_has("(cannot be told log: it does not read its channel)"));
	WAIT_FOR(fleet_serving(master.fleet) == 1);
	teardown();
}
END_TEST

START_TEST(fleet_grows_and_shrinks)
{
	setup(1, "");
	WAIT_FOR(settled > 0);
	fleet_resize(master.fleet, 4);
	WAIT_FOR(fleet_serving(master.fleet) == 4);
	fleet_resize(master.fleet, 2);
	WAIT_FOR(log_count("has finished") == 2);
	ck_assert_uint_eq(fleet_serving(master.fleet), 2);
	ck_assert(log_has("slot 3: ready -> draining"));
	ck_assert(log_has("slot 2: ready -> draining"));
	teardown();
}
END_TEST

START_TEST(fleet_kills_who_stays_after_the_drain_timeout)
{
	setup(1, "stay");
	WAIT_FOR(settled > 0);
	fleet_drain(master.fleet, 100, on_gone);
	WAIT_FOR(gone > 0);
	ck_assert(log_has("killed by SIGKILL"));
	ck_assert(log_has("(drain timeout)"));
	ck_assert_uint_eq(master_stat(STAT_MASTER_worker_crashes), 0);
	teardown();
}
END_TEST

START_TEST(fleet_takes_a_retired_socket_back_from_all_also_from_the_newborn)
{
	setup(2, "");
	WAIT_FOR(settled == 1);
	ck_assert(fleet_holds_socket(master.fleet, SOCKET));
	configure("keep");
	sockets[0].is_retiring = true;
	sockets[0].listener = -1;
	fleet_apply(master.fleet, on_settled);
	WAIT_FOR(settled == 2);
	fleet_release_socket(master.fleet, SOCKET);
	ck_assert_int_eq(kill(pid_of(0), SIGKILL), 0); /* one dies with it */
	WAIT_FOR(fleet_serving(master.fleet) == 1);
	configure("");
	fleet_apply(master.fleet, on_settled);
	WAIT_FOR(settled == 3);
	ck_assert(fleet_holds_socket(master.fleet, SOCKET)); /* the other keeps it */
	ck_assert_int_eq(kill(pid_of(1), SIGKILL), 0);
	WAIT_FOR(!fleet_holds_socket(master.fleet, SOCKET));
	teardown();
}
END_TEST

START_TEST(fleet_does_not_blame_workers_for_its_own_absence)
{
	struct timespec absence = {2, 500000000}; /* beyond the hang timeout: SIGSTOP, as it were */

	setup(2, "");
	WAIT_FOR(settled > 0);
	ck_assert_int_eq(kill(pid_of(1), SIGSTOP), 0);
	(void)nanosleep(&absence, NULL);
	ck_assert_int_eq(kill(pid_of(1), SIGCONT), 0);
	(void)ev_run(master.loop, EVRUN_ONCE);
	fleet_resize(master.fleet, 3);
	WAIT_FOR(fleet_serving(master.fleet) == 3);
	ck_assert_uint_eq(master_stat(STAT_MASTER_worker_hangs), 0);
	teardown();
}
END_TEST

START_TEST(fleet_tells_why_a_program_cannot_be_executed)
{
	setup(1, "");
	descriptor_close(&master.binary);
	master.binary = open("/dev/null", O_RDONLY | O_CLOEXEC);
	WAIT_FOR(settled > 0);
	ck_assert_ptr_nonnull(strstr(failure, "cannot execute its program: Permission denied"));
	teardown();
}
END_TEST

START_TEST(fleet_survives_want_of_descriptors)
{
	struct rlimit limit;

	setup(2, "");
	WAIT_FOR(settled > 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = 4;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	fleet_resize(master.fleet, 3);
	WAIT_FOR(master_stat(STAT_MASTER_fork_failures) > 2);
	limit.rlim_cur = limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert(log_has("cannot start worker 2: channel: Too many open files; 2 of 3 workers "
			  "serve; trying again in "));
	WAIT_FOR(fleet_serving(master.fleet) == 3);
	teardown();
}
END_TEST

UNIT_TESTS("fleet", tcase_add_test(tests, fleet_starts_settles_and_drains);
	   tcase_add_test(tests, fleet_replaces_a_killed_worker_within_250_ms);
	   tcase_add_test(tests, fleet_survives_the_death_of_all_at_once);
	   tcase_add_test(tests, fleet_explains_a_crash_with_its_client_and_stack); tcase_add_test(
		   tests, fleet_gives_up_on_a_start_after_a_burst_of_failures_and_goes_on_trying);
	   tcase_add_test(tests, fleet_says_what_a_worker_refused_at_the_start);
	   tcase_add_test(tests, fleet_keeps_workers_that_all_refuse_a_configuration);
	   tcase_add_test(tests, fleet_replaces_the_one_that_refuses_what_others_take);
	   tcase_add_loop_test(
		   tests, fleet_finds_a_hung_worker_and_replaces_it, 0, (int)ARRAY_LEN(hangs));
	   tcase_add_test(tests, fleet_kills_a_worker_that_breaks_the_grammar);
	   tcase_add_test(tests, fleet_kills_a_worker_that_does_not_read);
	   tcase_add_test(tests, fleet_grows_and_shrinks);
	   tcase_add_test(tests, fleet_kills_who_stays_after_the_drain_timeout);
	   tcase_add_test(tests, fleet_takes_a_retired_socket_back_from_all_also_from_the_newborn);
	   tcase_add_test(tests, fleet_does_not_blame_workers_for_its_own_absence);
	   tcase_add_test(tests, fleet_tells_why_a_program_cannot_be_executed);
	   tcase_add_test(tests, fleet_survives_want_of_descriptors);)
