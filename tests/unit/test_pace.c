#include "monitor/pace.h"

#include "common/defs.h"
#include "tests/unit/run.h"

static const struct {
	uint32_t ttl_s;
	int64_t max_ms, wait_ms;
} ttls[] = {
	{0, 300000, 1000}, /* never more often than each second */
	{1, 300000, 1000},
	{2, 300000, 2000},
	{300, 300000, 300000},
	{301, 300000, 300000},
	{86400, 300000, 300000},
	{UINT32_MAX, 300000, 300000},
	{5, 1000, 1000},
};

START_TEST(a_ttl_is_honoured_within_its_bounds)
{
	ck_assert_int_eq(pace_after_answer(ttls[_i].ttl_s, ttls[_i].max_ms), ttls[_i].wait_ms);
}
END_TEST

static const struct {
	unsigned failures;
	bool has_address;
	int64_t wait_ms;
} failures[] = {
	{1, true, 1000},
	{2, true, 2000},
	{3, true, 4000},
	{5, true, 16000},
	{6, true, 30000},
	{1000000, true, 30000},
	{1, false, 1000},
	{3, false, 4000},
	{4, false, 5000}, /* nobody is served: keep asking */
	{1000000, false, 5000},
};

START_TEST(failures_make_it_ask_more_seldom)
{
	ck_assert_int_eq(pace_after_failure(failures[_i].failures, failures[_i].has_address),
		failures[_i].wait_ms);
}
END_TEST

UNIT_TESTS(
	"pace", tcase_add_loop_test(tests, a_ttl_is_honoured_within_its_bounds, 0, ARRAY_LEN(ttls));
	tcase_add_loop_test(tests, failures_make_it_ask_more_seldom, 0, ARRAY_LEN(failures));)
