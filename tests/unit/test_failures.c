#include "worker/failures.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/board.h"
#include "tests/unit/board_help.h"
#include "tests/unit/run.h"

#define WORKERS 3
#define ROUNDS  100000

static struct board board;

static void
setup(void)
{
	help_create_board(&board, WORKERS);
	ck_assert_int_eq(board_upstream_index(&board, "u"), 0);
	ck_assert_int_eq(board_server_index(&board, 0, "s"), 0);
	ck_assert_int_eq(board_server_index(&board, 0, "other"), 1);
}

static void
teardown(void)
{
	board_detach(&board);
}

/* Of workers 0, 1, 2: abc: a connect fails; ABC: one succeeds; xyz: the worker dies and its slot is
 * used again. n: the server has a new address. */
static const struct {
	const char *steps;
	uint64_t in_row;
} runs[] = {
	{"", 0},
	{"a", 1},
	{"aaa", 3},
	{"abc", 3},
	{"aabbc", 5},
	{"abA", 0},
	{"abC", 0}, /* by a worker that saw no failure */
	{"abCb", 1},
	{"abCabc", 3},
	{"aCaAb", 1},
	{"aABCb", 1},
	{"abx", 2}, /* what the dead worker saw is true all the same */
	{"abxa", 3},
	{"abxyz", 2},
	{"aaBy", 0}, /* its success, too */
	{"aaByc", 1},
	{"aaBxyzb", 1},
	{"abn", 0},
	{"abnc", 1},
	{"abnAc", 1},
};

static void
step(char letter)
{
	struct board_server_head *head = &board.writable->servers[0];

	if (letter >= 'a' && letter <= 'c') {
		uint64_t in_row = failures_in_row(&board, 0);

		ck_assert_uint_eq(failures_count(&board, letter - 'a', 0), in_row + 1);
	} else if (letter >= 'A' && letter <= 'C') {
		failures_end(&board, letter - 'A', 0);
		ck_assert_uint_eq(failures_in_row(&board, 0), 0);
	} else if (letter >= 'x' && letter <= 'z') {
		(void)board_bury_slot(&board, letter - 'x');
		board_open_slot(&board, letter - 'x');
	} else {
		ck_assert_int_eq(letter, 'n');
		stat_set(&head->placed_ms, stat_get(&head->placed_ms) + 1);
	}
}

START_TEST(a_run_counts_all_workers_and_a_success_in_one_ends_it_for_all)
{
	for (const char *letter = runs[_i].steps; *letter != '\0'; letter++) {
		step(*letter);
	}
	ck_assert_uint_eq(failures_in_row(&board, 0), runs[_i].in_row);
	ck_assert_uint_eq(failures_in_row(&board, 1), 0);
}
END_TEST

/* What two processes share: how far they came, and what each was told. */
struct race {
	_Atomic int arrived;
	uint64_t told[2][ROUNDS];
};

static void
fail_together(struct race *race, int slot)
{
	for (int round = 0; round < ROUNDS; round++) {
		(void)atomic_fetch_add(&race->arrived, 1);
		while (atomic_load(&race->arrived) < 2 * (round + 1)) {
			sched_yield();
		}
		race->told[slot][round] = failures_count(&board, slot, 0);
	}
}

START_TEST(of_two_that_fail_at_the_same_moment_one_learns_of_both)
{
	struct race *race = mmap(
		NULL, sizeof(*race), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t other;
	int status;

	ck_assert_ptr_ne(race, MAP_FAILED);
	other = fork();
	ck_assert_int_ge(other, 0);
	if (other == 0) {
		fail_together(race, 1);
		_exit(0);
	}
	fail_together(race, 0);
	ck_assert_int_eq(waitpid(other, &status, 0), other);
	ck_assert_int_eq(status, 0);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t all = 2 * ((uint64_t)round + 1);

		ck_assert(race->told[0][round] == all || race->told[1][round] == all);
	}
	ck_assert_uint_eq(failures_in_row(&board, 0), 2 * ROUNDS);
	(void)munmap(race, sizeof(*race));
}
END_TEST

UNIT_TESTS("failures", tcase_add_checked_fixture(tests, setup, teardown);
	   tcase_set_timeout(tests, 60);
	   tcase_add_loop_test(tests, a_run_counts_all_workers_and_a_success_in_one_ends_it_for_all,
		   0, ARRAY_LEN(runs));
	   tcase_add_test(tests, of_two_that_fail_at_the_same_moment_one_learns_of_both);)
