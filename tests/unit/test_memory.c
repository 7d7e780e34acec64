#include "worker/memory.h"

#include "common/defs.h"
#include "tests/unit/run.h"

static const struct {
	const char *what;
	uint64_t most, open;
	int64_t ms_later;
	bool is_time;
} rows[] = {
	{"a crowd has gone", 4000, 0, 0, true},
	{"three of four have gone", 4000, 1000, 0, true},
	{"more than that are there", 4000, 1001, 0, false},
	{"few had come", MEMORY_CROWD - 1, 0, 0, false},
	{"it was done just now", 4000, 0, MEMORY_PAUSE_MS - 1, false},
	{"it was done a while ago", 4000, 0, MEMORY_PAUSE_MS, true},
};

START_TEST(memory_goes_back_when_a_crowd_has_gone)
{
	struct memory memory = {0};
	int64_t now_ms = 1000;

	if (rows[_i].ms_later > 0) {
		memory_note(&memory, MEMORY_CROWD);
		ck_assert(memory_look(&memory, 0, now_ms));
	}
	memory_note(&memory, rows[_i].most);
	ck_assert_msg(
		memory_look(&memory, rows[_i].open, now_ms + rows[_i].ms_later) == rows[_i].is_time,
		"%s", rows[_i].what);
}
END_TEST

/* @return whether it was time after the pause */
static bool
look_later(struct memory *memory, uint64_t open, int64_t *now_ms)
{
	*now_ms += MEMORY_PAUSE_MS;
	return memory_look(memory, open, *now_ms);
}

START_TEST(the_rest_of_a_crowd_gives_back_what_it_held)
{
	struct memory memory = {0};
	int64_t now_ms = 1000;

	memory_note(&memory, 1500);
	ck_assert(memory_look(&memory, 375, now_ms));
	ck_assert(!memory_look(&memory, 0, now_ms + MEMORY_PAUSE_MS - 1)); /* not so soon */
	ck_assert(!look_later(&memory, 94, &now_ms));
	ck_assert(look_later(&memory, 93, &now_ms));
	ck_assert(look_later(&memory, 0, &now_ms));
	ck_assert(!look_later(&memory, 0, &now_ms));
}
END_TEST

START_TEST(who_came_after_a_crowd_is_no_rest_of_it)
{
	struct memory memory = {0};
	int64_t now_ms = 1000;

	memory_note(&memory, 1500);
	ck_assert(memory_look(&memory, 375, now_ms));
	memory_note(&memory, 376);
	ck_assert(!look_later(&memory, 0, &now_ms));
}
END_TEST

UNIT_TESTS("memory", tcase_add_test(tests, the_rest_of_a_crowd_gives_back_what_it_held);
	   tcase_add_test(tests, who_came_after_a_crowd_is_no_rest_of_it);
	   tcase_add_loop_test(tests, memory_goes_back_when_a_crowd_has_gone, 0, ARRAY_LEN(rows));)
