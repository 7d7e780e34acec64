#include "monitor/waits.h"

#include <stdlib.h>
#include <string.h>

#include "common/board.h"
#include "monitor/reading.h"
#include "tests/unit/board_help.h"
#include "tests/unit/run.h"

static struct board board;
static struct reading reading;
static struct waits *waits;
static char *written;
static size_t written_len;

static void
begin(void)
{
	help_create_board(&board, 2);
	ck_assert_int_eq(board_listener_index(&board, "front"), 0);
	waits = waits_new(&board);
	ck_assert_ptr_nonnull(waits);
}

static void
end(void)
{
	free(written);
	written = NULL;
	waits_free(&waits);
	board_detach(&board);
}

static void
seconds_go_by(int seconds)
{
	for (int i = 0; i < seconds; i++) {
		reading_take(&board, &reading);
		waits_tend(waits, &reading);
	}
}

static void
somebody_waited(int slot, uint64_t wait_ms)
{
	stat_add(&board.slots[slot].listeners[0].stats[STAT_LISTENER_accepted], 1);
	stat_add(&board.slots[slot].listeners[0].stats[STAT_LISTENER_open], 1);
	histogram_add(&board.slots[slot].listeners[0].queue_wait_ms, wait_ms);
}

static const char *
render(void)
{
	FILE *stream;

	free(written);
	stream = open_memstream(&written, &written_len);
	reading_take(&board, &reading);
	waits_render(waits, &reading, stream);
	fclose(stream);
	return written;
}

#define ASSERT_HAS(text, part) ck_assert_msg(strstr(text, part) != NULL, "%s", text)

START_TEST(waits_of_all_slots_are_one_distribution)
{
	struct histogram_copy copy;

	begin();
	somebody_waited(0, 3);
	somebody_waited(1, 5);
	waits_of_listener(&board, 0, &copy);
	ck_assert_uint_eq(copy.count, 2);
	ck_assert_uint_eq(copy.sum, 8);
	end();
}
END_TEST

START_TEST(turns_are_of_one_slot)
{
	struct histogram_copy copy;

	begin();
	histogram_add(&board.slots[1].turn_us, 9);
	waits_of_worker(&board, 0, &copy);
	ck_assert_uint_eq(copy.count, 0);
	waits_of_worker(&board, 1, &copy);
	ck_assert_uint_eq(copy.count, 1);
	end();
}
END_TEST

START_TEST(what_is_older_than_seventy_seconds_is_not_of_the_last_minute)
{
	begin();
	somebody_waited(0, 7);
	seconds_go_by(1);
	somebody_waited(0, 5);
	seconds_go_by(60);
	ASSERT_HAS(render(), "\"last_minute\":{\"accepted\":1,\"measured\":1,\"mean_ms\":5.000,"
			     "\"p50_ms\":5,");
	seconds_go_by(10);
	ASSERT_HAS(render(), "\"last_minute\":{\"accepted\":0,\"measured\":0,");
	ASSERT_HAS(render(), "\"since_start\":{\"accepted\":2,\"measured\":2,\"mean_ms\":6.000,");
	end();
}
END_TEST

START_TEST(a_minute_is_told_for_hours)
{
	begin();
	for (int i = 0; i < 1000; i++) {
		somebody_waited(0, 1);
		seconds_go_by(1);
	}
	somebody_waited(0, 6);
	/* 60 to 70 seconds, one client each */
	ASSERT_HAS(render(), "\"longest_ms\":6}}");
	for (int measured = 60; measured <= 71; measured++) {
		char part[64];

		(void)snprintf(part, sizeof(part), "\"last_minute\":{\"accepted\":%d,", measured);
		if (strstr(written, part) != NULL) {
			end();
			return;
		}
	}
	ck_abort_msg("%s", written);
}
END_TEST

START_TEST(nobody_waited_is_no_percentile)
{
	begin();
	ASSERT_HAS(render(), "\"measured\":0,\"mean_ms\":0.000,\"p50_ms\":0,");
	end();
}
END_TEST

UNIT_TESTS("waits", tcase_add_test(tests, waits_of_all_slots_are_one_distribution);
	   tcase_add_test(tests, turns_are_of_one_slot);
	   tcase_add_test(tests, what_is_older_than_seventy_seconds_is_not_of_the_last_minute);
	   tcase_add_test(tests, a_minute_is_told_for_hours);
	   tcase_add_test(tests, nobody_waited_is_no_percentile);)
