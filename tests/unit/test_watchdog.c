#include "master/watchdog.h"

#include "common/defs.h"
#include "tests/unit/run.h"

#define HANG_MS 5000

/* One episode: no stamp moves from time 0 on; at each look the process is in `states[look]` (the
 * last letter repeats) and has got `cpu_percent` of the time. */
static const struct {
	const char *states;
	int cpu_percent;
	int64_t until_ms;
	enum watchdog_verdict verdict; /* at that time */
} episodes[] = {
	{"T", 0, 4500, WATCHDOG_WAIT},
	{"T", 0, 5000, WATCHDOG_HUNG},
	{"S", 0, 5000, WATCHDOG_HUNG},
	{"D", 0, 5000, WATCHDOG_HUNG},
	{"S", 10, 5000, WATCHDOG_HUNG},
	{"R", 100, 4500, WATCHDOG_WAIT},
	{"R", 100, 5000, WATCHDOG_LOOPING},
	{"R", 30, 5000, WATCHDOG_LOOPING},
	{"R", 20, 5000, WATCHDOG_STARVED},
	{"R", 20, 7000, WATCHDOG_LOOPING},
	{"R", 5, 5000, WATCHDOG_STARVED},
	{"R", 5, 20000, WATCHDOG_STARVED},
	{"R", 0, 600000, WATCHDOG_STARVED},
	{"RRRRRRRRRS", 5, 5000, WATCHDOG_WAIT},
	{"RRRRRRRRRSS", 5, 5500, WATCHDOG_HUNG},
	{"RRRRRRRRRSRSRSR", 5, 7500, WATCHDOG_STARVED},
	{"SRSRSRSRSRSRSRSRSR", 60, 8000, WATCHDOG_LOOPING},
	{"t", 0, 60000, WATCHDOG_TRACED},
	{"Z", 0, 500, WATCHDOG_DEAD},
};

START_TEST(watchdog_tells_hung_from_starved)
{
	struct watchdog watchdog;
	const char *state = episodes[_i].states;
	enum watchdog_verdict verdict = WATCHDOG_WAIT;
	int64_t now;

	watchdog_begin(&watchdog, 77, 0);
	for (now = WATCHDOG_CHECK_MS; now <= episodes[_i].until_ms; now += WATCHDOG_CHECK_MS) {
		struct watchdog_sample sample = {
			*state, 1234 + now * episodes[_i].cpu_percent / 100};

		ck_assert(watchdog_is_stale(&watchdog, 77, now, now));
		verdict = watchdog_judge(&watchdog, &sample, now, HANG_MS);
		state += state[1] != '\0';
	}
	ck_assert_int_eq(verdict, episodes[_i].verdict);
}
END_TEST

START_TEST(watchdog_asks_nothing_of_a_worker_that_moves)
{
	struct watchdog watchdog;
	int64_t now;

	watchdog_begin(&watchdog, 0, 0);
	for (now = 500; now < 60000; now += 500) {
		ck_assert(!watchdog_is_stale(&watchdog, 900000 + now, 90, now));
	}
}
END_TEST

START_TEST(watchdog_forgets_an_episode_once_the_stamp_moves)
{
	struct watchdog watchdog;
	struct watchdog_sample blocked = {'S', 0};

	watchdog_begin(&watchdog, 1, 0);
	ck_assert(watchdog_is_stale(&watchdog, 1, 0, 4900));
	ck_assert_int_eq(watchdog_judge(&watchdog, &blocked, 4900, HANG_MS), WATCHDOG_WAIT);
	ck_assert(!watchdog_is_stale(&watchdog, 2, 0, 5100));
	ck_assert(watchdog_is_stale(&watchdog, 2, 4000, 9100));
	ck_assert_int_eq(watchdog_judge(&watchdog, &blocked, 9100, HANG_MS), WATCHDOG_WAIT);
}
END_TEST

static const struct {
	int64_t age_ms, silence_ms; /* at a look 500 ms after the one before */
} ages[] = {
	{0, 0},
	{130, 130},
	{500, 500},
	{-20, 0},       /* a stamp from the future */
	{3600000, 500}, /* a stamp that claims to be old */
	{INT64_MIN, 0}, /* nonsense */
	{INT64_MAX, 500},
};

START_TEST(watchdog_believes_the_age_of_a_stamp_only_between_two_looks)
{
	struct watchdog watchdog;

	watchdog_begin(&watchdog, 1, 0);
	(void)watchdog_is_stale(&watchdog, 2, 0, 1000);
	(void)watchdog_is_stale(&watchdog, 3, ages[_i].age_ms, 1500);
	ck_assert_int_eq(watchdog_silence_ms(&watchdog, 1500), ages[_i].silence_ms);
}
END_TEST

START_TEST(watchdog_does_not_take_cpu_time_before_the_episode_for_a_loop)
{
	struct watchdog watchdog;
	struct watchdog_sample starved = {'R', 36000000};
	int64_t now;

	watchdog_begin(&watchdog, 1, 0);
	for (now = 500; now <= 6000; now += 500) {
		ck_assert(watchdog_is_stale(&watchdog, 1, now, now));
		ck_assert_int_ne(
			watchdog_judge(&watchdog, &starved, now, HANG_MS), WATCHDOG_LOOPING);
	}
	ck_assert_int_eq(watchdog_cpu_ms(&watchdog, &starved), 0);
}
END_TEST

UNIT_TESTS("watchdog", tcase_add_loop_test(tests, watchdog_tells_hung_from_starved, 0,
			       (int)ARRAY_LEN(episodes));
	   tcase_add_test(tests, watchdog_asks_nothing_of_a_worker_that_moves);
	   tcase_add_test(tests, watchdog_forgets_an_episode_once_the_stamp_moves);
	   tcase_add_loop_test(tests, watchdog_believes_the_age_of_a_stamp_only_between_two_looks,
		   0, (int)ARRAY_LEN(ages));
	   tcase_add_test(tests, watchdog_does_not_take_cpu_time_before_the_episode_for_a_loop);)
