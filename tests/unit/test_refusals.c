#include "master/refusals.h"

#include "common/sources.h"
#include "common/text.h"
#include "tests/unit/run.h"

static const struct source worst = {.prefix = 0x0a000009};

static const struct {
	struct refusals refusals;
	const char *sentence;
} sentences[] = {
	{{"web", 10000, .clients = {[REFUSAL_SOURCE_LIMIT] = 312},
		 .max_connections_per_source = 100, .worst = &worst, .worst_refused = 300,
		 .worst_open = 100},
		"listener web: 312 clients refused in 10 s: 312 at max_connections_per_source "
		"(100); most often 10.0.0.9: 300 in the last 10 s, it has 100 connections; raise "
		"the limit, or put the network in deny; acceptctl sources shows more"},
	{{"web", 1000,
		 .clients = {[REFUSAL_SOURCE_LIMIT] = 1,
			 [REFUSAL_SOURCE_RATE] = 2,
			 [REFUSAL_SOURCE_PENALTY] = 3},
		 .max_connections_per_source = 1, .connection_rate_per_source = 5, .worst = &worst,
		 .worst_refused = 2, .worst_open = 1},
		"listener web: 6 clients refused in 1.0 s: 1 at max_connections_per_source (1), 2 "
		"at connection_rate_per_source (5), 3 because a worker crashed over their source "
		"(crash_penalty); most often 10.0.0.9: 2 in the last 10 s, it has 1 connection; "
		"raise the limit, or put the network in deny; acceptctl sources shows more"},
	{{"web", 1000, .clients = {[REFUSAL_SOURCE_PENALTY] = 1}},
		"listener web: 1 client refused in 1.0 s: 1 because a worker crashed over their "
		"source (crash_penalty)"},
	/* a reload took the limit away meanwhile, and the source is out of the table */
	{{"web", 1000, .clients = {[REFUSAL_SOURCE_RATE] = 1}},
		"listener web: 1 client refused in 1.0 s: 1 at connection_rate_per_source; raise "
		"the limit, or put the network in deny; acceptctl sources shows more"},
	{{"web", 10000, .clients = {[REFUSAL_LIMIT] = 4}},
		"listener web: 4 clients refused in 10 s: 4 at max_connections; raise "
		"max_connections, or let them wait: on_limit = \"wait\""},
	{{"web", 10000,
		 .clients = {[REFUSAL_QUEUE_TIMEOUT] = 15,
			 [REFUSAL_QUEUE_FULL] = 2,
			 [REFUSAL_NO_SERVER] = 3}},
		"listener web: 20 clients refused in 10 s: 15 after queue_timeout, 2 at queue_max, "
		"3 with every server down; acceptctl upstreams shows the servers, raise "
		"max_connections of those that bear more"},
};

static const struct {
	enum refusal first, end;
} groups[] = {{REFUSAL_SOURCE_LIMIT, REFUSAL_LIMIT}, {REFUSAL_LIMIT, REFUSAL_COUNT}};

START_TEST(all_reasons_of_a_group_together_fit_into_an_event)
{
	struct refusals refusals = {.listener = "a_name_of_31_bytes_is_the_longest",
		.duration_ms = 10000,
		.max_connections_per_source = 100000000,
		.connection_rate_per_source = 500000,
		.worst = &worst,
		.worst_refused = 1000000,
		.worst_open = 1000000};
	char buffer[sizeof(((struct board_event *)0)->text)];
	struct text text;

	for (size_t i = groups[_i].first; i < groups[_i].end; i++) {
		refusals.clients[i] = 1000000;
	}
	text_init(&text, buffer, sizeof(buffer));
	refusals_write(&refusals, &text);
	ck_assert_msg(!text.is_cut, "%s", buffer);
}
END_TEST

START_TEST(one_sentence_says_what_why_who_and_what_to_do)
{
	char buffer[500];
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	refusals_write(&sentences[_i].refusals, &text);
	ck_assert(!text.is_cut);
	ck_assert_str_eq(buffer, sentences[_i].sentence);
}
END_TEST

UNIT_TESTS("refusals", tcase_add_loop_test(tests, one_sentence_says_what_why_who_and_what_to_do, 0,
			       ARRAY_LEN(sentences));
	   tcase_add_loop_test(
		   tests, all_reasons_of_a_group_together_fit_into_an_event, 0, ARRAY_LEN(groups));)
