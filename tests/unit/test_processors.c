#include "master/processors.h"

#include <sched.h>
#include <string.h>

#include "common/board.h"
#include "common/config.h"
#include "common/defs.h"
#include "tests/unit/run.h"

static const struct {
	struct processors processors;
	unsigned usable;
} machines[] = {
	{{1, 0}, 1},
	{{16, 0}, 16},
	{{16, 4000}, 4},
	{{16, 1500}, 2},
	{{16, 50}, 1},
	{{2, 64000}, 2},
	{{0, 0}, 1},
};

START_TEST(processors_are_the_mask_cut_by_the_quota)
{
	ck_assert_uint_eq(processors_usable(&machines[_i].processors), machines[_i].usable);
}
END_TEST

static const struct {
	struct processors processors;
	int64_t asked, max_connections, limit;
	unsigned count;
	const char *why;
} choices[] = {
	{{4, 0}, CONFIG_WORKERS_AUTO, 1000, 20000, 4, "4 workers: one for each of 4 usable cores"},
	{{1, 0}, CONFIG_WORKERS_AUTO, CONFIG_NONE, 20000, 1,
		"1 worker: one for each of 1 usable core"},
	{{8, 1500}, CONFIG_WORKERS_AUTO, 1000, 20000, 2,
		"2 workers: one for each of 2 usable cores (8, but the CPU quota is 1.50)"},
	{{2, 0}, CONFIG_WORKERS_AUTO, 100000, 20000, 6,
		"6 workers: more than the 2 usable cores, because max_connections = 100000 does "
		"not fit into fewer at 19936 connections each (hard limit of descriptors 20000)"},
	{{2, 0}, CONFIG_WORKERS_AUTO, 2 * 19936, 20000, 2,
		"2 workers: one for each of 2 usable cores"},
	{{2, 0}, CONFIG_WORKERS_AUTO, 2 * 19936 + 1, 20000, 3,
		"3 workers: more than the 2 usable cores, because max_connections = 39873 does not "
		"fit into fewer at 19936 connections each (hard limit of descriptors 20000)"},
	{{2, 0}, 7, 1000, 20000, 7, "7 workers: as configured"},
	{{8, 0}, 2, 100000, 20000, 2,
		"2 workers: as configured; they hold 39872 connections, max_connections = 100000 "
		"needs 6 workers or a hard limit of descriptors of 50064"},
	{{2, 0}, CONFIG_WORKERS_AUTO, 1000, 64, 1000,
		"1000 workers: more than the 2 usable cores, because max_connections = 1000 does "
		"not fit into fewer at 1 connections each (hard limit of descriptors 64)"},
	{{2, 0}, CONFIG_WORKERS_AUTO, 100000000, 1088, BOARD_SLOTS,
		"1024 workers: more than the 2 usable cores, because max_connections = 100000000 "
		"does not fit into fewer at 1024 connections each (hard limit of descriptors "
		"1088); they hold 1048576 connections, max_connections = 100000000 needs 97657 "
		"workers or a hard limit of descriptors of 97721"},
};

START_TEST(processors_choose_workers_and_say_why)
{
	char why[512];

	ck_assert_uint_eq(
		processors_choose_workers(&choices[_i].processors, choices[_i].asked,
			choices[_i].max_connections, 1, choices[_i].limit, why, sizeof(why)),
		choices[_i].count);
	ck_assert_str_eq(why, choices[_i].why);
}
END_TEST

START_TEST(processors_count_both_descriptors_of_a_proxied_connection)
{
	struct processors processors = {.affinity = 2};
	char why[512];

	ck_assert_uint_eq(
		processors_choose_workers(&processors, 0, 100000, 1, 20000, why, sizeof(why)), 6);
	ck_assert_uint_eq(
		processors_choose_workers(&processors, 0, 100000, 2, 20000, why, sizeof(why)), 11);
	ck_assert_ptr_nonnull(strstr(why, "at 9968 connections each"));
}
END_TEST

START_TEST(processors_look_finds_what_this_process_may_use)
{
	struct processors processors;
	cpu_set_t one;
	int core = processors_core_of_slot(0);

	processors_look(&processors);
	ck_assert_uint_ge(processors.affinity, 1);
	ck_assert_int_ge(core, 0);
	CPU_ZERO(&one);
	CPU_SET((size_t)core, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	processors_look(&processors);
	ck_assert_uint_eq(processors.affinity, 1);
	ck_assert_int_eq(processors_core_of_slot(0), core);
	ck_assert_int_eq(processors_core_of_slot(5), core);
}
END_TEST

START_TEST(processors_go_round_the_mask)
{
	struct processors processors;

	processors_look(&processors);
	ck_assert_int_eq(
		processors_core_of_slot(3), processors_core_of_slot(3 + (int)processors.affinity));
}
END_TEST

UNIT_TESTS("processors", tcase_add_loop_test(tests, processors_are_the_mask_cut_by_the_quota, 0,
				 (int)ARRAY_LEN(machines));
	   tcase_add_loop_test(
		   tests, processors_choose_workers_and_say_why, 0, (int)ARRAY_LEN(choices));
	   tcase_add_test(tests, processors_count_both_descriptors_of_a_proxied_connection);
	   tcase_add_test(tests, processors_look_finds_what_this_process_may_use);
	   tcase_add_test(tests, processors_go_round_the_mask);)
