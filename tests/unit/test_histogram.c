#include "common/histogram.h"

#include <math.h>
#include <string.h>

#include "tests/unit/run.h"

enum { SAMPLES = 20000 };

static struct histogram live;
static struct histogram_copy copy;

START_TEST(every_value_lies_between_the_bounds_of_its_bucket)
{
	for (int bit = 0; bit < 64; bit++) {
		for (int64_t step = -9; step <= 9; step++) {
			uint64_t value = (UINT64_C(1) << bit) + (uint64_t)step;
			unsigned bucket = histogram_bucket_of(value);

			ck_assert_uint_lt(bucket, HISTOGRAM_BUCKETS);
			ck_assert_uint_le(histogram_bucket_first(bucket), value);
			ck_assert_uint_ge(histogram_bucket_last(bucket), value);
		}
	}
}
END_TEST

START_TEST(buckets_follow_each_other_without_gap_from_nothing_to_the_largest)
{
	ck_assert_uint_eq(histogram_bucket_first(0), 0);
	for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
		uint64_t first = histogram_bucket_first(bucket);
		uint64_t last = histogram_bucket_last(bucket);

		ck_assert_uint_le(first, last);
		ck_assert_uint_eq(histogram_bucket_of(first), bucket);
		ck_assert_uint_eq(histogram_bucket_of(last), bucket);
		ck_assert_uint_le(last - first, first / HISTOGRAM_PARTS); /* at most 1/8 wide */
		if (bucket > 0) {
			ck_assert_uint_eq(histogram_bucket_last(bucket - 1) + 1, first);
		}
	}
	ck_assert_uint_eq(histogram_bucket_last(HISTOGRAM_BUCKETS - 1), UINT64_MAX);
}
END_TEST

START_TEST(small_values_are_exact)
{
	for (uint64_t value = 0; value < 16; value++) {
		memset(&live, 0, sizeof(live));
		memset(&copy, 0, sizeof(copy));
		histogram_add(&live, value);
		histogram_merge(&copy, &live);
		ck_assert_uint_eq(histogram_percentile(&copy, 50), value);
	}
}
END_TEST

static uint64_t
random_number(void)
{
	static uint64_t state = 88172645463325252; /* xorshift: the same numbers each time */

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint64_t
evenly(void)
{
	return random_number() % 100000;
}

static uint64_t
over_all_octaves(void)
{
	return random_number() >> random_number() % 64;
}

static uint64_t
as_latencies(void)
{
	return random_number() % 50 == 0 ? 1000000 + random_number() % 9000000
					 : 80 + random_number() % 40;
}

static uint64_t
always_the_same(void)
{
	return 12345;
}

static uint64_t
none_but_the_largest(void)
{
	return UINT64_MAX - random_number() % 3;
}

static uint64_t (*const sources[])(void) = {
	evenly, over_all_octaves, as_latencies, always_the_same, none_but_the_largest};

static const double percents[] = {0, 0.001, 1, 10, 25, 50, 75, 90, 99, 99.9, 99.99, 100};

static int
compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

START_TEST(percentiles_are_those_of_the_sorted_values_to_a_sixteenth)
{
	static uint64_t values[SAMPLES];
	uint64_t sum = 0;

	memset(&live, 0, sizeof(live));
	memset(&copy, 0, sizeof(copy));
	for (size_t i = 0; i < SAMPLES; i++) {
		values[i] = sources[_i]();
		sum += values[i];
		histogram_add(&live, values[i]);
	}
	histogram_merge(&copy, &live);
	ck_assert_uint_eq(copy.count, SAMPLES);
	ck_assert_uint_eq(copy.sum, sum);
	qsort(values, SAMPLES, sizeof(values[0]), compare);
	for (size_t i = 0; i < ARRAY_LEN(percents); i++) {
		double rank = ceil(SAMPLES * percents[i] / 100);
		uint64_t exact = values[rank < 1 ? 0 : (size_t)rank - 1];
		uint64_t told = histogram_percentile(&copy, percents[i]);
		uint64_t off = told > exact ? told - exact : exact - told;

		ck_assert_msg(off <= exact / 16, "%g %%: exact %llu, told %llu", percents[i],
			(unsigned long long)exact, (unsigned long long)told);
	}
}
END_TEST

START_TEST(merged_copies_are_as_one_histogram_and_can_be_taken_apart)
{
	static struct histogram other, both;
	static struct histogram_copy together, earlier;

	memset(&live, 0, sizeof(live));
	memset(&copy, 0, sizeof(copy));
	for (int i = 0; i < 1000; i++) {
		uint64_t value = as_latencies();

		histogram_add(i % 3 == 0 ? &live : &other, value);
		histogram_add(&both, value);
	}
	histogram_merge(&copy, &live);
	earlier = copy;
	histogram_merge(&copy, &other);
	histogram_merge(&together, &both);
	ck_assert_mem_eq(&copy, &together, sizeof(copy));
	ck_assert_double_eq_tol(histogram_mean(&copy), (double)copy.sum / 1000, 1e-6);
	histogram_subtract(&copy, &earlier);
	memset(&together, 0, sizeof(together));
	histogram_merge(&together, &other);
	ck_assert_mem_eq(&copy, &together, sizeof(copy));
}
END_TEST

START_TEST(an_empty_histogram_and_a_senseless_percent_are_harmless)
{
	memset(&live, 0, sizeof(live));
	memset(&copy, 0, sizeof(copy));
	ck_assert_uint_eq(histogram_percentile(&copy, 50), 0);
	ck_assert_double_eq(histogram_mean(&copy), 0.0);
	histogram_add(&live, 3);
	histogram_add(&live, 7);
	histogram_merge(&copy, &live);
	ck_assert_uint_eq(histogram_percentile(&copy, -5), 3);
	ck_assert_uint_eq(histogram_percentile(&copy, 50), 3);
	ck_assert_uint_eq(histogram_percentile(&copy, 50.001), 7);
	ck_assert_uint_eq(histogram_percentile(&copy, 1e300), 7);
	ck_assert_uint_eq(histogram_percentile(&copy, (double)NAN), 3);
}
END_TEST

UNIT_TESTS("histogram", tcase_add_test(tests, every_value_lies_between_the_bounds_of_its_bucket);
	   tcase_add_test(tests, buckets_follow_each_other_without_gap_from_nothing_to_the_largest);
	   tcase_add_test(tests, small_values_are_exact);
	   tcase_add_loop_test(tests, percentiles_are_those_of_the_sorted_values_to_a_sixteenth, 0,
		   (int)ARRAY_LEN(sources));
	   tcase_add_test(tests, merged_copies_are_as_one_histogram_and_can_be_taken_apart);
	   tcase_add_test(tests, an_empty_histogram_and_a_senseless_percent_are_harmless);)
