/* What runs now. */
#include "master/slots.h"

#include <assert.h>
#include <stddef.h>

#define TO(state) (1U << (state))

/* From each state, where a slot may go. A process can end in every state, so EMPTY is in all. */
static const unsigned slot_steps[SLOT_STATE_COUNT] = {
	[SLOT_EMPTY] = TO(SLOT_STARTING),
	[SLOT_STARTING] = TO(SLOT_EMPTY) | TO(SLOT_READY) | TO(SLOT_DRAINING) | TO(SLOT_ABORTING) |
			  TO(SLOT_KILLED),
	[SLOT_READY] = TO(SLOT_EMPTY) | TO(SLOT_DRAINING) | TO(SLOT_ABORTING) | TO(SLOT_KILLED),
	[SLOT_DRAINING] = TO(SLOT_EMPTY) | TO(SLOT_ABORTING) | TO(SLOT_KILLED),
	[SLOT_ABORTING] = TO(SLOT_EMPTY) | TO(SLOT_KILLED),
	[SLOT_KILLED] = TO(SLOT_EMPTY) | TO(SLOT_STUCK),
	[SLOT_STUCK] = TO(SLOT_EMPTY),
};

static const char *const slot_names[SLOT_STATE_COUNT] = {
	[SLOT_EMPTY] = "empty",
	[SLOT_STARTING] = "starting",
	[SLOT_READY] = "ready",
	[SLOT_DRAINING] = "draining",
	[SLOT_ABORTING] = "aborting",
	[SLOT_KILLED] = "killed",
	[SLOT_STUCK] = "stuck",
};

void
slots_init(struct slots *slots,
	void (*on_step)(void *context, int slot, enum slot_state from, enum slot_state to,
		const char *reason),
	void *context)
{
	slots->on_step = on_step;
	slots->context = context;
}

const char *
slot_state_name(enum slot_state state)
{
	return slot_names[state];
}

bool
slot_may_enter(enum slot_state from, enum slot_state to)
{
	return (slot_steps[from] & TO(to)) != 0;
}

void
slot_enter(struct slots *slots, int slot, enum slot_state state, const char *reason)
{
	struct slot *at = &slots->at[slot];
	enum slot_state from = at->state;

	assert(slot_may_enter(from, state));
	at->state = state;
	at->deadline_ms = SLOTS_NO_DEADLINE;
	if (state == SLOT_EMPTY) {
		at->pid = 0;
		at->is_old = false;
		at->generation = 0;
		at->ready_ms = 0;
	}
	if (slots->on_step != NULL) {
		slots->on_step(slots->context, slot, from, state, reason);
	}
}

void
slot_begin(struct slots *slots, int slot, pid_t pid, int64_t born_ms)
{
	struct slot *at = &slots->at[slot];

	at->pid = pid;
	at->born_ms = born_ms;
	if (slots->used <= (unsigned)slot) {
		slots->used = (unsigned)slot + 1;
	}
	slot_enter(slots, slot, SLOT_STARTING, "born");
}

int
slots_find_by_pid(const struct slots *slots, pid_t pid)
{
	unsigned i;

	for (i = 0; i < slots->used; i++) {
		if (slots->at[i].state != SLOT_EMPTY && slots->at[i].pid == pid) {
			return (int)i;
		}
	}
	return -1;
}

unsigned
slots_count(const struct slots *slots, enum slot_state state)
{
	unsigned i, count = 0;

	for (i = 0; i < slots->used; i++) {
		count += slots->at[i].state == state;
	}
	return count;
}

unsigned
slots_count_working(const struct slots *slots)
{
	unsigned i, count = 0;

	for (i = 0; i < slots->used; i++) {
		count += slot_is_working(&slots->at[i]) && !slots->at[i].is_old;
	}
	return count;
}

unsigned
slots_count_outdated(const struct slots *slots)
{
	unsigned i, count = 0;

	for (i = 0; i < slots->used; i++) {
		count += slot_is_outdated(&slots->at[i]);
	}
	return count;
}

bool
slot_is_outdated(const struct slot *slot)
{
	return slot->is_old && slot_is_working(slot);
}

bool
slot_is_working(const struct slot *slot)
{
	return slot->state == SLOT_STARTING || slot->state == SLOT_READY;
}

bool
slot_is_live(const struct slot *slot)
{
	return slot_is_working(slot) || slot->state == SLOT_DRAINING;
}

bool
slot_has_process(const struct slot *slot)
{
	return slot->state != SLOT_EMPTY;
}
