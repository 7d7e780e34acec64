#include "common/board_wait.h"

#include "common/text.h"
#include "tests/unit/run.h"

static const struct {
	struct board_load load;
	enum board_wait_reason reason;
	const char *words;
} cases[] = {
	{{true, 50, 200, 50, 50}, BOARD_WAIT_ACCEPT,
		"back end java/a leaves 50 connections without an answer, as many as its backlog: "
		"it is stopped or overloaded; look there"},
	{{true, 5, 5, 5, 5}, BOARD_WAIT_ACCEPT,
		"back end java/a leaves 5 connections without an answer, as many as its backlog: "
		"it is stopped or overloaded; look there"},
	{{true, 1, 5, 1, 1}, BOARD_WAIT_ACCEPT,
		"back end java/a leaves 1 connection without an answer, as many as its backlog: it "
		"is stopped or overloaded; look there"},
	{{true, 1, 1, 0, 50}, BOARD_WAIT_PLACES,
		"back end java/a has 1 connection, max_connections = 1; raise it if it bears more, "
		"or add servers"},
	{{true, 5, 5, 0, 50}, BOARD_WAIT_PLACES,
		"back end java/a has 5 connections, max_connections = 5; raise it if it bears "
		"more, or add servers"},
	{{true, 5, 5, 7, 0}, BOARD_WAIT_PLACES,
		"back end java/a has 5 connections, max_connections = 5; raise it if it bears "
		"more, or add servers"},
	{{true, 5, 0, 7, 0}, BOARD_WAIT_UNKNOWN, "acceptctl upstreams shows the servers"},
	{{true, 4, 5, 49, 50}, BOARD_WAIT_UNKNOWN, "acceptctl upstreams shows the servers"},
	{{false, 5, 5, 50, 50}, BOARD_WAIT_UNKNOWN, "acceptctl upstreams shows the servers"},
};

START_TEST(the_reason_of_a_wait_is_the_limit_that_is_met)
{
	char buffer[256];
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	board_wait_write("java/a", &cases[_i].load, &text);
	ck_assert_int_eq(board_wait_reason(&cases[_i].load), cases[_i].reason);
	ck_assert_str_eq(buffer, cases[_i].words);
}
END_TEST

START_TEST(who_settled_is_queued_as_far_as_the_queue_is_deep)
{
	ck_assert_uint_eq(board_wait_queued(3, 10, 4), 7);
	ck_assert_uint_eq(board_wait_queued(3, 2, 4), 5);
	ck_assert_uint_eq(board_wait_queued(3, 10, 0), 3);
}
END_TEST

UNIT_TESTS("board_wait", tcase_add_loop_test(tests, the_reason_of_a_wait_is_the_limit_that_is_met,
				 0, ARRAY_LEN(cases));
	   tcase_add_test(tests, who_settled_is_queued_as_far_as_the_queue_is_deep);)
