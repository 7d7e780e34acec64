#include "master/slots.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/defs.h"
#include "tests/unit/run.h"

/* From each state (row) to each (column), in the order of enum slot_state. */
static const char *const legal[SLOT_STATE_COUNT] = {
	[SLOT_EMPTY] = ".S.....",
	[SLOT_STARTING] = "E.RDAK.",
	[SLOT_READY] = "E..DAK.",
	[SLOT_DRAINING] = "E...AK.",
	[SLOT_ABORTING] = "E....K.",
	[SLOT_KILLED] = "E.....X",
	[SLOT_STUCK] = "E......",
};

static struct slots slots; /* too large for the stack */

START_TEST(slots_allow_these_steps_and_no_others)
{
	int to;

	for (to = 0; to < SLOT_STATE_COUNT; to++) {
		ck_assert_msg(slot_may_enter((enum slot_state)_i, (enum slot_state)to) ==
				      (legal[_i][to] != '.'),
			"%s to %s", slot_state_name((enum slot_state)_i),
			slot_state_name((enum slot_state)to));
	}
}
END_TEST

START_TEST(slots_stop_the_program_at_an_illegal_step)
{
	slots_init(&slots, NULL, NULL);
	slot_enter(&slots, 3, SLOT_READY, "never started");
}
END_TEST

static char steps[256];

static void
note_step(void *context, int slot, enum slot_state from, enum slot_state to, const char *reason)
{
	ck_assert_ptr_eq(context, steps);
	(void)sprintf(steps + strlen(steps), "slot %d: %s to %s (%s)\n", slot,
		slot_state_name(from), slot_state_name(to), reason);
}

START_TEST(slots_tell_each_step_with_its_reason)
{
	slots_init(&slots, note_step, steps);
	slot_begin(&slots, 2, 4711, 100);
	slot_enter(&slots, 2, SLOT_READY, "it says so");
	slot_enter(&slots, 2, SLOT_DRAINING, "reload");
	slot_enter(&slots, 2, SLOT_EMPTY, "finished");
	ck_assert_str_eq(steps, "slot 2: empty to starting (born)\n"
				"slot 2: starting to ready (it says so)\n"
				"slot 2: ready to draining (reload)\n"
				"slot 2: draining to empty (finished)\n");
}
END_TEST

START_TEST(slots_forget_the_process_but_not_the_failures_of_an_emptied_slot)
{
	slots_init(&slots, NULL, NULL);
	slot_begin(&slots, 2, 4711, 100);
	slots.at[2].backoff.failures = 4;
	slots.at[2].generation = 9;
	slots.at[2].deadline_ms = 5;
	ck_assert_int_eq(slots_find_by_pid(&slots, 4711), 2);
	slot_enter(&slots, 2, SLOT_EMPTY, "crash");
	ck_assert_int_eq(slots_find_by_pid(&slots, 4711), -1);
	ck_assert_int_eq(slots_find_by_pid(&slots, 0), -1);
	ck_assert_uint_eq(slots.at[2].generation, 0);
	ck_assert_int_eq(slots.at[2].deadline_ms, SLOTS_NO_DEADLINE);
	ck_assert_uint_eq(slots.at[2].backoff.failures, 4);
	ck_assert_uint_eq(slots.used, 3);
}
END_TEST

UNIT_TESTS("slots",
	   tcase_add_loop_test(tests, slots_allow_these_steps_and_no_others, 0, SLOT_STATE_COUNT);
	   tcase_add_test_raise_signal(tests, slots_stop_the_program_at_an_illegal_step, SIGABRT);
	   tcase_add_test(tests, slots_tell_each_step_with_its_reason);
	   tcase_add_test(tests, slots_forget_the_process_but_not_the_failures_of_an_emptied_slot);)
