#include "monitor/history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/board.h"
#include "monitor/reading.h"
#include "tests/unit/board_help.h"
#include "tests/unit/run.h"

static struct board board;
static struct reading readings[2];
static unsigned second;
static struct history *history;
static char *written;
static size_t written_len;

static void
begin(void)
{
	help_create_board(&board, 1);
	second = 0;
	reading_take(&board, &readings[0]);
	readings[0].taken_ms = 1000;
	history = history_new(&board);
	ck_assert_ptr_nonnull(history);
}

static void
end(void)
{
	free(written);
	written = NULL;
	history_free(&history);
	board_detach(&board);
}

static board_cell *
queue(int listener, enum stat_queue_index index)
{
	return &board.writable->listeners[listener].queue[index];
}

static void
a_second_goes_by(void)
{
	struct reading *before = &readings[second % 2], *now = &readings[++second % 2];

	reading_take(&board, now);
	now->taken_ms = before->taken_ms + 1000;
	now->wall_seconds = 1000 + second;
	history_add(history, before, now);
}

static const char *
render(uint64_t after)
{
	FILE *stream;

	free(written);
	stream = open_memstream(&written, &written_len);
	history_render(history, after, stream);
	fclose(stream);
	return written;
}

#define ASSERT_HAS(text, part) ck_assert_msg(strstr(text, part) != NULL, "%s", text)

START_TEST(a_point_tells_depth_limit_rate_open_and_what_was_dropped_since)
{
	struct board_listener_cells *cells;
	const char *text;

	begin();
	cells = &board.slots[0].listeners[0];
	ck_assert_int_eq(board_listener_index(&board, "front"), 0);
	stat_set(queue(0, STAT_QUEUE_limit), 128);
	stat_set(queue(0, STAT_QUEUE_dropped_segments), 1000); /* before we looked */
	a_second_goes_by();
	stat_set(queue(0, STAT_QUEUE_depth), 3);
	stat_set(queue(0, STAT_QUEUE_dropped_segments), 1004);
	stat_set(&cells->stats[STAT_LISTENER_accepted], 50);
	stat_set(&cells->stats[STAT_LISTENER_open], 50);
	a_second_goes_by();
	text = render(0);
	ASSERT_HAS(text, "\"first\":1,\"last\":2,\"last_time_ms\":1002000");
	ASSERT_HAS(text,
		"{\"name\":\"front\",\"queue_depth\":[0,3],\"queue_limit\":[128,128],"
		"\"accepted_per_second\":[0,50],\"open\":[0,50],\"dropped_segments\":[0,4]}");
	end();
}
END_TEST

START_TEST(a_depth_between_two_seconds_is_not_missed)
{
	begin();
	ck_assert_int_eq(board_listener_index(&board, "front"), 0);
	a_second_goes_by();
	stat_set(queue(0, STAT_QUEUE_depth), 17);
	history_look(history);
	stat_set(queue(0, STAT_QUEUE_depth), 2);
	history_look(history);
	a_second_goes_by();
	stat_set(queue(0, STAT_QUEUE_peak), 90); /* seen by the master only */
	a_second_goes_by();
	a_second_goes_by();
	ASSERT_HAS(render(0), "\"queue_depth\":[0,17,90,2]");
	end();
}
END_TEST

START_TEST(a_listener_that_came_later_has_no_points_before)
{
	begin();
	ck_assert_int_eq(board_listener_index(&board, "front"), 0);
	a_second_goes_by();
	a_second_goes_by();
	ck_assert_int_eq(board_listener_index(&board, "api"), 1);
	a_second_goes_by();
	ASSERT_HAS(render(0), "\"name\":\"api\",\"queue_depth\":[null,null,0]");
	end();
}
END_TEST

START_TEST(only_points_after_a_number_are_told)
{
	begin();
	ck_assert_int_eq(board_listener_index(&board, "front"), 0);
	for (int i = 1; i <= 5; i++) {
		stat_set(queue(0, STAT_QUEUE_depth), (uint64_t)i);
		a_second_goes_by();
	}
	ASSERT_HAS(render(3), "\"first\":4");
	ASSERT_HAS(render(3), "\"queue_depth\":[4,5]");
	ASSERT_HAS(render(5), "\"first\":6,\"last\":5");
	ASSERT_HAS(render(5), "\"queue_depth\":[]");
	/* of another monitor's life */
	ASSERT_HAS(render(6), "\"queue_depth\":[1,2,3,4,5]");
	ASSERT_HAS(render(UINT64_MAX), "\"queue_depth\":[1,2,3,4,5]");
	end();
}
END_TEST

START_TEST(five_minutes_are_kept_and_no_more)
{
	char part[64];

	begin();
	ck_assert_int_eq(board_listener_index(&board, "front"), 0);
	for (unsigned i = 1; i <= HISTORY_POINTS + 7; i++) {
		stat_set(queue(0, STAT_QUEUE_depth), i);
		a_second_goes_by();
	}
	(void)snprintf(part, sizeof(part), "\"last\":%d", HISTORY_POINTS + 7);
	ASSERT_HAS(render(0), part);
	ASSERT_HAS(render(0), "\"first\":8,");
	ASSERT_HAS(render(0), "\"queue_depth\":[8,9,10,");
	(void)snprintf(part, sizeof(part), ",%d,%d],\"queue_limit\"", HISTORY_POINTS + 6,
		HISTORY_POINTS + 7);
	ASSERT_HAS(render(0), part);
	end();
}
END_TEST

START_TEST(a_number_too_large_for_its_place_is_the_largest)
{
	begin();
	ck_assert_int_eq(board_listener_index(&board, "front"), 0);
	stat_set(queue(0, STAT_QUEUE_limit), UINT64_MAX);
	a_second_goes_by();
	ASSERT_HAS(render(0), "\"queue_limit\":[4294967295]");
	end();
}
END_TEST

UNIT_TESTS("history",
	   tcase_add_test(tests, a_point_tells_depth_limit_rate_open_and_what_was_dropped_since);
	   tcase_add_test(tests, a_depth_between_two_seconds_is_not_missed);
	   tcase_add_test(tests, a_listener_that_came_later_has_no_points_before);
	   tcase_add_test(tests, only_points_after_a_number_are_told);
	   tcase_add_test(tests, five_minutes_are_kept_and_no_more);
	   tcase_add_test(tests, a_number_too_large_for_its_place_is_the_largest);)
