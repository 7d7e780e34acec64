#include "master/penalty.h"

#include "common/clock.h"
#include "common/config.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "master/master.h"
#include "tests/unit/run.h"
#include "tests/unit/source_help.h"

static struct network exempt_item;

static struct config
config_with(int64_t penalty_ms, const char *exempt)
{
	struct config config = {.crash_penalty_ms = penalty_ms};

	if (exempt != NULL) {
		ck_assert_int_eq(network_parse(exempt, &exempt_item, NULL), 0);
		config.crash_penalty_exempt = (struct network_list){&exempt_item, 1};
	}
	return config;
}

static const struct {
	const char *peer;
	int64_t penalty_ms;
	const char *exempt;
	bool applies;
} cases[] = {
	{"192.0.2.7", 90000, NULL, true}, {"::ffff:192.0.2.7", 90000, NULL, true},
	{"2001:db8::7", 90000, NULL, true}, {"192.0.2.7", CONFIG_NONE, NULL, false},
	{"unix", 90000, NULL, false}, {"127.0.0.1", 90000, NULL, false},
	{"127.255.0.9", 90000, NULL, false}, {"::ffff:127.0.0.1", 90000, NULL, false},
	{"::1", 90000, NULL, false}, {"::2", 90000, NULL, true},
	{"192.0.2.7", 90000, "192.0.2.0/24", false}, {"192.0.3.7", 90000, "192.0.2.0/24", true},
	{"2001:db8::7", 90000, "2001:db8::/32", false},
	{"198.51.100.1", 90000, NULL, false}, /* a balancer that the listener trusts */
};

START_TEST(it_applies_to_those_who_speak_for_themselves)
{
	struct config config = config_with(cases[_i].penalty_ms, cases[_i].exempt);
	union peer peer = help_peer(cases[_i].peer);
	struct listener_config listener = {0};
	struct network balancers;

	ck_assert_int_eq(network_parse("198.51.100.0/24", &balancers, NULL), 0);
	listener.trusted = (struct network_list){&balancers, 1};
	ck_assert_int_eq(penalty_applies(&config, &listener, &peer), cases[_i].applies);
}
END_TEST

/* A record is written by a worker that was out of its mind. */
static const struct {
	uint32_t is_written;
	int listener;
	bool is_imposed;
} records[] = {
	{1, 0, true},
	{0, 0, false},
	{1, -1, false}, /* it had nobody in hand */
	{1, 1, false},  /* there is no such listener */
	{1, BOARD_LISTENERS, false},
	{1, INT32_MIN, false},
};

START_TEST(only_a_whole_record_is_taken)
{
	static struct master master;
	struct config config = config_with(90000, NULL);
	struct board_crash crash = {.listener = records[_i].listener};
	struct source source;
	struct fault why;

	ck_assert_int_eq(board_create(&master.board, &master.board_memory, &why), 0);
	ck_assert_int_eq(board_listener_index(&master.board, "web"), 0);
	master.config = &config;
	crash.peer = help_peer("192.0.2.7");
	atomic_init(&crash.is_written, records[_i].is_written);
	source = help_source(&master.board, "192.0.2.7", 0);
	penalty_impose(&master, &crash);
	ck_assert_int_eq(board_penalty_left_ms(&master.board, &source, clock_monotonic_ms()) > 0,
		records[_i].is_imposed);
	ck_assert_uint_eq(atomic_load(&master.board.writable->last_event), records[_i].is_imposed);
	board_detach(&master.board);
	descriptor_close(&master.board_memory);
}
END_TEST

/* 90 s for this source at listener web, then a configuration with these. */
static const struct {
	const char *source, *exempt, *trusted;
	int64_t penalty_ms;
	bool stays;
} reviews[] = {
	{"192.0.2.7", "198.51.100.0/24", "203.0.113.1", 90000, true},
	{"192.0.2.7", "198.51.100.0/24", "203.0.113.1", CONFIG_NONE, false},
	{"192.0.2.7", "192.0.2.7", "203.0.113.1", 90000, false},
	{"192.0.2.7", "198.51.100.0/24", "192.0.2.0/24", 90000, false},
	{"192.0.2.7", "192.0.2.6", "::/0", 90000, true},
	{"2001:db8::7", "2001:db8::/32", "203.0.113.1", 90000, false},
	{"2001:db8::7", "2001:db8::9", "203.0.113.1", 90000, false}, /* of the same /64 */
	{"2001:db8::7", "2001:db8:0:1::/64", "203.0.113.1", 90000, true},
	{"2001:db8::7", "0.0.0.0/0", "203.0.113.1", 90000, true},
};

START_TEST(a_reload_lifts_what_it_would_not_impose)
{
	static struct master master;
	static char name[] = "web";
	struct config config = config_with(reviews[_i].penalty_ms, reviews[_i].exempt);
	struct listener_config listener = {.name = name};
	struct network balancers;
	struct source source;
	struct fault why;

	ck_assert_int_eq(network_parse(reviews[_i].trusted, &balancers, NULL), 0);
	listener.trusted = (struct network_list){&balancers, 1};
	config.listeners = &listener;
	config.listener_count = 1;
	master.config = &config;
	ck_assert_int_eq(board_create(&master.board, &master.board_memory, &why), 0);
	ck_assert_int_eq(board_listener_index(&master.board, name), 0);
	source = help_source(&master.board, reviews[_i].source, 0);
	board_penalise(&master.board, &source, 90000);
	penalty_review(&master);
	ck_assert_int_eq(board_penalty_left_ms(&master.board, &source, 0) > 0, reviews[_i].stays);
	board_detach(&master.board);
	descriptor_close(&master.board_memory);
}
END_TEST

UNIT_TESTS(
	"penalty", tcase_add_loop_test(tests, it_applies_to_those_who_speak_for_themselves, 0,
			   ARRAY_LEN(cases));
	tcase_add_loop_test(tests, a_reload_lifts_what_it_would_not_impose, 0, ARRAY_LEN(reviews));
	tcase_add_loop_test(tests, only_a_whole_record_is_taken, 0, ARRAY_LEN(records));)
