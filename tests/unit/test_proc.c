#include "master/proc.h"

#include <errno.h>
#include <unistd.h>

#include "common/defs.h"
#include "master/watchdog.h"
#include "tests/unit/run.h"

#define REST " 1 812 812 0 -1 4194560 100 0 0 0 250 75 0 0 20 0 1 0 12345 1000 200"

static const struct {
	const char *line;
	int result;
	char state;
	int64_t cpu_ms;
} lines[] = {
	{"812 (acceptd) R" REST, 0, 'R', 3250},
	{"812 (9) t" REST, 0, 't', 3250},
	{"812 (a b) c) D" REST, 0, 'D', 3250},
	{"812 (x) S 1 2 3) T" REST, 0, 'T', 3250},
	{"812 (acceptd) R 1 2", -EINVAL, 0, 0},
	{"812 acceptd R", -EINVAL, 0, 0},
	{"", -EINVAL, 0, 0},
};

START_TEST(proc_reads_state_and_cpu_time_behind_any_name)
{
	struct watchdog_sample sample = {0};

	ck_assert_int_eq(proc_parse_stat(lines[_i].line, 100, &sample), lines[_i].result);
	ck_assert_int_eq(sample.state, lines[_i].state);
	ck_assert_int_eq(sample.cpu_ms, lines[_i].cpu_ms);
}
END_TEST

START_TEST(proc_sees_this_process_running)
{
	struct watchdog_sample sample;

	ck_assert_int_eq(proc_read_stat(getpid(), &sample), 0);
	ck_assert_int_eq(sample.state, 'R');
}
END_TEST

START_TEST(proc_says_that_a_process_is_gone)
{
	struct watchdog_sample sample;

	ck_assert_int_eq(proc_read_stat(0x7fffffff, &sample), -ENOENT);
}
END_TEST

UNIT_TESTS("proc", tcase_add_loop_test(tests, proc_reads_state_and_cpu_time_behind_any_name, 0,
			   (int)ARRAY_LEN(lines));
	   tcase_add_test(tests, proc_sees_this_process_running);
	   tcase_add_test(tests, proc_says_that_a_process_is_gone);)
