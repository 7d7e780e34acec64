#include "common/board.h"

#include <stdio.h>

#include "tests/unit/board_help.h"
#include "tests/unit/run.h"
#include "tests/unit/source_help.h"

static struct board board;

static void
setup(void)
{
	help_create_board(&board, 0);
	ck_assert_int_eq(board_listener_index(&board, "web"), 0);
	board_open_slot(&board, 0);
	board_open_slot(&board, 1);
}

static struct source
numbered(int number)
{
	char address[64];

	(void)snprintf(address, sizeof(address), "10.0.%d.%d", number / 256, number % 256);
	return help_source(&board, address, 0);
}

static const struct {
	int64_t entries;
	uint32_t sets;
} sizes[] = {{1, 1}, {8, 1}, {9, 2}, {32768, 4096}, {SOURCES_ENTRIES_MAX, SOURCES_SETS_MAX}};

START_TEST(tables_have_room_for_what_was_asked_for)
{
	struct sources all;

	setup();
	board_set_source_table(&board, sizes[_i].entries);
	board_sources(&board, 1, &all);
	ck_assert_uint_eq(all.sets, sizes[_i].sets);
	ck_assert_int_eq(all.slots, 2);
	ck_assert_ptr_eq((char *)all.first + all.stride, (char *)&board.slots[1].sources);
}
END_TEST

START_TEST(keys_differ_from_start_to_start)
{
	struct siphash_key first;

	setup();
	first = board.master->source_key;
	board_detach(&board);
	setup();
	ck_assert_uint_ne(first.k0, board.master->source_key.k0);
}
END_TEST

START_TEST(a_buried_workers_connections_are_nobodys)
{
	struct source_sum sum;
	struct sources all;
	struct source source;

	setup();
	source = numbered(1);
	help_let_in(&board, 0, &source, 3, 5000);
	help_let_in(&board, 1, &source, 4, 5000);
	(void)board_bury_slot(&board, 0);
	board_sources(&board, -1, &all);
	sources_sum(&all, &source, 5000, &sum);
	ck_assert_uint_eq(sum.open, 4);
}
END_TEST

START_TEST(a_penalty_is_for_one_source_at_one_listener_and_ends)
{
	struct source source, there;

	setup();
	source = numbered(1);
	there = help_source(&board, "10.0.0.1", 1);
	ck_assert(!board_has_penalties(&board, 1000));
	board_penalise(&board, &source, 91000);
	ck_assert(board_has_penalties(&board, 1000));
	ck_assert_int_eq(board_penalty_left_ms(&board, &source, 1000), 90000);
	ck_assert_int_eq(board_penalty_left_ms(&board, &there, 1000), 0);
	ck_assert_int_eq(board_penalty_left_ms(&board, &source, 91000), 0);
	ck_assert(!board_has_penalties(&board, 91000));
	board_penalise(&board, &source, 200000); /* it crashed another one */
	ck_assert_int_eq(board_penalty_left_ms(&board, &source, 110000), 90000);
}
END_TEST

START_TEST(of_too_many_penalties_those_that_end_first_are_let_go)
{
	setup();
	for (int i = 0; i < BOARD_PENALTIES + 10; i++) {
		struct source source = numbered(i);

		board_penalise(&board, &source, 1000 + i);
	}
	for (int i = 0; i < BOARD_PENALTIES + 10; i++) {
		struct source source = numbered(i);

		ck_assert_int_eq(board_penalty_left_ms(&board, &source, 0), i < 10 ? 0 : 1000 + i);
	}
}
END_TEST

START_TEST(a_penalty_that_is_lifted_makes_room)
{
	struct source source, other;

	setup();
	source = numbered(1);
	other = numbered(2);
	board_penalise(&board, &source, 1000);
	board_penalise(&board, &other, 1000);
	board_lift_penalty(&board, &source);
	ck_assert_int_eq(board_penalty_left_ms(&board, &source, 0), 0);
	ck_assert_int_eq(board_penalty_left_ms(&board, &other, 0), 1000);
	for (int i = 3; i < BOARD_PENALTIES + 2; i++) {
		source = numbered(i);
		board_penalise(&board, &source, 2000);
	}
	ck_assert_int_eq(board_penalty_left_ms(&board, &other, 0), 1000);
}
END_TEST

START_TEST(rows_of_penalties_can_be_read)
{
	char text[SOURCE_TEXT_MAX];
	struct source source, read;

	setup();
	source = help_source(&board, "2001:db8::9", 7);
	ck_assert_int_eq(board_read_penalty(&board, 0, 0, &read), 0);
	board_penalise(&board, &source, 500);
	ck_assert_int_eq(board_read_penalty(&board, 0, 100, &read), 400);
	ck_assert_str_eq(source_format(&read, text), "2001:db8::/64");
	ck_assert_int_eq(read.listener, 7);
	ck_assert_uint_eq(read.tag, source.tag);
}
END_TEST

UNIT_TESTS("board_source",
	   tcase_add_loop_test(tests, tables_have_room_for_what_was_asked_for, 0, ARRAY_LEN(sizes));
	   tcase_add_test(tests, keys_differ_from_start_to_start);
	   tcase_add_test(tests, a_buried_workers_connections_are_nobodys);
	   tcase_add_test(tests, a_penalty_is_for_one_source_at_one_listener_and_ends);
	   tcase_add_test(tests, of_too_many_penalties_those_that_end_first_are_let_go);
	   tcase_add_test(tests, a_penalty_that_is_lifted_makes_room);
	   tcase_add_test(tests, rows_of_penalties_can_be_read);)
