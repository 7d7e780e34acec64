#include "master/placing.h"

#include <string.h>

#include "common/defs.h"
#include "tests/unit/place_help.h"
#include "tests/unit/run.h"

static const struct {
	const char *before, *answer, *after;
	uint64_t held[4];
	uint64_t fresh, left;
} rows[] = {
	{". . .", "7 8", "7 8 .", {0}, 3, 0},
	{"7 8 .", "8 7", "7 8 .", {0}, 0, 0}, /* the order of an answer means nothing */
	{"7 8 .", "8 9", "-7 8 9", {0}, 4, 1},
	{"-7 8 9", "8 9 7", "7 8 9", {0}, 0, 0}, /* it comes back to its place */
	{"-7 8 9", "8 9 5", "5 8 9", {0}, 1, 0},
	{"7 8 9", "8", "-7 8 -9", {0}, 0, 5},
	{"-7 -8 -9", "5", "-7 5 -9", {3, 1, 2}, 2, 0}, /* where the fewest sessions are */
	{"-7 -8 -9", "5", "5 -8 -9", {1, 1, 1}, 1, 0},
	{"7 8 9", "4 5 6", "4 5 6", {0}, 7, 7},
	{"-7 8", "8 7", "7 8", {9, 0}, 0, 0},
	{"7 8 .", "7! 8", "7! 8 .", {0}, 0, 0},
	{".", "7", "7", {0}, 1, 0},
	{"7 .", "7 8", "7 8", {0}, 2, 0},
	{"7 -8 . 9", "6 5 7", "7 -8 6 5", {0, 5, 0, 0}, 12, 8},
};

START_TEST(each_address_gets_the_place_it_should)
{
	struct board_place places[4] = {0}, answer[4] = {0}, before[4];
	size_t count = help_places(rows[_i].before, places);
	size_t answer_count = help_places(rows[_i].answer, answer);
	struct placing placing;
	char shown[64];

	memcpy(before, places, sizeof(before));
	placing = placing_decide(places, rows[_i].held, count, answer, answer_count);
	ck_assert_str_eq(help_show(places, count, shown, sizeof(shown)), rows[_i].after);
	ck_assert_uint_eq(placing.fresh, rows[_i].fresh);
	ck_assert_uint_eq(placing.left, rows[_i].left);
	for (size_t i = 0; i < count; i++) {
		ck_assert_int_eq((placing.changed >> i & 1) != 0,
			memcmp(&places[i], &before[i], sizeof(before[i])) != 0);
	}
}
END_TEST

START_TEST(a_new_weight_is_a_change_and_no_new_address)
{
	struct board_place places[2] = {0}, answer[2] = {0};
	size_t count = help_places("7 8", places);
	const uint64_t held[2] = {0};
	struct placing placing;

	(void)help_places("7 8", answer);
	answer[1].weight = 3;
	placing = placing_decide(places, held, count, answer, 2);
	ck_assert_uint_eq(placing.changed, 2);
	ck_assert_uint_eq(placing.fresh | placing.left, 0);
	ck_assert_uint_eq(places[1].weight, 3);
}
END_TEST

UNIT_TESTS("placing",
	   tcase_add_loop_test(tests, each_address_gets_the_place_it_should, 0, ARRAY_LEN(rows));
	   tcase_add_test(tests, a_new_weight_is_a_change_and_no_new_address);)
