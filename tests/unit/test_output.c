#include "worker/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/run.h"

#define CEILING 1000

START_TEST(nothing_pending_is_nothing_allocated)
{
	struct output *output = NULL;

	ck_assert_uint_eq(output_pending(output), 0);
	ck_assert_int_eq(output_append(&output, "", 0, CEILING, 1), 0);
	ck_assert_ptr_null(output);
	ck_assert_int_eq(output_append(&output, "abc", 3, CEILING, 1), 0);
	output_consume(&output, 3, 2);
	ck_assert_ptr_null(output);
	output_free(&output);
}
END_TEST

START_TEST(the_ceiling_holds_and_refuses_whole_pieces)
{
	struct output *output = NULL;
	static const unsigned char bytes[CEILING + 1];

	ck_assert_int_eq(output_append(&output, bytes, CEILING + 1, CEILING, 1), -ENOBUFS);
	ck_assert_ptr_null(output);
	ck_assert_int_eq(output_append(&output, bytes, CEILING - 1, CEILING, 1), 0);
	ck_assert_int_eq(output_append(&output, bytes, 2, CEILING, 1), -ENOBUFS);
	ck_assert_uint_eq(output_pending(output), CEILING - 1);
	ck_assert_int_eq(output_append(&output, bytes, 1, CEILING, 1), 0);
	ck_assert_uint_le(output->capacity, CEILING);
	output_free(&output);
}
END_TEST

START_TEST(progress_is_what_the_socket_took_not_what_was_added)
{
	struct output *output = NULL;

	ck_assert_int_eq(output_append(&output, "abc", 3, CEILING, 10), 0);
	ck_assert_int_eq(output->progress_ms, 10);
	ck_assert_int_eq(output_append(&output, "defghi", 6, CEILING, 20), 0);
	ck_assert_int_eq(output->progress_ms, 10);
	output_consume(&output, 1, 30);
	ck_assert_int_eq(output->progress_ms, 30);
	output_free(&output);
}
END_TEST

/* Any pieces in, any pieces out: the same bytes in the same order. */
START_TEST(bytes_come_out_as_they_went_in)
{
	struct output *output = NULL;
	unsigned seed = (unsigned)_i;
	unsigned char piece[CEILING], in = 0, out = 0;

	for (int step = 0; step < 3000; step++) {
		size_t len = (size_t)rand_r(&seed) % 400, pending = output_pending(output);

		if (rand_r(&seed) % 2 == 0 && len <= CEILING - pending) {
			for (size_t i = 0; i < len; i++) {
				piece[i] = in++;
			}
			ck_assert_int_eq(output_append(&output, piece, len, CEILING, step), 0);
			ck_assert_uint_eq(output_pending(output), pending + len);
		} else if (pending > 0) {
			len = 1 + len % pending;
			for (size_t i = 0; i < len; i++) {
				ck_assert_uint_eq(output->bytes[output->begin + i], out++);
			}
			output_consume(&output, len, step);
		}
	}
	output_free(&output);
}
END_TEST

UNIT_TESTS("output", tcase_add_test(tests, nothing_pending_is_nothing_allocated);
	   tcase_add_test(tests, the_ceiling_holds_and_refuses_whole_pieces);
	   tcase_add_test(tests, progress_is_what_the_socket_took_not_what_was_added);
	   tcase_add_loop_test(tests, bytes_come_out_as_they_went_in, 0, 20);)
