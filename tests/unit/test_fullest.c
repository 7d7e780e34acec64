/* What is found, and how it is shown. */
#include "monitor/fullest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "monitor/reading.h"
#include "monitor/render.h"
#include "tests/unit/board_help.h"
#include "tests/unit/run.h"
#include "tests/unit/source_help.h"

#define NOW_MS 1000500

static struct board board;
static struct fullest *fullest;

static void
setup(void)
{
	help_create_board(&board, 0);
	ck_assert_int_eq(board_listener_index(&board, "web"), 0);
	ck_assert_int_eq(board_listener_index(&board, "back"), 1);
	for (int slot = 0; slot < 3; slot++) {
		board_open_slot(&board, slot);
	}
	fullest = malloc(sizeof(*fullest));
	ck_assert_ptr_nonnull(fullest);
}

static void
teardown(void)
{
	free(fullest);
	board_detach(&board);
}

static void
connect_from(const char *address, int listener, int slot, int count)
{
	struct source source = help_source(&board, address, listener);

	help_let_in(&board, slot, &source, count, NOW_MS);
}

static const char *
row_text(int listener, size_t row)
{
	static char text[SOURCE_TEXT_MAX];

	ck_assert_uint_lt(row, fullest->listeners[listener].count);
	return source_format(&fullest->listeners[listener].rows[row].source, text);
}

START_TEST(sources_are_summed_over_the_workers_and_put_in_order)
{
	setup();
	connect_from("192.0.2.1", 0, 0, 4);
	connect_from("192.0.2.2", 0, 0, 2); /* nowhere the fullest, but in sum */
	connect_from("192.0.2.2", 0, 1, 2);
	connect_from("192.0.2.2", 0, 2, 2);
	connect_from("192.0.2.3", 0, 1, 3);
	connect_from("192.0.2.9", 1, 1, 9);
	fullest_take(&board, NOW_MS, fullest);
	ck_assert_uint_eq(fullest->listeners[0].count, 3);
	ck_assert_str_eq(row_text(0, 0), "192.0.2.2");
	ck_assert_uint_eq(fullest->listeners[0].rows[0].open, 6);
	ck_assert_uint_eq(fullest->listeners[0].rows[0].rate, 6);
	ck_assert_str_eq(row_text(0, 1), "192.0.2.1");
	ck_assert_str_eq(row_text(0, 2), "192.0.2.3");
	ck_assert_uint_eq(fullest->listeners[1].count, 1);
	ck_assert_str_eq(row_text(1, 0), "192.0.2.9");
	teardown();
}
END_TEST

START_TEST(of_many_the_fullest_are_kept)
{
	char address[64];

	setup();
	for (int i = 1; i <= 200; i++) {
		(void)snprintf(address, sizeof(address), "192.0.2.%d", i);
		connect_from(address, 0, i % 3, i * 37 % 201);
	}
	fullest_take(&board, NOW_MS, fullest);
	ck_assert_uint_eq(fullest->listeners[0].count, FULLEST_ROWS);
	for (size_t i = 0; i < FULLEST_ROWS; i++) {
		ck_assert_uint_eq(fullest->listeners[0].rows[i].open, 200 - i);
	}
	teardown();
}
END_TEST

START_TEST(penalised_sources_come_first_and_ended_ones_not_at_all)
{
	struct source penalised, over;

	setup();
	penalised = help_source(&board, "192.0.2.5", 0);
	over = help_source(&board, "192.0.2.6", 0);
	connect_from("192.0.2.1", 0, 0, 4);
	connect_from("192.0.2.5", 0, 0, 1);
	board_penalise(&board, &penalised, NOW_MS + 90000);
	board_penalise(&board, &over, NOW_MS);
	fullest_take(&board, NOW_MS, fullest);
	ck_assert_uint_eq(fullest->listeners[0].count, 2);
	ck_assert_str_eq(row_text(0, 0), "192.0.2.5");
	ck_assert_int_eq(fullest->listeners[0].rows[0].penalty_ms, 90000);
	ck_assert_uint_eq(fullest->listeners[0].rows[0].open, 1);
	(void)board_bury_slot(&board, 0);
	fullest_take(&board, NOW_MS + 60000, fullest);
	ck_assert_uint_eq(fullest->listeners[0].count, 1);
	teardown();
}
END_TEST

START_TEST(rows_are_shown_with_their_limits)
{
	static char web[] = "web";
	struct listener_config listener = {
		.name = web, .max_connections_per_source = 4, .connection_rate_per_source = 50};
	struct config config = {.listeners = &listener, .listener_count = 1};
	static struct reading now;
	struct render render = {.now = &now};
	char *shown = NULL;
	size_t len;
	FILE *stream = open_memstream(&shown, &len);

	setup();
	connect_from("192.0.2.1", 0, 0, 4);
	connect_from("2001:db8::1", 1, 0, 2);
	reading_take(&board, &now);
	fullest_take(&board, NOW_MS, fullest);
	ck_assert_int_eq(render_sources(&render, fullest, &config, NULL, stream), 0);
	ck_assert_int_eq(fflush(stream), 0);
	ck_assert_ptr_nonnull(strstr(shown, "web       192.0.2.1         4      4"));
	ck_assert_ptr_nonnull(strstr(shown, "back      2001:db8::/64     2   none"));
	rewind(stream);
	render.form = RENDER_JSON;
	ck_assert_int_eq(render_sources(&render, fullest, &config, "web", stream), 0);
	ck_assert_int_eq(fclose(stream), 0);
	ck_assert_ptr_nonnull(strstr(shown, "\"source\":\"192.0.2.1\",\"open\":4,"
					    "\"max_connections_per_source\":4"));
	ck_assert_ptr_null(strstr(shown, "\"listener\":\"back\""));
	free(shown);
	teardown();
}
END_TEST

UNIT_TESTS("fullest", tcase_add_test(tests, sources_are_summed_over_the_workers_and_put_in_order);
	   tcase_add_test(tests, of_many_the_fullest_are_kept);
	   tcase_add_test(tests, penalised_sources_come_first_and_ended_ones_not_at_all);
	   tcase_add_test(tests, rows_are_shown_with_their_limits);)
