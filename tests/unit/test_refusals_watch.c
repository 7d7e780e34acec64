#include "master/refusals_watch.h"

#include <string.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "master/master.h"
#include "tests/unit/run.h"
#include "tests/unit/source_help.h"

static struct master master;
static struct refusals_watch watch;
static struct listener_config listener;
static struct config config;

static void
setup(void)
{
	static char name[] = "web";
	struct fault why;

	ck_assert_int_eq(board_create(&master.board, &master.board_memory, &why), 0);
	ck_assert_int_eq(board_listener_index(&master.board, name), 0);
	board_open_slot(&master.board, 0);
	board_open_slot(&master.board, 1);
	listener = (struct listener_config){.name = name, .max_connections_per_source = 7};
	config =
		(struct config){.listeners = &listener, .listener_count = 1, .source_table = 32768};
	master.config = &config;
	refusals_watch_second(&watch, &master);
}

static void
teardown(void)
{
	board_detach(&master.board);
	descriptor_close(&master.board_memory);
}

static uint64_t
said(void)
{
	return atomic_load(&master.board.writable->last_event);
}

static const char *
last_words(void)
{
	static struct board_event event;

	ck_assert_int_eq(board_read_event(&master.board, said(), &event), 0);
	return event.text;
}

static void
refuse(int slot, enum close_reason reason, uint64_t count)
{
	stat_add(&master.board.slots[slot].listeners[0].closed[reason], count);
}

START_TEST(nothing_is_said_while_nobody_is_refused)
{
	setup();
	refuse(0, CLOSE_idle, 100);
	refusals_watch_second(&watch, &master);
	ck_assert_uint_eq(said(), 0);
	teardown();
}
END_TEST

START_TEST(all_workers_refusals_are_one_line_with_the_worst_source)
{
	int64_t now_ms = clock_monotonic_ms();
	struct source worst, other;

	setup();
	worst = help_source(&master.board, "192.0.2.7", 0);
	other = help_source(&master.board, "192.0.2.8", 0);
	help_let_in(&master.board, 0, &worst, 3, now_ms);
	help_let_in(&master.board, 1, &worst, 4, now_ms);
	help_let_in(&master.board, 1, &other, 20, now_ms);
	help_refuse(&master.board, 0, &worst, 6, now_ms);
	help_refuse(&master.board, 1, &worst, 6, now_ms);
	help_refuse(&master.board, 1, &other, 10, now_ms);
	refuse(0, CLOSE_source_limit, 6);
	refuse(1, CLOSE_source_limit, 16);
	refusals_watch_second(&watch, &master);
	ck_assert_uint_eq(said(), 1);
	ck_assert_ptr_nonnull(strstr(last_words(),
		"listener web: 22 clients refused in 1.0 s: 22 at max_connections_per_source (7)"));
	ck_assert_ptr_nonnull(strstr(last_words(), "most often 192.0.2.7: "));
	ck_assert_ptr_nonnull(strstr(last_words(), "it has 7 connections"));
	teardown();
}
END_TEST

START_TEST(it_is_said_again_after_ten_seconds_with_all_that_came_meanwhile)
{
	setup();
	refuse(0, CLOSE_source_penalty, 1);
	refusals_watch_second(&watch, &master);
	refuse(0, CLOSE_source_penalty, 2);
	refusals_watch_second(&watch, &master);
	refuse(1, CLOSE_source_rate, 4);
	refusals_watch_second(&watch, &master);
	ck_assert_uint_eq(said(), 1);
	watch.listeners[0].limit.next_ms = 0; /* ten seconds later */
	refusals_watch_second(&watch, &master);
	ck_assert_uint_eq(said(), 2);
	ck_assert_ptr_nonnull(strstr(last_words(), "6 clients refused"));
	refusals_watch_second(&watch, &master);
	ck_assert_uint_eq(said(), 2);
	teardown();
}
END_TEST

START_TEST(who_got_no_place_is_told_beside_who_came_too_often)
{
	setup();
	refuse(0, CLOSE_source_rate, 1);
	refuse(0, CLOSE_queue_timeout, 2);
	refuse(1, CLOSE_queue_timeout, 3);
	refusals_watch_second(&watch, &master);
	ck_assert_uint_eq(said(), 2);
	ck_assert_ptr_nonnull(strstr(
		last_words(), "listener web: 5 clients refused in 1.0 s: 5 after queue_timeout"));
	teardown();
}
END_TEST

START_TEST(a_table_without_room_is_told_with_its_remedy)
{
	setup();
	stat_add(&master.board.slots[1].stats[STAT_WORKER_sources_untracked], 5);
	refusals_watch_second(&watch, &master);
	refusals_watch_second(&watch, &master);
	ck_assert_uint_eq(said(), 1);
	ck_assert_ptr_nonnull(strstr(last_words(), "5 clients were let in without being counted"));
	ck_assert_ptr_nonnull(strstr(last_words(), "raise source_table (32768)"));
	teardown();
}
END_TEST

UNIT_TESTS("refusals_watch", tcase_add_test(tests, nothing_is_said_while_nobody_is_refused);
	   tcase_add_test(tests, all_workers_refusals_are_one_line_with_the_worst_source);
	   tcase_add_test(tests, it_is_said_again_after_ten_seconds_with_all_that_came_meanwhile);
	   tcase_add_test(tests, who_got_no_place_is_told_beside_who_came_too_often);
	   tcase_add_test(tests, a_table_without_room_is_told_with_its_remedy);)
