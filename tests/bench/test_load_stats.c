/* Claims about the arithmetic of the load client: what it prints is judged by others. */
#include "tests/bench/load_stats.h"

#include <stdlib.h>
#include <string.h>

#include "tests/bench/load_stream.h"
#include "tests/unit/run.h"

static struct load_histogram histogram;
static struct load_result one, other;

/* Each row fills a histogram with FIRST, FIRST + STEP … (COUNT values), so the truth is known. */
static const struct {
	int64_t first_ns;
	int64_t step_ns;
	int count;
} fills[] = {{0, 0, 1}, {1, 1, 100}, {127, 1, 3}, {1000, 7, 1000}, {40000, 13, 5000},
	{5, 1000003, 9000}};

START_TEST(percentiles_are_off_by_less_than_one_part_in_128)
{
	int64_t first_ns = fills[_i].first_ns, step_ns = fills[_i].step_ns;
	int count = fills[_i].count;

	memset(&histogram, 0, sizeof(histogram));
	for (int i = 0; i < count; i++) {
		load_histogram_add(&histogram, first_ns + i * step_ns);
	}
	for (int percent = 1; percent <= 100; percent++) {
		int64_t rank = ((int64_t)percent * count + 99) / 100;
		int64_t exact_ns = first_ns + (rank - 1) * step_ns;
		int64_t read_ns = load_histogram_percentile_ns(&histogram, percent / 100.0);

		/* The rank may round to the next value; the bucket is off by its half width. */
		ck_assert_int_le(llabs(read_ns - exact_ns), exact_ns / 128 + step_ns + 1);
	}
	ck_assert_int_eq(histogram.max_ns, first_ns + (count - 1) * step_ns);
}
END_TEST

START_TEST(a_percentile_of_nothing_is_zero_and_none_exceeds_the_greatest)
{
	memset(&histogram, 0, sizeof(histogram));
	ck_assert_int_eq(load_histogram_percentile_ns(&histogram, 0.99), 0);
	load_histogram_add(&histogram, INT64_MAX);
	load_histogram_add(&histogram, -1);
	ck_assert_int_eq(load_histogram_percentile_ns(&histogram, 0.5), 0);
	ck_assert_int_le(load_histogram_percentile_ns(&histogram, 1.0), INT64_MAX);
	ck_assert_int_gt(load_histogram_percentile_ns(&histogram, 1.0), INT64_C(1000000000000));
}
END_TEST

START_TEST(a_sum_has_the_counts_and_reasons_of_its_parts_and_the_latest_times)
{
	memset(&one, 0, sizeof(one));
	memset(&other, 0, sizeof(other));
	one.sessions_ok = 3;
	one.finished_last_ns = 70;
	load_result_add_failure(&one, "econnreset", 2);
	load_histogram_add(&one.connect, 50);
	other.sessions_ok = 4;
	other.finished_last_ns = 60;
	load_result_add_failure(&other, "timeout", 1);
	load_result_add_failure(&other, "econnreset", 5);
	load_histogram_add(&other.connect, 90);
	load_result_merge(&one, &other);
	ck_assert_uint_eq(one.sessions_ok, 7);
	ck_assert_uint_eq(one.sessions_failed, 8);
	ck_assert_int_eq(one.finished_last_ns, 70);
	ck_assert_str_eq(one.failed_reasons[0].name, "econnreset");
	ck_assert_uint_eq(one.failed_reasons[0].count, 7);
	ck_assert_str_eq(one.failed_reasons[1].name, "timeout");
	ck_assert_uint_eq(one.connect.total, 2);
	ck_assert_int_eq(one.connect.max_ns, 90);
}
END_TEST

START_TEST(more_reasons_than_rows_are_counted_together)
{
	char name[LOAD_REASON_LEN_MAX];

	memset(&one, 0, sizeof(one));
	for (int error = 1000; error < 1100; error++) {
		load_result_add_failure(&one, load_reason_of_errno(error, name), 1);
	}
	ck_assert_uint_eq(one.sessions_failed, 100);
	ck_assert_str_eq(one.failed_reasons[0].name, "errno_1000");
	ck_assert_str_eq(one.failed_reasons[LOAD_REASONS_MAX - 1].name, "other");
	ck_assert_uint_eq(
		one.failed_reasons[LOAD_REASONS_MAX - 1].count, 100 - LOAD_REASONS_MAX + 1);
}
END_TEST

START_TEST(a_stream_matches_itself_across_its_end_and_nothing_shifted)
{
	static char bytes[3000000];
	uint64_t begin = load_stream_begin(12345);
	size_t filled = 0;

	load_stream_init();
	while (filled < sizeof(bytes)) {
		size_t len = sizeof(bytes) - filled;
		const char *piece = load_stream_at(begin + filled, &len);

		memcpy(bytes + filled, piece, len);
		filled += len;
	}
	ck_assert(load_stream_matches(begin, bytes, sizeof(bytes)));
	for (size_t shift = 1; shift <= 65536; shift *= 2) {
		ck_assert(!load_stream_matches(begin, bytes + shift, 64));
		ck_assert(!load_stream_matches(
			begin + sizeof(bytes) / 2, bytes + sizeof(bytes) / 2 - shift, 64));
	}
	bytes[2999999] ^= 1;
	ck_assert(!load_stream_matches(begin, bytes, sizeof(bytes)));
	ck_assert(load_stream_matches(begin, bytes, sizeof(bytes) - 1));
}
END_TEST

UNIT_TESTS(
	"load_stats", tcase_add_loop_test(tests, percentiles_are_off_by_less_than_one_part_in_128,
			      0, sizeof(fills) / sizeof(fills[0]));
	tcase_add_test(tests, a_percentile_of_nothing_is_zero_and_none_exceeds_the_greatest);
	tcase_add_test(tests, a_sum_has_the_counts_and_reasons_of_its_parts_and_the_latest_times);
	tcase_add_test(tests, more_reasons_than_rows_are_counted_together);
	tcase_add_test(tests, a_stream_matches_itself_across_its_end_and_nothing_shifted);)
