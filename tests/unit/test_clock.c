#include "common/clock.h"

#include "tests/unit/run.h"

START_TEST(monotonic_time_never_goes_back)
{
	int64_t before_us = clock_monotonic_us();
	int i;

	for (i = 0; i < 100000; i++) {
		int64_t now_us = clock_monotonic_us();

		ck_assert_int_ge(now_us, before_us);
		before_us = now_us;
	}
}
END_TEST

START_TEST(milliseconds_and_microseconds_are_one_clock)
{
	int64_t before_us = clock_monotonic_us();
	int64_t now_ms = clock_monotonic_ms();
	int64_t after_us = clock_monotonic_us();

	ck_assert_int_ge(now_ms, before_us / 1000);
	ck_assert_int_le(now_ms, after_us / 1000);
}
END_TEST

START_TEST(wall_time_is_that_of_the_machine)
{
	time_t before = time(NULL);
	struct timespec now = clock_wall();

	/* time(2) may lag by one tick of the kernel (vdso, coarse clock). */
	ck_assert_int_ge(now.tv_sec, before);
	ck_assert_int_le(now.tv_sec, time(NULL) + 1);
	ck_assert_int_ge(now.tv_nsec, 0);
	ck_assert_int_lt(now.tv_nsec, 1000000000);
}
END_TEST

START_TEST(cpu_time_grows_with_work_only)
{
	int64_t start_us = clock_process_cpu_us();
	int64_t wall_us = clock_monotonic_us();
	int64_t used_us;

	while (clock_process_cpu_us() < start_us + 2000) {
		/* work */
	}
	used_us = clock_process_cpu_us() - start_us;
	ck_assert_int_ge(used_us, 2000);
	/* one thread cannot use more than passed; both clocks are cut to microseconds */
	ck_assert_int_le(used_us, clock_monotonic_us() - wall_us + 1000);
}
END_TEST

UNIT_TESTS("clock", tcase_add_test(tests, monotonic_time_never_goes_back);
	   tcase_add_test(tests, milliseconds_and_microseconds_are_one_clock);
	   tcase_add_test(tests, wall_time_is_that_of_the_machine);
	   tcase_add_test(tests, cpu_time_grows_with_work_only);)
