#include "master/supervisor.h"

#include <string.h>

#include "common/defs.h"
#include "master/slots.h"
#include "tests/unit/run.h"

#define NOW 100000

/* A table as letters, one a slot: E empty, W empty and waiting until NOW + 700, S starting,
 * R ready, D draining, A aborting, K killed, X stuck; of the program before an upgrade 1 starting,
 * 2 ready, 3 draining, 4 aborting, 5 killed; small d, a, k, s, r: its deadline has come,
 * and for all others with a process it is at NOW + 2000. */
static const struct {
	const char *table;
	unsigned wanted;
	enum supervisor_verb verb;
	int slot;
	int64_t again_ms; /* from NOW */
} cases[] = {
	/* start and restart */
	{"EEEE", 3, SUPERVISOR_START, 0, 0}, {"SEEE", 3, SUPERVISOR_START, 1, 0},
	{"RERR", 4, SUPERVISOR_START, 1, 0}, {"RRRR", 4, SUPERVISOR_NOTHING, -1, 2000},
	{"EEEE", 0, SUPERVISOR_NOTHING, -1, INT64_MAX},
	/* a slot that waits keeps its place: no other slot is taken in its stead */
	{"RWRE", 3, SUPERVISOR_NOTHING, -1, 700}, {"RWRE", 4, SUPERVISOR_START, 3, 0},
	{"WWWW", 4, SUPERVISOR_NOTHING, -1, 700},
	/* surplus: the highest go, and those that go already do not count */
	{"RRRR", 3, SUPERVISOR_DRAIN, 3, 0}, {"RRSE", 1, SUPERVISOR_DRAIN, 2, 0},
	{"RRRD", 3, SUPERVISOR_NOTHING, -1, 2000}, {"RRRD", 4, SUPERVISOR_START, 4, 0},
	{"RRDD", 2, SUPERVISOR_NOTHING, -1, 2000}, {"RRRR", 0, SUPERVISOR_DRAIN, 3, 0},
	/* those being ended by force keep their place, and never make another one surplus */
	{"RAR", 3, SUPERVISOR_NOTHING, -1, 2000}, {"RKR", 3, SUPERVISOR_NOTHING, -1, 2000},
	{"RRK", 2, SUPERVISOR_NOTHING, -1, 2000}, {"RAR", 2, SUPERVISOR_NOTHING, -1, 2000},
	/* one that cannot die is replaced in another slot */
	{"RXR", 3, SUPERVISOR_START, 3, 0}, {"RXRR", 3, SUPERVISOR_NOTHING, -1, 2000},
	{"XXXX", 1, SUPERVISOR_START, 4, 0},
	/* after an upgrade: the new ones are started beside the old, which go when all of them
	   serve */
	{"22EE", 2, SUPERVISOR_START, 2, 0}, {"22SE", 2, SUPERVISOR_START, 3, 0},
	{"22SS", 2, SUPERVISOR_NOTHING, -1, 2000}, {"22SR", 2, SUPERVISOR_NOTHING, -1, 2000},
	{"22RR", 2, SUPERVISOR_DRAIN, 0, 0}, {"32RR", 2, SUPERVISOR_DRAIN, 1, 0},
	{"33RR", 2, SUPERVISOR_NOTHING, -1, 2000}, {"12RR", 2, SUPERVISOR_DRAIN, 0, 0},
	/* new ones that do not start cost no old one; nor is an old one started or surplus */
	{"22WW", 2, SUPERVISOR_NOTHING, -1, 700}, {"22RW", 2, SUPERVISOR_NOTHING, -1, 700},
	{"2ERR", 2, SUPERVISOR_DRAIN, 0, 0}, {"222R", 1, SUPERVISOR_DRAIN, 0, 0},
	{"2222", 1, SUPERVISOR_START, 4, 0}, {"45RS", 2, SUPERVISOR_NOTHING, -1, 2000},
	{"45EE", 2, SUPERVISOR_START, 2, 0}, {"RR2R", 2, SUPERVISOR_DRAIN, 3, 0},
	/* time is over */
	{"RdR", 2, SUPERVISOR_KILL, 1, 0}, {"RaR", 3, SUPERVISOR_KILL, 1, 0},
	{"RkR", 3, SUPERVISOR_GIVE_UP, 1, 0}, {"RsR", 3, SUPERVISOR_KILL, 1, 0},
	{"RrR", 3, SUPERVISOR_KILL, 1, 0}, {"ERd", 3, SUPERVISOR_KILL, 2, 0}, /* before a start */
};

static struct slots slots; /* too large for the stack */

static void
fill(const char *table)
{
	static const char letters[SLOT_STATE_COUNT + 1] = "ESRDAKX";
	size_t i;

	memset(&slots, 0, sizeof(slots));
	for (i = 0; table[i] != '\0'; i++) {
		struct slot *slot = &slots.at[i];
		char letter = table[i];
		bool is_over = strchr("darsk", letter) != NULL;

		if (letter >= '1' && letter <= '5') {
			slot->is_old = true;
			letter = "SRDAK"[letter - '1'];
		}
		if (letter == 'W') {
			slot->backoff.not_before_ms = NOW + 700;
			continue;
		}
		letter = (char)(is_over ? letter - 'a' + 'A' : letter);
		slot->state = (enum slot_state)(strchr(letters, letter) - letters);
		slot->deadline_ms = is_over ? NOW : NOW + 2000;
		if (slot->state == SLOT_EMPTY || slot->state == SLOT_STUCK) {
			slot->deadline_ms = SLOTS_NO_DEADLINE;
		}
		slots.used = (unsigned)i + 1;
	}
}

START_TEST(supervisor_says_the_next_step)
{
	struct supervisor_step step;

	fill(cases[_i].table);
	step = supervisor_next(&slots, cases[_i].wanted, NOW);
	ck_assert_int_eq(step.verb, cases[_i].verb);
	ck_assert_int_eq(step.slot, cases[_i].slot);
	if (step.verb == SUPERVISOR_NOTHING) {
		ck_assert_int_eq(step.again_ms,
			cases[_i].again_ms == INT64_MAX ? INT64_MAX : NOW + cases[_i].again_ms);
	} else {
		ck_assert_ptr_nonnull(step.reason);
	}
}
END_TEST

START_TEST(supervisor_starts_when_the_wait_is_over)
{
	struct supervisor_step step;

	fill("RWR");
	step = supervisor_next(&slots, 3, NOW + 699);
	ck_assert_int_eq(step.verb, SUPERVISOR_NOTHING);
	step = supervisor_next(&slots, 3, NOW + 700);
	ck_assert_int_eq(step.verb, SUPERVISOR_START);
	ck_assert_int_eq(step.slot, 1);
}
END_TEST

START_TEST(supervisor_has_no_slot_beyond_the_board)
{
	struct supervisor_step step;
	size_t i;

	fill("");
	for (i = 0; i < BOARD_SLOTS; i++) {
		slots.at[i].state = SLOT_STUCK;
		slots.at[i].deadline_ms = SLOTS_NO_DEADLINE;
	}
	slots.used = BOARD_SLOTS;
	step = supervisor_next(&slots, 1, NOW);
	ck_assert_int_eq(step.verb, SUPERVISOR_NOTHING);
}
END_TEST

UNIT_TESTS("supervisor",
	   tcase_add_loop_test(tests, supervisor_says_the_next_step, 0, (int)ARRAY_LEN(cases));
	   tcase_add_test(tests, supervisor_starts_when_the_wait_is_over);
	   tcase_add_test(tests, supervisor_has_no_slot_beyond_the_board);)
