#include "master/patience.h"

#include "tests/unit/run.h"

START_TEST(patience_follows_a_clock_that_is_looked_at)
{
	struct patience patience;

	patience_init(&patience, 1000000);
	ck_assert_int_eq(patience_look(&patience, 1000000), 0);
	ck_assert_int_eq(patience_look(&patience, 1000500), 500);
	ck_assert_int_eq(patience_look(&patience, 1001499), 1499);
}
END_TEST

START_TEST(patience_believes_one_step_of_a_long_absence)
{
	struct patience patience;

	patience_init(&patience, 1000000);
	ck_assert_int_eq(patience_look(&patience, 1060000), PATIENCE_STEP_MAX_MS);
	ck_assert_int_eq(patience_look(&patience, 1060500), PATIENCE_STEP_MAX_MS + 500);
}
END_TEST

START_TEST(patience_never_goes_back)
{
	struct patience patience;

	patience_init(&patience, 1000000);
	ck_assert_int_eq(patience_look(&patience, 1000300), 300);
	ck_assert_int_eq(patience_look(&patience, 1000100), 300);
	ck_assert_int_eq(patience_look(&patience, 1000200), 400);
}
END_TEST

UNIT_TESTS("patience", tcase_add_test(tests, patience_follows_a_clock_that_is_looked_at);
	   tcase_add_test(tests, patience_believes_one_step_of_a_long_absence);
	   tcase_add_test(tests, patience_never_goes_back);)
