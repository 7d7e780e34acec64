/* Workers that crash, hang and exit: what is left behind to explain it. */
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

UNIT_TESTS("worker_faults", add_fault_tests(tests);)
