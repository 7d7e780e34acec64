#include "worker/fairness.h"

#include "common/defs.h"
#include "tests/unit/run.h"

static const struct {
	uint32_t depth;
	unsigned more;
} batches[] = {{0, 0}, {1, 1}, {14, 14}, {15, 15}, {16, 15}, {4096, 15}, {UINT32_MAX, 15}};

START_TEST(a_batch_is_what_waits_but_sixteen_at_most)
{
	ck_assert_uint_eq(fairness_more(batches[_i].depth), batches[_i].more);
	ck_assert_uint_le(1 + fairness_more(batches[_i].depth), FAIRNESS_BATCH_MAX);
}
END_TEST

static const struct {
	uint64_t open;
	unsigned workers;
	uint64_t ceiling;
} ceilings[] = {
	{0, 1, 5},
	{0, 16, 5},
	{400, 16, 25 + 5},
	{8 * 320, 8, 320 + 5},
	{8 * 384, 8, 384 + 6},
	{8 * 2000, 8, 2000 + 31},
	{100000, 6, 16666 + 260},
	{7, 0, UINT64_MAX},
};

START_TEST(the_ceiling_is_the_mean_and_a_margin)
{
	ck_assert_uint_eq(
		fairness_ceiling(ceilings[_i].open, ceilings[_i].workers), ceilings[_i].ceiling);
}
END_TEST

/* Otherwise a queue could wait for a worker that nobody wants to be. */
START_TEST(the_emptiest_worker_is_never_over_the_ceiling)
{
	for (uint64_t least = 0; least < 5000; least += 37) {
		for (unsigned workers = 1; workers <= 64; workers++) {
			ck_assert_uint_lt(
				least, fairness_ceiling(least * workers + workers / 2, workers));
		}
	}
}
END_TEST

static const struct {
	uint32_t depth, limit;
	bool is_deep;
} queues[] = {
	{0, 4096, false},
	{256, 4096, false},
	{257, 4096, true},
	{1, 5, true},
	{0, 5, false},
	{1, 16, false},
	{2, 16, true},
	{1000, 0, false},
	{UINT32_MAX, UINT32_MAX, true},
};

START_TEST(a_queue_is_deep_over_a_sixteenth_of_its_limit)
{
	ck_assert_int_eq(fairness_is_deep(queues[_i].depth, queues[_i].limit), queues[_i].is_deep);
}
END_TEST

UNIT_TESTS("fairness", tcase_add_loop_test(tests, a_batch_is_what_waits_but_sixteen_at_most, 0,
			       ARRAY_LEN(batches));
	   tcase_add_loop_test(tests, the_ceiling_is_the_mean_and_a_margin, 0, ARRAY_LEN(ceilings));
	   tcase_add_test(tests, the_emptiest_worker_is_never_over_the_ceiling);
	   tcase_add_loop_test(
		   tests, a_queue_is_deep_over_a_sixteenth_of_its_limit, 0, ARRAY_LEN(queues));)
