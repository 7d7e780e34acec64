/* Decides who should run. The order of the questions matters: those whose time is over first, then
 * surplus and those of an older program, then starts, so that one turn never starts a worker in
 * order to drain it. */
#include "master/supervisor.h"

#include <stdbool.h>
#include <stddef.h>

#include "master/slots.h"

static struct supervisor_step
supervisor_step_of(enum supervisor_verb verb, int slot, const char *reason)
{
	struct supervisor_step step = {verb, slot, reason, INT64_MAX};

	return step;
}

static struct supervisor_step
supervisor_nothing(int64_t again_ms)
{
	struct supervisor_step step = {SUPERVISOR_NOTHING, -1, NULL, again_ms};

	return step;
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static struct supervisor_step
supervisor_overdue(int slot, enum slot_state state)
{
	switch (state) {
	case SLOT_KILLED:
		return supervisor_step_of(SUPERVISOR_GIVE_UP, slot, "survives SIGKILL");
	case SLOT_DRAINING:
		return supervisor_step_of(SUPERVISOR_KILL, slot, "drain timeout");
	case SLOT_ABORTING:
		return supervisor_step_of(SUPERVISOR_KILL, slot, "did not end on SIGABRT");
	default:
		return supervisor_step_of(SUPERVISOR_KILL, slot, "no answer");
	}
}

/* Whose time is over; otherwise when the next one's will be. */
static struct supervisor_step
supervisor_deadlines(const struct slots *slots, int64_t now_ms)
{
	int64_t again_ms = INT64_MAX;
	unsigned i;

	for (i = 0; i < slots->used; i++) {
		const struct slot *slot = &slots->at[i];

		if (slot->state == SLOT_EMPTY) {
			continue;
		}
		if (slot->deadline_ms <= now_ms) {
			return supervisor_overdue((int)i, slot->state);
		}
		again_ms = earlier(again_ms, slot->deadline_ms);
	}
	return supervisor_nothing(again_ms);
}

/* Workers of the program before an upgrade go when there are as many new ones that serve; until
 * then they serve, whatever becomes of the new ones. */
static struct supervisor_step
supervisor_outdated(const struct slots *slots, unsigned wanted)
{
	unsigned i, serving = 0;

	for (i = 0; i < slots->used; i++) {
		serving += slots->at[i].state == SLOT_READY && !slots->at[i].is_old;
	}
	for (i = 0; serving >= wanted && i < slots->used; i++) {
		if (slot_is_outdated(&slots->at[i])) {
			return supervisor_step_of(
				SUPERVISOR_DRAIN, (int)i, "the program was upgraded");
		}
	}
	return supervisor_nothing(INT64_MAX);
}

/* The highest worker above the number wanted. */
static struct supervisor_step
supervisor_surplus(const struct slots *slots, unsigned wanted)
{
	unsigned working = slots_count_working(slots);
	unsigned i;

	for (i = slots->used; working > wanted && i-- > 0;) {
		if (slot_is_working(&slots->at[i]) && !slots->at[i].is_old) {
			return supervisor_step_of(SUPERVISOR_DRAIN, (int)i, "fewer workers wanted");
		}
	}
	return supervisor_nothing(INT64_MAX);
}

static unsigned
supervisor_count_ending(const struct slots *slots)
{
	unsigned i, count = 0;

	for (i = 0; i < slots->used; i++) {
		enum slot_state state = slots->at[i].state;

		count += (state == SLOT_ABORTING || state == SLOT_KILLED) && !slots->at[i].is_old;
	}
	return count;
}

/* The lowest empty slots take the missing workers, each when its own wait is over. Those being
 * ended by force count as present: their successor takes the same slot a moment later. */
static struct supervisor_step
supervisor_missing(const struct slots *slots, unsigned wanted, int64_t now_ms)
{
	unsigned present = slots_count_working(slots) + supervisor_count_ending(slots);
	int64_t again_ms = INT64_MAX;
	unsigned i;

	for (i = 0; present < wanted && i < BOARD_SLOTS; i++) {
		const struct slot *slot = &slots->at[i];

		if (slot->state != SLOT_EMPTY) {
			continue;
		}
		if (slot->backoff.not_before_ms <= now_ms) {
			return supervisor_step_of(SUPERVISOR_START, (int)i, "wanted");
		}
		again_ms = earlier(again_ms, slot->backoff.not_before_ms);
		present++;
	}
	return supervisor_nothing(again_ms);
}

struct supervisor_step
supervisor_next(const struct slots *slots, unsigned wanted, int64_t now_ms)
{
	struct supervisor_step overdue = supervisor_deadlines(slots, now_ms);
	struct supervisor_step step;

	if (overdue.verb != SUPERVISOR_NOTHING) {
		return overdue;
	}
	step = supervisor_surplus(slots, wanted);
	if (step.verb == SUPERVISOR_NOTHING) {
		step = supervisor_outdated(slots, wanted);
	}
	if (step.verb != SUPERVISOR_NOTHING) {
		return step;
	}
	step = supervisor_missing(slots, wanted, now_ms);
	step.again_ms = earlier(step.again_ms, overdue.again_ms);
	return step;
}
