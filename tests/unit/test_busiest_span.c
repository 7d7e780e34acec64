#include "master/busiest_span.h"

#include "common/defs.h"
#include "tests/unit/run.h"

#define LOOKS_MAX 5

/* 31 clients send at 0 ms and again at 1000 ms. */
static const struct {
	struct drop_look looks[LOOKS_MAX];
	int count;
	uint64_t most;
} cases[] = {
	/* in time */
	{{{-50, -50, 0}, {50, 50, 31}, {850, 850, 31}, {950, 950, 31}, {1050, 1050, 62}}, 5, 31},
	/* the first look stood still after it had read: the span seems short and is not */
	{{{-50, 300, 0}, {400, 400, 31}, {1050, 1050, 62}}, 3, 31},
	/* the last one before it read */
	{{{-50, -50, 0}, {50, 50, 31}, {800, 1100, 62}}, 3, 31},
	/* so late that both may be in it */
	{{{-50, -50, 0}, {1050, 1050, 62}}, 2, 0},
	/* the rest of one round and the beginning of the next are no more than all */
	{{{-5, -5, 0}, {5, 5, 20}, {95, 95, 31}, {1005, 1005, 51}, {1095, 1095, 62}}, 5, 31},
};

START_TEST(what_is_dropped_within_less_than_a_second_is_that_many_clients)
{
	const struct drop_look *looks = cases[_i].looks;
	struct busiest_span span;

	busiest_span_begin(&span, &looks[0]);
	for (int i = 1; i < cases[_i].count; i++) {
		busiest_span_count(&span, &looks[i - 1], &looks[i]);
	}
	ck_assert_uint_eq(span.most, cases[_i].most);
}
END_TEST

START_TEST(the_counter_may_begin_anywhere)
{
	struct drop_look looks[] = {{0, 0, UINT64_MAX}, {100, 100, 4}};
	struct busiest_span span;

	busiest_span_begin(&span, &looks[0]);
	busiest_span_count(&span, &looks[0], &looks[1]);
	ck_assert_uint_eq(span.most, 5);
}
END_TEST

UNIT_TESTS("busiest_span", tcase_add_loop_test(tests,
				   what_is_dropped_within_less_than_a_second_is_that_many_clients,
				   0, (int)ARRAY_LEN(cases));
	   tcase_add_test(tests, the_counter_may_begin_anywhere);)
