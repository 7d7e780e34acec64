#include "master/backoff.h"

#include "common/defs.h"
#include "tests/unit/run.h"

static const struct {
	unsigned failures;
	int64_t base_ms;
} bases[] = {
	{0, 0},
	{1, 0},
	{2, 100},
	{3, 200},
	{4, 400},
	{5, 800},
	{9, 12800},
	{10, 25600},
	{11, 30000},
	{12, 30000},
	{4000000000, 30000},
};

START_TEST(backoff_is_at_once_then_doubles_up_to_its_ceiling)
{
	int64_t base = bases[_i].base_ms;
	int64_t least = INT64_MAX, most = 0;
	uint32_t dice;

	for (dice = 0; dice < 20000; dice++) {
		int64_t delay = backoff_delay_ms(bases[_i].failures, dice);

		least = delay < least ? delay : least;
		most = delay > most ? delay : most;
	}
	if (base == BACKOFF_CEILING_MS) {
		ck_assert_int_eq(least, base);
		ck_assert_int_eq(most, base);
	} else {
		ck_assert_int_eq(least, base - base / 5);
		ck_assert_int_eq(most, base + base / 5 < 30000 ? base + base / 5 : 30000);
	}
}
END_TEST

START_TEST(backoff_counts_from_the_failure)
{
	struct backoff backoff = {0};

	ck_assert_int_eq(backoff_fail(&backoff, 5000, 0, 20), 0);
	ck_assert_int_eq(backoff.not_before_ms, 5000);
	ck_assert_int_eq(backoff_fail(&backoff, 6000, 0, 20), 100);
	ck_assert_int_eq(backoff.not_before_ms, 6100);
}
END_TEST

START_TEST(backoff_begins_anew_after_a_healthy_minute)
{
	struct backoff backoff = {.failures = 8};

	ck_assert_int_gt(backoff_fail(&backoff, 0, BACKOFF_HEALTHY_MS - 1, 0), 0);
	ck_assert_uint_eq(backoff.failures, 9);
	ck_assert_int_eq(backoff_fail(&backoff, 0, BACKOFF_HEALTHY_MS, 0), 0);
	ck_assert_uint_eq(backoff.failures, 1);
}
END_TEST

START_TEST(backoff_forgives_who_left_after_a_healthy_minute)
{
	struct backoff backoff = {.failures = 8};

	backoff_forgive(&backoff, BACKOFF_HEALTHY_MS - 1);
	ck_assert_uint_eq(backoff.failures, 8);
	backoff_forgive(&backoff, BACKOFF_HEALTHY_MS);
	ck_assert_uint_eq(backoff.failures, 0);
}
END_TEST

START_TEST(backoff_never_exceeds_two_tries_a_minute_in_the_long_run)
{
	struct backoff backoff = {0};
	int64_t now = 0;
	unsigned tries = 0;

	while (now < 3600000) {
		now += backoff_fail(&backoff, now, 0, (uint32_t)now * 2654435761U);
		tries++;
	}
	ck_assert_uint_le(tries, 2 * 60 + 10);
}
END_TEST

START_TEST(backoff_tells_the_first_the_fifth_and_then_one_a_minute)
{
	struct backoff backoff = {0};
	unsigned lines = 0, told[3] = {0}, untold = 0, total = 0;
	int64_t now = 0;

	while (lines < 3) {
		(void)backoff_fail(&backoff, now, 0, 0);
		if (backoff_should_tell(&backoff, now, false, &untold)) {
			told[lines++] = backoff.failures;
			total += untold + 1;
		}
		now += 10000;
	}
	ck_assert_uint_eq(told[0], 1);
	ck_assert_uint_eq(told[1], 5);
	ck_assert_uint_eq(told[2], 11);
	ck_assert_uint_eq(total, 11);
}
END_TEST

START_TEST(backoff_always_tells_of_one_that_had_served)
{
	struct backoff backoff = {0};
	unsigned untold = 0, i;

	for (i = 1; i <= 3; i++) {
		(void)backoff_fail(&backoff, i, 0, 0);
		ck_assert(backoff_should_tell(&backoff, i, i != 2, &untold) == (i != 2));
	}
	ck_assert_uint_eq(untold, 1);
}
END_TEST

UNIT_TESTS("backoff", tcase_add_loop_test(tests, backoff_is_at_once_then_doubles_up_to_its_ceiling,
			      0, (int)ARRAY_LEN(bases));
	   tcase_add_test(tests, backoff_counts_from_the_failure);
	   tcase_add_test(tests, backoff_begins_anew_after_a_healthy_minute);
	   tcase_add_test(tests, backoff_forgives_who_left_after_a_healthy_minute);
	   tcase_add_test(tests, backoff_never_exceeds_two_tries_a_minute_in_the_long_run);
	   tcase_add_test(tests, backoff_tells_the_first_the_fifth_and_then_one_a_minute);
	   tcase_add_test(tests, backoff_always_tells_of_one_that_had_served);)
