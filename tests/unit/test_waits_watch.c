#include "master/waits_watch.h"

#include <string.h>

#include "common/board_wait.h"
#include "common/config.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "master/backend_rows.h"
#include "master/backends.h"
#include "master/master.h"
#include "tests/unit/run.h"

#define NOW_MS 100000

static struct master master;
static struct waits_watch watch;

static void
setup(void)
{
	static const char text[] =
		"listeners = ( { name = \"l\"; address = \"127.0.0.1:7000\"; protocol = \"echo\"; "
		"} );"
		"upstreams = ( { name = \"java\"; servers = ( "
		"{ name = \"a\"; address = \"127.0.0.1:1\"; max_connections = 9; backlog = 5; }, "
		"{ name = \"b\"; address = \"127.0.0.1:2\"; max_connections = 9; } ); } );";
	static struct findings findings;
	struct fault why;

	memset(&findings, 0, sizeof(findings));
	ck_assert_int_eq(board_create(&master.board, &master.board_memory, &why), 0);
	ck_assert_int_eq(config_load_text(text, "t.conf", &master.config, &findings), 0);
	ck_assert_int_eq(backend_rows_check(&master.board, master.config, UINT64_MAX, &why), 0);
	backends_use(&master.board, master.config, UINT64_MAX);
	board_open_slot(&master.board, 0);
	board_open_slot(&master.board, 1);
}

static void
teardown(void)
{
	config_free(&master.config);
	board_detach(&master.board);
	descriptor_close(&master.board_memory);
}

/* In the slot, since so long. */
static void
wait(int slot, uint64_t clients, int64_t for_ms)
{
	struct board_upstream_cells *cells = &master.board.slots[slot].upstreams[0];

	stat_set(&cells->waiting, clients);
	stat_set(&cells->ticket,
		clients == 0 ? 0 : (uint64_t)(NOW_MS - for_ms) * 1000 << BOARD_TICKET_SLOT_BITS);
}

static void
load(int server, uint64_t held, uint64_t unproven)
{
	stat_set(&master.board.slots[1].servers[server].held, held);
	stat_set(&master.board.slots[1].servers[server].unproven, unproven);
}

static uint64_t
said(void)
{
	return atomic_load(&master.board.writable->last_event);
}

static void
expect_last(const char *words)
{
	struct board_event event;

	ck_assert_int_eq(board_read_event(&master.board, said(), &event), 0);
	ck_assert_str_eq(event.text, words);
}

START_TEST(a_short_wait_is_nobodys_trouble)
{
	wait(0, 100, BOARD_WAIT_LONG_MS - 1);
	waits_watch_second(&watch, &master, NOW_MS);
	ck_assert_uint_eq(said(), 0);
}
END_TEST

START_TEST(a_long_wait_is_told_once_with_its_reason_and_its_end)
{
	load(0, 5, 5);
	load(1, 9, 0);
	wait(0, 2, 5500);
	wait(1, 28, 1000);
	waits_watch_second(&watch, &master, NOW_MS);
	ck_assert_uint_eq(said(), 1);
	expect_last("upstream java: 30 clients wait for a place, the first for 5.5 s: back end "
		    "java/a leaves 5 connections without an answer, as many as its backlog: it is "
		    "stopped or overloaded; look there; who waits for queue_timeout = 30s is "
		    "turned away");
	waits_watch_second(&watch, &master, NOW_MS);
	wait(0, 0, 0);
	waits_watch_second(&watch, &master, NOW_MS);
	ck_assert_uint_eq(said(), 1);
	wait(1, 28, 900);
	waits_watch_second(&watch, &master, NOW_MS + 50);
	ck_assert_uint_eq(said(), 2);
	expect_last("upstream java: nobody waits long for a place any more; it lasted 5.6 s");
}
END_TEST

START_TEST(one_client_at_a_full_server_is_told_what_to_raise)
{
	load(0, 9, 0);
	load(1, 9, 0);
	wait(0, 1, 6000);
	waits_watch_second(&watch, &master, NOW_MS);
	expect_last("upstream java: 1 client waits for a place, the first for 6.0 s: back end "
		    "java/a has 9 connections, max_connections = 9; raise it if it bears more, or "
		    "add servers; who waits for queue_timeout = 30s is turned away");
}
END_TEST

START_TEST(that_all_are_down_is_told_by_others)
{
	stat_set(&master.board.slots[0].servers[0].verdict, BOARD_VERDICT(NOW_MS, false));
	stat_set(&master.board.slots[0].servers[1].verdict, BOARD_VERDICT(NOW_MS, false));
	wait(0, 1, 6000);
	waits_watch_second(&watch, &master, NOW_MS);
	ck_assert_uint_eq(said(), 0);
}
END_TEST

UNIT_TESTS("waits_watch", tcase_add_checked_fixture(tests, setup, teardown);
	   tcase_add_test(tests, a_short_wait_is_nobodys_trouble);
	   tcase_add_test(tests, a_long_wait_is_told_once_with_its_reason_and_its_end);
	   tcase_add_test(tests, one_client_at_a_full_server_is_told_what_to_raise);
	   tcase_add_test(tests, that_all_are_down_is_told_by_others);)
