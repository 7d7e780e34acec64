#include "monitor/render.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/board.h"
#include "monitor/reading.h"
#include "tests/unit/board_help.h"
#include "tests/unit/run.h"

static struct board board;
static struct reading before, now;
static char *shown;

/* One worker and one listener, seen twice, a second apart. */
static void
create(void)
{
	help_create_board(&board, 0);
	ck_assert_int_eq(board_listener_index(&board, "front"), 0);
	board_open_slot(&board, 0);
	atomic_store(&board.slots[0].state, BOARD_WORKER_SERVING);
	reading_take(&board, &before);
}

static void
destroy(void)
{
	free(shown);
	shown = NULL;
	board_detach(&board);
}

static const char *
show(int (*what)(const struct render *render, FILE *stream), enum render_form form)
{
	struct render render = {.form = form,
		.width = 80,
		.before = &before,
		.minute_ago = &before,
		.now = &now,
		.board = &board};
	size_t len;
	FILE *stream;

	reading_take(&board, &now);
	now.taken_ms = before.taken_ms + 1000;
	free(shown);
	stream = open_memstream(&shown, &len);
	ck_assert_ptr_nonnull(stream);
	ck_assert_int_eq(what(&render, stream), 0);
	ck_assert_int_eq(fclose(stream), 0);
	return shown;
}

#define ck_assert_shows(text, part)                                                                \
	ck_assert_msg(strstr(text, part) != NULL, "no %s in: %s", part, text)

START_TEST(listeners_show_how_long_clients_waited_and_how_many_were_measured)
{
	struct board_listener_cells *cells = &board.slots[0].listeners[0];

	stat_set(&cells->stats[STAT_LISTENER_accepted], 200);
	stat_set(&cells->closed[CLOSE_client], 200);
	for (int i = 0; i < 100; i++) {
		histogram_add(&cells->queue_wait_ms, i < 95 ? 4 : 7);
	}
	show(render_listeners, RENDER_JSON);
	ck_assert_shows(shown, "\"accepted\":200");
	ck_assert_shows(shown, "\"queue_wait_measured\":100");
	ck_assert_shows(shown, "\"queue_wait_p50_ms\":4");
	ck_assert_shows(shown, "\"queue_wait_p90_ms\":4");
	ck_assert_shows(shown, "\"queue_wait_p99_ms\":7");
	show(render_listeners, RENDER_TEXT);
	ck_assert_shows(shown, "4 ms");
	ck_assert_shows(shown, "50 %");
}
END_TEST

START_TEST(a_listener_without_clients_shows_no_wait)
{
	ck_assert_ptr_null(strstr(show(render_listeners, RENDER_TEXT), "ms"));
	ck_assert_shows(show(render_listeners, RENDER_JSON), "\"queue_wait_measured\":0");
}
END_TEST

START_TEST(workers_show_their_processor_memory_and_turns)
{
	struct board_slot *slot = &board.slots[0];

	stat_set(&slot->stats[STAT_WORKER_cpu_us], 250000);
	stat_set(&slot->stats[STAT_WORKER_resident_bytes], 3 << 20);
	stat_set(&slot->stats[STAT_WORKER_longest_turn_us], 1500);
	histogram_add(&slot->turn_us, 7);
	show(render_workers, RENDER_JSON);
	ck_assert_shows(shown, "\"cpu_percent\":25");
	ck_assert_shows(shown, "\"turn_p99_us\":7");
	ck_assert_shows(shown, "\"last_crash\":\"\"");
	ck_assert_shows(shown, "\"last_crash_seconds\":0");
	show(render_workers, RENDER_TEXT);
	ck_assert_shows(shown, "25.0");
	ck_assert_shows(shown, "3.0 MiB");
	ck_assert_shows(shown, "1.50 ms");
}
END_TEST

static const struct {
	int status;
	const char *name;
} crashes[] = {
	{SIGSEGV, "SIGSEGV"},
	{SIGKILL, "SIGKILL"},
	{62, "signal 62"},
	{W_EXITCODE(3, 0), "exit 3"},
	{W_EXITCODE(0, 0), "exit 0"},
};

START_TEST(workers_show_how_the_last_one_failed_after_the_next_was_started)
{
	char key[64];

	board_note_crash(&board, 0, crashes[_i].status);
	ck_assert_uint_eq(board_bury_slot(&board, 0), 0);
	board_open_slot(&board, 0);
	(void)snprintf(key, sizeof(key), "\"last_crash\":\"%s\"", crashes[_i].name);
	ck_assert_shows(show(render_workers, RENDER_JSON), key);
	ck_assert_int_ne(now.workers[0].last_crash_seconds, 0);
	ck_assert_shows(show(render_workers, RENDER_TEXT), crashes[_i].name);
	ck_assert_shows(shown, " ago");
}
END_TEST

START_TEST(queue_shows_the_peak_of_the_minute_which_is_never_below_now)
{
	stat_set(&board.writable->listeners[0].queue[STAT_QUEUE_peak_minute], 17);
	ck_assert_shows(show(render_queue, RENDER_TEXT), "17");
	stat_set(&board.writable->listeners[0].queue[STAT_QUEUE_depth], 23);
	show(render_queue, RENDER_TEXT);
	ck_assert_ptr_null(strstr(shown, "17"));
	ck_assert_shows(show(render_queue, RENDER_JSON), "\"queue_peak_minute\":17");
}
END_TEST

UNIT_TESTS(
	"render", tcase_add_checked_fixture(tests, create, destroy);
	tcase_add_test(tests, listeners_show_how_long_clients_waited_and_how_many_were_measured);
	tcase_add_test(tests, a_listener_without_clients_shows_no_wait);
	tcase_add_test(tests, workers_show_their_processor_memory_and_turns);
	tcase_add_loop_test(tests, workers_show_how_the_last_one_failed_after_the_next_was_started,
		0, sizeof(crashes) / sizeof(crashes[0]));
	tcase_add_test(tests, queue_shows_the_peak_of_the_minute_which_is_never_below_now);)
