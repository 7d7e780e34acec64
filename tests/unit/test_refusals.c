#include "master/refusals.h"

#include "common/sources.h"
#include "common/text.h"
#include "tests/unit/run.h"

static const struct source worst = {.prefix = 0x0a000009};

static const struct {
	struct refusals refusals;
	const char *sentence;
} sentences[] = {
	{{"web", 10000, .limit = 312, .max_connections = 100, .worst = &worst, .worst_refused = 300,
		 .worst_open = 100},
		"listener web: 312 clients refused in 10 s: 312 at max_connections_per_source "
		"(100); most often 10.0.0.9: 300 in the last 10 s, it has 100 connections; raise "
		"the limit, or put the network in deny; acceptctl sources shows more"},
	{{"web", 1000, .limit = 1, .rate = 2, .penalty = 3, .max_connections = 1, .per_second = 5,
		 .worst = &worst, .worst_refused = 2, .worst_open = 1},
		"listener web: 6 clients refused in 1.0 s: 1 at max_connections_per_source (1), 2 "
		"at connection_rate_per_source (5), 3 because a worker crashed over their source "
		"(crash_penalty); most often 10.0.0.9: 2 in the last 10 s, it has 1 connection; "
		"raise the limit, or put the network in deny; acceptctl sources shows more"},
	{{"web", 1000, .penalty = 1},
		"listener web: 1 client refused in 1.0 s: 1 because a worker crashed over their "
		"source (crash_penalty)"},
	/* a reload took the limit away meanwhile, and the source is out of the table */
	{{"web", 1000, .rate = 1},
		"listener web: 1 client refused in 1.0 s: 1 at connection_rate_per_source; raise "
		"the limit, or put the network in deny; acceptctl sources shows more"},
};

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
			       ARRAY_LEN(sentences));)
