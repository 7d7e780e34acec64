/* The status, the kernel's counters, all statistics, the events. */
#include "monitor/render.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/board.h"
#include "common/clock.h"
#include "common/log.h"
#include "monitor/health.h"
#include "monitor/reading.h"
#include "tests/unit/board_help.h"
#include "tests/unit/run.h"

static struct board board;
static struct reading before, now;
static struct health health;
static struct render render;
static char *shown;
static size_t shown_len;
static FILE *stream;

/* One worker, one listener; two accepts a second. */
static void
create(void)
{
	help_create_board(&board, 0);
	ck_assert_int_eq(board_listener_index(&board, "front"), 0);
	board_open_slot(&board, 0);
	atomic_store(&board.slots[0].state, BOARD_WORKER_SERVING);
	atomic_store(&board.slots[0].progress_ms, clock_monotonic_ms());
	board_open_slot(&board, 1);
	atomic_store(&board.slots[1].state, BOARD_WORKER_DRAINING);
	stat_set(&board.slots[1].stats[STAT_WORKER_open], 7);
	stat_set(&board.writable->stats[STAT_MASTER_generation], 3);
	reading_take(&board, &before);
	stat_set(&board.slots[0].listeners[0].stats[STAT_LISTENER_accepted], 2);
	stat_set(&board.slots[0].listeners[0].closed[CLOSE_idle], 2);
	stat_set(&board.writable->kernel_at_start[STAT_KERNEL_ListenDrops], 40);
	stat_set(&board.writable->kernel[STAT_KERNEL_ListenDrops], 42);
	reading_take(&board, &now);
	now.taken_ms = before.taken_ms + 1000;
	render = (struct render){.width = 80,
		.before = &before,
		.minute_ago = &before,
		.now = &now,
		.board = &board};
	stream = open_memstream(&shown, &shown_len);
	ck_assert_ptr_nonnull(stream);
}

static void
destroy(void)
{
	free(shown);
	board_detach(&board);
}

static void
expect(int result, const char *part)
{
	ck_assert_int_eq(result, 0);
	ck_assert_int_eq(fflush(stream), 0);
	ck_assert_msg(strstr(shown, part) != NULL, "no %s in: %s", part, shown);
}

static const struct {
	enum render_form form;
	const char *part;
} statuses[] = {
	{RENDER_TEXT, "acceptd is well\n"},
	{RENDER_TEXT, "configuration 3, 1 workers serving"},
	{RENDER_TEXT, "0 open, 2 accepted (2.0 per second), 2 closed"},
	{RENDER_TEXT, "front"},
	{RENDER_JSON, "\"health\":\"well\""},
	{RENDER_JSON, "\"findings\":[]"},
	{RENDER_JSON, "\"generation\":3"},
	{RENDER_JSON, "\"workers_serving\":1"},
	{RENDER_TEXT, "finishing: 1 worker with 7 connections"},
	{RENDER_JSON, "\"workers_finishing\":1,\"open_in_finishing\":7"},
	{RENDER_JSON, "\"accepted\":2"},
	{RENDER_JSON, "\"accepted_per_second\":2.000"},
};

START_TEST(status_is_one_screen)
{
	render.form = statuses[_i].form;
	health_judge(&before, &now, &health);
	expect(render_status(&render, &health, stream), statuses[_i].part);
	fclose(stream);
}
END_TEST

static const struct {
	enum render_form form;
	const char *pattern; /* NULL: all */
	const char *part;
} listings[] = {
	{RENDER_TEXT, NULL, "listener.front.accepted "},
	{RENDER_TEXT, NULL, "\nmaster.generation "},
	{RENDER_TEXT, NULL, "worker.0."},
	{RENDER_TEXT, "*.closed_idle", "listener.front.closed_idle                      2 "},
	{RENDER_TEXT, "ListenDrops", "ListenDrops                                     42"},
	{RENDER_TEXT, "*.drained", "listener.front.drained "},
	{RENDER_TEXT, "*queue_depth", "listener.front.queue_depth "},
	{RENDER_JSON, "*.closed_idle", "{\"listener.front.closed_idle\":2}"},
	{RENDER_JSON, "nothing", "{}"},
};

START_TEST(stats_are_names_values_and_rates)
{
	render.form = listings[_i].form;
	expect(render_stats(&render, listings[_i].pattern, stream), listings[_i].part);
	fclose(stream);
}
END_TEST

START_TEST(a_pattern_leaves_the_others_out)
{
	expect(render_stats(&render, "ListenDrops", stream), "ListenDrops");
	ck_assert_ptr_eq(strchr(shown, '\n'), shown + shown_len - 1);
	fclose(stream);
}
END_TEST

START_TEST(a_pattern_that_nothing_matches_is_told)
{
	ck_assert_int_eq(render_stats(&render, "closed", stream), -ENOENT);
	fclose(stream);
}
END_TEST

START_TEST(the_kernel_counters_are_shown_since_the_start)
{
	render.form = RENDER_JSON;
	expect(render_kernel(&render, stream),
		"\"ListenDrops\":{\"now\":42,\"since_start\":2,\"per_second\":42.000}");
	fclose(stream);
}
END_TEST

START_TEST(drops_at_our_listeners_are_set_apart_from_those_elsewhere)
{
	static const struct {
		uint64_t ours;
		const char *text;
	} shares[] = {
		{0, "of 2 ListenDrops since acceptd's start, at most 0 at its listeners, at least "
		    "2 "
		    "elsewhere\n"},
		{1, "at most 1 at its listeners, at least 1 elsewhere\n"},
		{9, "at most 2 at its listeners, at least 0 elsewhere\n"}, /* strays count there too
									    */
	};

	now.listeners[0].queue[STAT_QUEUE_dropped_segments] = shares[_i].ours;
	expect(render_kernel(&render, stream), shares[_i].text);
	fclose(stream);
}
END_TEST

START_TEST(events_come_in_order_and_after_a_number)
{
	board_add_event(&board, LOG_LEVEL_NOTICE, "first");
	board_add_event(&board, LOG_LEVEL_ERROR, "second \"quoted\"");
	reading_take(&board, &now);
	render.form = _i == 0 ? RENDER_TEXT : RENDER_JSON;
	expect(render_events(&render, &board, 1, stream),
		_i == 0 ? "error   second \"quoted\"\n" : "\"text\":\"second \\\"quoted\\\"\"");
	ck_assert_ptr_null(strstr(shown, "first"));
	fclose(stream);
}
END_TEST

START_TEST(more_events_than_the_ring_holds_begin_with_the_oldest_there)
{
	for (int i = 1; i <= BOARD_EVENTS + 10; i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "event %d;", i);
		board_add_event(&board, LOG_LEVEL_NOTICE, text);
	}
	reading_take(&board, &now);
	expect(render_events(&render, &board, 0, stream), " event 11;\n");
	ck_assert_ptr_null(strstr(shown, " event 10;\n"));
	ck_assert_ptr_nonnull(strstr(shown, " event 1034;\n"));
	fclose(stream);
}
END_TEST

UNIT_TESTS(
	"render_more", tcase_add_checked_fixture(tests, create, destroy);
	tcase_add_loop_test(tests, status_is_one_screen, 0, ARRAY_LEN(statuses));
	tcase_add_loop_test(tests, stats_are_names_values_and_rates, 0, ARRAY_LEN(listings));
	tcase_add_test(tests, a_pattern_leaves_the_others_out);
	tcase_add_test(tests, a_pattern_that_nothing_matches_is_told);
	tcase_add_test(tests, the_kernel_counters_are_shown_since_the_start);
	tcase_add_loop_test(tests, drops_at_our_listeners_are_set_apart_from_those_elsewhere, 0, 3);
	tcase_add_loop_test(tests, events_come_in_order_and_after_a_number, 0, 2);
	tcase_add_test(tests, more_events_than_the_ring_holds_begin_with_the_oldest_there);)
