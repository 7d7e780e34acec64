#include "monitor/reading.h"

#include <string.h>

#include "common/board.h"
#include "tests/unit/board_help.h"
#include "tests/unit/run.h"

static struct board board;
static struct reading before, now;

static void
create(void)
{
	help_create_board(&board, 0);
}

static void
destroy(void)
{
	board_detach(&board);
}

START_TEST(an_empty_board_is_an_empty_reading)
{
	reading_take(&board, &now);
	ck_assert_uint_eq(now.listener_count, 0);
	ck_assert_uint_eq(now.worker_count, 0);
	ck_assert_uint_eq(now.accepted + now.open + now.closed, 0);
	ck_assert_int_gt(now.taken_ms, 0);
}
END_TEST

/* Two workers, two listeners: 1 open, 2 closed for each pair. */
START_TEST(totals_are_the_sums_over_slots_and_listeners)
{
	for (int slot = 0; slot < 2; slot++) {
		board_open_slot(&board, slot);
		for (int i = 0; i < 2; i++) {
			struct board_listener_cells *cells = &board.slots[slot].listeners[i];

			ck_assert_int_eq(board_listener_index(&board, i == 0 ? "a" : "b"), i);
			stat_set(&cells->stats[STAT_LISTENER_accepted], 3);
			stat_set(&cells->stats[STAT_LISTENER_open], 1);
			stat_set(&cells->closed[CLOSE_client], 1);
			stat_set(&cells->closed[CLOSE_idle], 1);
		}
	}
	reading_take(&board, &now);
	ck_assert_uint_eq(now.listener_count, 2);
	ck_assert_uint_eq(now.worker_count, 2);
	ck_assert_uint_eq(now.accepted, 12);
	ck_assert_uint_eq(now.open, 4);
	ck_assert_uint_eq(now.closed, 8);
	ck_assert_uint_eq(now.workers[1].accepted, 6);
	ck_assert_uint_eq(now.listeners[1].closed, 4);
	ck_assert_str_eq(reading_find_listener(&now, "b")->name, "b");
	ck_assert_ptr_null(reading_find_listener(&now, "c"));
	/* A second reading does not add to the first. */
	reading_take(&board, &now);
	ck_assert_uint_eq(now.accepted, 12);
}
END_TEST

/* As the rows are once some had other names before: in any order, with gaps. */
START_TEST(rows_that_were_given_to_other_names_are_read_as_theirs)
{
	struct board_server_head *heads = board.writable->servers;
	const struct reading_server *second;

	board_open_slot(&board, 0);
	ck_assert_int_eq(board_upstream_index(&board, "gone"), 0);
	ck_assert_int_eq(board_server_index(&board, 0, "gone"), 0);
	ck_assert_int_eq(board_upstream_index(&board, "u"), 1);
	ck_assert_int_eq(board_server_index(&board, 1, "n/2"), 1);
	ck_assert_int_eq(board_server_index(&board, 1, "n/1"), 2);
	stat_set(&board.slots[0].servers[1].stats[STAT_SERVER_sessions], 5);
	board_give_server(&board, 1, 1, "n/2");
	stat_set(&board.slots[0].servers[1].stats[STAT_SERVER_sessions], 7);
	for (int row = 1; row <= 2; row++) {
		heads[row].place = 3 - row;
		strcpy(heads[row].asked, "n:80");
	}
	atomic_store(&heads[2].lookup.state, BOARD_LOOKUP_FAILING);
	board_give_upstream(&board, 0, "w"); /* whose servers have no rows yet */
	reading_take(&board, &now);
	ck_assert_uint_eq(now.server_count, 2);
	ck_assert_ptr_null(reading_find_server(&now, "w", "gone"));
	second = reading_find_server(&now, "u", "n/2");
	ck_assert_uint_eq(second->stats[STAT_SERVER_sessions], 2);
	ck_assert_uint_eq(second->lookup.state, BOARD_LOOKUP_FAILING);
}
END_TEST

static const struct {
	int64_t elapsed_ms;
	uint64_t before, now;
	double rate;
} rates[] = {
	{1000, 0, 0, 0.0},
	{1000, 5, 15, 10.0},
	{2000, 0, 1, 0.5},
	{500, 0, 50, 100.0},
	{1000, 9, 8, 0.0},     /* a gauge that fell */
	{49, 0, 1000, 0.0},    /* too near for a rate */
	{0, 0, 1000, 0.0},     /* the same reading */
	{-1000, 0, 1000, 0.0}, /* the wrong way round */
	{1000, UINT64_MAX, 0, 0.0},
};

START_TEST(a_rate_is_growth_per_second)
{
	before.taken_ms = 100000;
	now.taken_ms = before.taken_ms + rates[_i].elapsed_ms;
	ck_assert_double_eq_tol(
		reading_rate(&before, &now, rates[_i].before, rates[_i].now), rates[_i].rate, 1e-9);
}
END_TEST

START_TEST(uptime_is_never_negative)
{
	now.wall_seconds = 1000;
	now.master[STAT_MASTER_start_time_seconds] = 400;
	ck_assert_int_eq(reading_uptime_seconds(&now), 600);
	now.master[STAT_MASTER_start_time_seconds] = 2000; /* the clock was set back */
	ck_assert_int_eq(reading_uptime_seconds(&now), 0);
}
END_TEST

static const struct {
	uint32_t pause;
	const char *names;
} pauses[] = {
	{0, ""}, {BOARD_PAUSE_BALANCE, "balance"},
	{BOARD_PAUSE_LIMIT | BOARD_PAUSE_TROUBLE, "limit,trouble"},
	{BOARD_PAUSE_BALANCE | BOARD_PAUSE_LIMIT | BOARD_PAUSE_DESCRIPTORS | BOARD_PAUSE_TROUBLE,
		"balance,limit,descriptors,trouble"},
	{0x80000000, ""}, /* of another build */
};

START_TEST(reasons_of_a_pause_have_names)
{
	char buffer[READING_PAUSE_MAX];

	ck_assert_str_eq(reading_pause_names(pauses[_i].pause, buffer), pauses[_i].names);
}
END_TEST

START_TEST(states_of_a_worker_have_names)
{
	ck_assert_str_eq(reading_state_name(BOARD_WORKER_EMPTY), "empty");
	ck_assert_str_eq(reading_state_name(BOARD_WORKER_SERVING), "serving");
	ck_assert_str_eq(reading_state_name(77), "unknown");
}
END_TEST

UNIT_TESTS("reading", tcase_add_checked_fixture(tests, create, destroy);
	   tcase_add_test(tests, an_empty_board_is_an_empty_reading);
	   tcase_add_test(tests, totals_are_the_sums_over_slots_and_listeners);
	   tcase_add_test(tests, rows_that_were_given_to_other_names_are_read_as_theirs);
	   tcase_add_loop_test(tests, a_rate_is_growth_per_second, 0, ARRAY_LEN(rates));
	   tcase_add_test(tests, uptime_is_never_negative);
	   tcase_add_loop_test(tests, reasons_of_a_pause_have_names, 0, ARRAY_LEN(pauses));
	   tcase_add_test(tests, states_of_a_worker_have_names);)
