#include "master/diagnosis.h"

#include <string.h>

#include "common/text.h"
#include "tests/unit/run.h"

/* A queue of 128 that overflowed for 1.2 s while 4 workers did their best. */
static struct overflow_evidence
plain(void)
{
	return (struct overflow_evidence){.listener = "front",
		.is_over = true,
		.duration_ms = 1200,
		.limit = 128,
		.asked = 128,
		.somaxconn = 4096,
		.dropped_segments = 412,
		.busiest_second = 290,
		.accepted = 5000,
		.serving = 4,
		.max_connections = 100000,
		.stuck_worker = -1,
		.slow_worker = -1};
}

static const char *
say(const struct overflow_evidence *evidence)
{
	static char buffer[900];
	struct text sentence;

	text_init(&sentence, buffer, sizeof(buffer));
	diagnosis_of_overflow(evidence, &sentence);
	ck_assert(!sentence.is_cut);
	return buffer;
}

#define ASSERT_SAYS(evidence, part)                                                                \
	ck_assert_msg(strstr(say(evidence), part) != NULL, "'%s' lacks '%s'", say(evidence), part)

START_TEST(a_cut_limit_is_named_with_its_command)
{
	struct overflow_evidence evidence = plain();

	evidence.asked = 65535;
	evidence.somaxconn = 128;
	ck_assert_str_eq(say(&evidence),
		"listener front: accept queue full for 1.2 s (limit 128 = net.core.somaxconn, "
		"65535 "
		"asked for): 412 segments dropped, at least 290 clients delayed by 1 s or more; "
		"run: "
		"sysctl -w net.core.somaxconn=65535, then acceptctl reload");
}
END_TEST

START_TEST(workers_that_do_their_best_mean_a_longer_backlog)
{
	struct overflow_evidence evidence = plain();

	ASSERT_SAYS(&evidence, "4 workers accepted 5000 meanwhile and did not keep up: raise the "
			       "listener's backlog above 128");
}
END_TEST

START_TEST(a_burst_that_was_over_at_once_blames_no_worker)
{
	struct overflow_evidence evidence = plain();

	evidence.accepted = 0;
	ASSERT_SAYS(&evidence, "more clients came at once than the queue holds: raise the "
			       "listener's backlog above 128");
}
END_TEST

START_TEST(a_stuck_worker_shadows_every_other_cause)
{
	struct overflow_evidence evidence = plain();

	evidence.asked = 65535;
	evidence.paused_limit = 2;
	evidence.stuck_worker = 3;
	evidence.stuck_pid = 77;
	evidence.stuck_ms = 3200;
	ASSERT_SAYS(&evidence, "worker 3 (pid 77) has made no progress for 3.2 s");
	ck_assert_ptr_null(strstr(say(&evidence), "sysctl"));
}
END_TEST

static const struct {
	unsigned serving, limit, descriptors, trouble;
	const char *part;
} standstills[] = {
	{0, 0, 0, 0, "no worker serves"},
	{4, 4, 0, 0, "4 of 4 workers wait at a connection limit (max_connections = 100000"},
	{4, 1, 2, 0, "2 of 4 workers are out of descriptors; raise the limit of open files"},
	{4, 0, 0, 1, "accept fails in 1 of 4 workers"},
};

START_TEST(workers_that_do_not_accept_are_the_cause)
{
	struct overflow_evidence evidence = plain();

	evidence.serving = standstills[_i].serving;
	evidence.paused_limit = standstills[_i].limit;
	evidence.paused_descriptors = standstills[_i].descriptors;
	evidence.paused_trouble = standstills[_i].trouble;
	ASSERT_SAYS(&evidence, standstills[_i].part);
}
END_TEST

START_TEST(a_slow_turn_is_named_before_a_longer_backlog)
{
	struct overflow_evidence evidence = plain();

	evidence.slow_worker = 1;
	evidence.slow_us = 800000;
	ASSERT_SAYS(&evidence, "worker 1 was busy for 800 ms in one turn of its loop");
}
END_TEST

START_TEST(what_goes_on_is_not_said_to_be_over)
{
	struct overflow_evidence evidence = plain();

	evidence.is_over = false;
	ASSERT_SAYS(&evidence, "accept queue full since 1.2 s");
}
END_TEST

static const struct {
	uint64_t segments, busiest_second;
	int64_t duration_ms;
	uint64_t clients;
} estimates[] = {
	{0, 0, 1000, 0},
	{1, 1, 50, 1},
	{150, 50, 2300, 50},   /* fifty clients at once, each sending three times */
	{600, 300, 3000, 300}, /* a hundred more each second, all of them waiting */
	{11, 1, 134400, 1},    /* one blocking connect (measured) */
	{1000, 0, 900, 1000},
};

START_TEST(segments_are_not_clients)
{
	ck_assert_uint_eq(diagnosis_clients(estimates[_i].segments, estimates[_i].busiest_second,
				  estimates[_i].duration_ms),
		estimates[_i].clients);
}
END_TEST

UNIT_TESTS("diagnosis", tcase_add_test(tests, a_cut_limit_is_named_with_its_command);
	   tcase_add_test(tests, workers_that_do_their_best_mean_a_longer_backlog);
	   tcase_add_test(tests, a_burst_that_was_over_at_once_blames_no_worker);
	   tcase_add_test(tests, a_stuck_worker_shadows_every_other_cause); tcase_add_loop_test(
		   tests, workers_that_do_not_accept_are_the_cause, 0, (int)ARRAY_LEN(standstills));
	   tcase_add_test(tests, a_slow_turn_is_named_before_a_longer_backlog);
	   tcase_add_test(tests, what_goes_on_is_not_said_to_be_over);
	   tcase_add_loop_test(tests, segments_are_not_clients, 0, (int)ARRAY_LEN(estimates));)
