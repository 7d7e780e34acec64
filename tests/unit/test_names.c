#include "master/names.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/board.h"
#include "common/channel.h"
#include "common/config.h"
#include "common/fault.h"
#include "master/backend_rows.h"
#include "master/backends.h"
#include "master/master.h"
#include "tests/unit/board_help.h"
#include "tests/unit/place_help.h"
#include "tests/unit/run.h"

#define PLACES 3

static struct master master;

static void
use(const char *servers)
{
	static struct findings findings;
	char text[1024];
	struct fault why;

	config_free(&master.config);
	memset(&findings, 0, sizeof(findings));
	(void)snprintf(text, sizeof(text),
		"listeners = ( { name = \"l\"; address = [ \"127.0.0.1:80\", \"127.0.0.9:81\" ]; "
		"protocol = \"proxy\"; upstream = \"u\"; } );"
		"upstreams = ( { name = \"u\"; servers = ( %s ); } );",
		servers);
	ck_assert_msg(config_load_text(text, "t.conf", &master.config, &findings) == 0, "%s",
		findings.items[0].text);
	ck_assert_int_eq(backend_rows_check(&master.board, master.config, UINT64_MAX, &why), 0);
	backends_use(&master.board, master.config, UINT64_MAX);
}

static void
setup(void)
{
	help_create_board(&master.board, 0);
	master.generation = 5;
	use("{ name = \"j\"; address = \"java:80\"; addresses = 3; }, "
	    "{ name = \"p\"; address = \"10.0.0.1:80\"; }, "
	    "{ name = \"s\"; address = \"srv:java\"; addresses = 3; }");
}

static void
teardown(void)
{
	config_free(&master.config);
	board_detach(&master.board);
}

static struct channel_answer
answer_of(uint32_t server, const char *places)
{
	struct channel_answer answer = {
		.generation = 5, .server = server, .next_ms = 1000, .asked = "10.0.0.53:53"};

	answer.count = answer.found = (uint32_t)help_places(places, answer.places);
	return answer;
}

static int
row_of(const char *name)
{
	int row = board_find_server(&master.board, board_find_upstream(&master.board, "u"), name);

	ck_assert_int_ge(row, 0);
	return row;
}

static const char *
shown(const char *server)
{
	static char buffer[64];
	struct board_place places[PLACES];
	char name[32];

	for (int i = 0; i < PLACES; i++) {
		(void)snprintf(name, sizeof(name), "%s/%d", server, i + 1);
		board_read_place(&master.board, row_of(name), &places[i]);
	}
	return help_show(places, PLACES, buffer, sizeof(buffer));
}

static uint64_t
counted(enum stat_master_index index)
{
	return stat_get(&master.board.master->stats[index]);
}

/* The last event of the ring. */
static const char *
said(void)
{
	static struct board_event event;
	uint64_t last = atomic_load(&master.board.writable->last_event);

	ck_assert_int_eq(board_read_event(&master.board, last, &event), 0);
	return event.text;
}

static bool
has_said(const char *words)
{
	static struct board_event event;
	uint64_t last = atomic_load(&master.board.writable->last_event);

	for (uint64_t number = 1; number <= last; number++) {
		if (board_read_event(&master.board, number, &event) == 0 &&
			strstr(event.text, words) != NULL) {
			return true;
		}
	}
	return false;
}

static uint64_t
events(void)
{
	return atomic_load(&master.board.writable->last_event);
}

static void
take(const struct channel_answer *answer)
{
	ck_assert_int_eq(names_take(&master, answer), 0);
}

START_TEST(an_answer_is_put_into_places_and_told_once)
{
	struct channel_answer answer = answer_of(0, "7 8");
	uint64_t before;

	take(&answer);
	ck_assert_str_eq(shown("j"), "7 8 .");
	ck_assert_str_eq(said(), "upstream u: java:80 is now 10.0.0.7:80, 10.0.0.8:80");
	before = events();
	answer = answer_of(0, "8 7");
	take(&answer);
	ck_assert_uint_eq(events(), before);
	answer = answer_of(0, "8 9");
	take(&answer);
	ck_assert_str_eq(shown("j"), "-7 8 9");
	ck_assert_str_eq(said(), "upstream u: java:80 is now 10.0.0.8:80, 10.0.0.9:80; no more "
				 "clients for 10.0.0.7:80, whose sessions go on");
	ck_assert_uint_eq(counted(STAT_MASTER_lookups), 3);
	ck_assert_uint_eq(counted(STAT_MASTER_addresses_changed), 3);
}
END_TEST

START_TEST(a_failure_keeps_the_last_answer_and_is_told_when_it_begins_and_ends)
{
	struct channel_answer answer = answer_of(0, "7"), nothing = answer_of(0, "");
	uint64_t before;

	take(&answer);
	nothing.failure = LOOKUP_TIMEOUT;
	take(&nothing);
	ck_assert_ptr_nonnull(strstr(said(), "cannot look up java:80: no answer in time (asked: "
					     "10.0.0.53:53); in use stays 10.0.0.7:80, the answer "
					     "of "));
	before = events();
	nothing.failure = LOOKUP_NO_NAME;
	take(&nothing);
	ck_assert_uint_eq(events(), before);
	ck_assert_str_eq(shown("j"), "7 . .");
	take(&answer);
	ck_assert_str_eq(said(), "upstream u: java:80 can be looked up again");
	ck_assert_uint_eq(counted(STAT_MASTER_lookups_failed), 2);
}
END_TEST

START_TEST(a_part_that_failed_is_told_once_and_the_rest_is_used)
{
	struct channel_answer answer = answer_of(0, "7");
	uint64_t before;

	answer.failure = LOOKUP_REFUSED;
	take(&answer);
	ck_assert_str_eq(shown("j"), "7 . .");
	ck_assert_ptr_nonnull(strstr(said(), "a part of the answer for java:80 is missing"));
	before = events();
	take(&answer);
	ck_assert_uint_eq(events(), before);
	ck_assert_uint_eq(counted(STAT_MASTER_lookups_failed), 0);
}
END_TEST

/* Addresses that are no back end's. */
static const struct {
	const char *host; /* as 16 bytes in hexadecimal */
	uint16_t port;
	const char *words;
} insane[] = {
	{"00000000000000000000ffff00000000", 80, "not the address of one machine"},
	{"00000000000000000000ffff00000001", 80, "not the address of one machine"},
	{"00000000000000000000ffffe0000001", 80, "not the address of one machine"},
	{"00000000000000000000ffffffffffff", 80, "not the address of one machine"},
	{"00000000000000000000000000000000", 80, "not the address of one machine"},
	{"ff020000000000000000000000000001", 80, "not the address of one machine"},
	{"fe800000000000000000000000000001", 80, "not the address of one machine"},
	{"0000000000000000000000000a000007", 80, "not the address of one machine"},
	{"00000000000000000000ffff0a000007", 81, "its port is not the one to use"},
	{"00000000000000000000ffff7f000001", 80, "it is listener l itself"},
};

START_TEST(an_address_that_makes_no_sense_is_refused)
{
	struct channel_answer answer = answer_of(0, "7 8");

	for (size_t i = 0; i < 16; i++) {
		unsigned byte;

		ck_assert_int_eq(sscanf(insane[_i].host + 2 * i, "%2x", &byte), 1);
		answer.places[0].host.s6_addr[i] = (unsigned char)byte;
	}
	answer.places[0].port = insane[_i].port;
	take(&answer);
	ck_assert_str_eq(shown("j"), "8 . .");
	ck_assert_uint_eq(counted(STAT_MASTER_addresses_refused), 1);
	ck_assert(has_said(insane[_i].words));
	answer.count = answer.found = 1; /* and when nothing else is left, the last answer holds */
	take(&answer);
	ck_assert_str_eq(shown("j"), "8 . .");
	ck_assert_uint_eq(counted(STAT_MASTER_lookups_failed), 1);
}
END_TEST

START_TEST(records_may_say_another_port_but_no_listener_of_ours)
{
	struct channel_answer answer = answer_of(2, "7 8");

	answer.places[0].port = 8080;
	answer.places[0].weight = 1000; /* no sound monitor says so */
	answer.places[1].host.s6_addr[12] = 127;
	answer.places[1].host.s6_addr[15] = 9;
	answer.places[1].port = 81;
	take(&answer);
	ck_assert_str_eq(shown("s"), "7 . .");
	board_read_place(&master.board, row_of("s/1"), &answer.places[0]);
	ck_assert_uint_eq(answer.places[0].port, 8080);
	ck_assert_uint_eq(answer.places[0].weight, 256);
}
END_TEST

START_TEST(doubles_take_one_place)
{
	struct channel_answer answer = answer_of(0, "7 7 7");

	take(&answer);
	ck_assert_str_eq(shown("j"), "7 . .");
}
END_TEST

START_TEST(a_surplus_is_told)
{
	struct channel_answer answer = answer_of(0, "7 8 9");
	uint64_t before;

	answer.found = 1000;
	take(&answer);
	ck_assert_ptr_nonnull(
		strstr(said(), "java:80 has 1000 addresses, of which 3 are used; raise "
			       "'addresses'"));
	before = events();
	take(&answer);
	ck_assert_uint_eq(events(), before);
}
END_TEST

START_TEST(what_no_sound_monitor_says_ends_it)
{
	struct channel_answer answer = answer_of(0, "6 7 8 9");

	ck_assert_int_eq(names_take(&master, &answer), -EPROTO); /* more than places */
	answer = answer_of(1, "7");
	ck_assert_int_eq(names_take(&master, &answer), -EPROTO); /* it is no name */
	answer = answer_of(3, "7");
	ck_assert_int_eq(names_take(&master, &answer), -EPROTO); /* there is none */
	answer = answer_of(0xffffffff, "7");
	ck_assert_int_eq(names_take(&master, &answer), -EPROTO);
	ck_assert_str_eq(shown("j"), ". . .");
}
END_TEST

START_TEST(an_answer_for_another_configuration_is_dropped)
{
	struct channel_answer answer = answer_of(77, "6 7 8 9");

	answer.generation = 4;
	take(&answer);
	ck_assert_str_eq(shown("j"), ". . .");
	ck_assert_uint_eq(counted(STAT_MASTER_lookups), 0);
}
END_TEST

START_TEST(a_reload_keeps_the_places_while_the_name_stays)
{
	struct channel_answer answer = answer_of(0, "7 8");

	take(&answer);
	use("{ name = \"x\"; address = \"10.0.0.2:80\"; }, "
	    "{ name = \"j\"; address = \"java:80\"; addresses = 3; weight = 7; }");
	ck_assert_str_eq(shown("j"), "7 8 .");
	use("{ name = \"j\"; address = \"tomcat:80\"; addresses = 3; }");
	ck_assert_str_eq(shown("j"), ". . .");
}
END_TEST

START_TEST(a_new_address_voids_what_was_found_out_about_the_one_before)
{
	struct channel_answer answer = answer_of(0, "7 8 9");
	int row = row_of("j/1");

	take(&answer);
	board_open_slot(&master.board, 0);
	stat_set(&master.board.slots[0].servers[row].verdict,
		BOARD_VERDICT(stat_get(&master.board.master->servers[row].placed_ms) + 0, false));
	ck_assert_uint_ne(board_server_verdict(&master.board, row), 0);
	usleep(2000); /* the clock of verdicts counts milliseconds */
	answer = answer_of(0, "8 9 5");
	take(&answer);
	ck_assert_str_eq(shown("j"), "5 8 9");
	ck_assert_uint_eq(board_server_verdict(&master.board, row), 0);
}
END_TEST

START_TEST(an_order_to_a_place_ends_with_its_address_and_one_to_the_name_does_not)
{
	struct channel_answer answer = answer_of(0, "7 8 9");
	const struct board_server_head *heads = master.board.master->servers;
	char text[128];

	take(&answer);
	ck_assert_int_eq(backends_order(&master.board, "u/j/1 drain", text, sizeof(text)), 0);
	ck_assert_str_eq(text, "back end u/j/1 (10.0.0.7:80): drain");
	ck_assert_uint_eq(heads[row_of("j/1")].is_drained, 1);
	ck_assert_uint_eq(heads[row_of("j/2")].is_drained, 0);
	answer = answer_of(0, "5 8 9");
	take(&answer);
	ck_assert_uint_eq(heads[row_of("j/1")].is_drained, 0);
	ck_assert_int_eq(backends_order(&master.board, "j weight 9", text, sizeof(text)), 0);
	ck_assert_str_eq(text, "back end j, each of its 3 places: weight 9");
	answer = answer_of(0, "4 8 9");
	take(&answer);
	ck_assert_uint_eq(stat_get(&heads[row_of("j/1")].weight), 10);
	ck_assert_int_eq(backends_order(&master.board, "j/4 drain", text, sizeof(text)), -ENOENT);
}
END_TEST

UNIT_TESTS(
	"names", tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, an_answer_is_put_into_places_and_told_once);
	tcase_add_test(tests, a_failure_keeps_the_last_answer_and_is_told_when_it_begins_and_ends);
	tcase_add_test(tests, a_part_that_failed_is_told_once_and_the_rest_is_used);
	tcase_add_loop_test(tests, an_address_that_makes_no_sense_is_refused, 0, ARRAY_LEN(insane));
	tcase_add_test(tests, records_may_say_another_port_but_no_listener_of_ours);
	tcase_add_test(tests, doubles_take_one_place); tcase_add_test(tests, a_surplus_is_told);
	tcase_add_test(tests, what_no_sound_monitor_says_ends_it);
	tcase_add_test(tests, an_answer_for_another_configuration_is_dropped);
	tcase_add_test(tests, a_reload_keeps_the_places_while_the_name_stays);
	tcase_add_test(tests, a_new_address_voids_what_was_found_out_about_the_one_before);
	tcase_add_test(
		tests, an_order_to_a_place_ends_with_its_address_and_one_to_the_name_does_not);)
