/* The fleet changes hands: what one program knows of its workers, told to the next. Times are told
 * as what is left of them, because each program has its own patience. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/board.h"
#include "master/fleet.h"
#include "master/fleet_private.h"
#include "master/master.h"
#include "master/upgrade_state.h"

static int64_t
left_until(int64_t then_ms, int64_t now_ms)
{
	return then_ms > now_ms ? then_ms - now_ms : 0;
}

/* Who is in the slot, and what the slot itself remembers. */
static void
hand_over_worker(const struct fleet *fleet, int index, struct upgrade_worker *into)
{
	const struct fleet_worker *worker = &fleet->workers[index];
	const struct slot *slot = &fleet->slots.at[index];
	int64_t now_ms = fleet->patience.now_ms;

	into->slot = index;
	into->state = slot->state;
	into->pid = slot->pid;
	into->generation = (int64_t)slot->generation;
	into->born_ms = slot->born_ms;
	into->ready_ms = slot->ready_ms;
	into->left_ms = slot->deadline_ms == SLOTS_NO_DEADLINE || slot->state == SLOT_EMPTY
				? -1
				: left_until(slot->deadline_ms, now_ms);
	into->failures = slot->backoff.failures;
	into->wait_ms = left_until(slot->backoff.not_before_ms, now_ms);
	into->waker = worker->waker;
	if (slot->state == SLOT_EMPTY) {
		return;
	}
	into->channel = worker->channel;
	into->sent_generation = (int64_t)worker->sent_generation;
	into->sent_workers = worker->sent_workers;
	into->commits_due = worker->commits_due;
	into->releases_due = worker->releases_due;
	into->has_refused = worker->has_refused;
	into->is_leaving = worker->is_leaving;
	(void)snprintf(into->ending, sizeof(into->ending), "%s", worker->ending);
	(void)snprintf(into->complaint, sizeof(into->complaint), "%s", worker->complaint);
}

static int
hand_over_holdings(const struct holdings *holdings, struct upgrade_state *state)
{
	for (size_t i = 0; i < holdings->count; i++) {
		const struct holding *row = &holdings->rows[i];
		struct upgrade_holding *into = upgrade_state_add(state, UPGRADE_HOLDINGS);

		if (into == NULL) {
			return -ENOMEM;
		}
		_Static_assert(sizeof(into->has) == sizeof(row->has), "a bit for each slot");
		into->number = row->number;
		into->is_recalled = row->is_recalled;
		memcpy(into->has, row->has, sizeof(into->has));
		memcpy(into->leaves, row->leaves, sizeof(into->leaves));
	}
	return 0;
}

int
fleet_hand_over(const struct fleet *fleet, struct upgrade_state *state)
{
	for (unsigned i = 0; i < fleet->slots.used; i++) {
		struct upgrade_worker *into;

		if (fleet->workers[i].fleet == NULL) {
			continue;
		}
		into = upgrade_state_add(state, UPGRADE_WORKERS);
		if (into == NULL) {
			return -ENOMEM;
		}
		hand_over_worker(fleet, (int)i, into);
	}
	return hand_over_holdings(&fleet->holdings, state);
}

/* Failures of the program before say nothing about the workers of this one. */
static void
take_over_slot(
	struct fleet *fleet, const struct upgrade_worker *from, struct slot *slot, bool is_old)
{
	int64_t now_ms = fleet_now(fleet);

	slot->state = (enum slot_state)from->state;
	slot->pid = (pid_t)from->pid;
	slot->generation = (uint64_t)from->generation;
	slot->born_ms = from->born_ms;
	slot->ready_ms = from->ready_ms;
	slot->deadline_ms = from->left_ms < 0 ? SLOTS_NO_DEADLINE : now_ms + from->left_ms;
	if (!is_old) {
		slot->backoff.failures = (unsigned)from->failures;
		slot->backoff.not_before_ms = now_ms + from->wait_ms;
	}
	watchdog_begin(&slot->watchdog,
		atomic_load_explicit(
			&fleet->master->board.slots[from->slot].progress_ms, memory_order_relaxed),
		now_ms);
	if (fleet->slots.used <= (unsigned)from->slot) {
		fleet->slots.used = (unsigned)from->slot + 1;
	}
}

static void
take_over_worker(struct fleet *fleet, const struct upgrade_worker *from, bool is_old)
{
	struct fleet_worker *worker = fleet_worker_at(fleet, (int)from->slot);

	take_over_slot(fleet, from, fleet_slot_of(worker), is_old);
	fleet_slot_of(worker)->is_old = is_old && from->pid != 0;
	worker->channel = (int)from->channel;
	worker->waker = (int)from->waker;
	worker->sent_generation = (uint64_t)from->sent_generation;
	worker->sent_workers = (unsigned)from->sent_workers;
	worker->commits_due = (unsigned)from->commits_due;
	worker->releases_due = (unsigned)from->releases_due;
	worker->has_refused = from->has_refused != 0;
	worker->is_leaving = from->is_leaving != 0;
	memcpy(worker->ending, from->ending, sizeof(worker->ending));
	memcpy(worker->complaint, from->complaint, sizeof(worker->complaint));
	if (worker->channel >= 0) {
		fleet_talk_listen(worker);
	}
}

int
fleet_take_over(struct fleet *fleet, const struct upgrade_state *state, bool are_old)
{
	for (size_t i = 0; i < state->worker_count; i++) {
		take_over_worker(fleet, &state->workers[i], are_old);
	}
	for (size_t i = 0; i < state->holding_count; i++) {
		const struct upgrade_holding *from = &state->holdings[i];
		struct holding row = {
			.number = (uint32_t)from->number, .is_recalled = from->is_recalled != 0};
		int status;

		memcpy(row.has, from->has, sizeof(row.has));
		memcpy(row.leaves, from->leaves, sizeof(row.leaves));
		status = holdings_restore(&fleet->holdings, &row);
		if (status != 0) {
			return status;
		}
	}
	return 0;
}

unsigned
fleet_outdated(const struct fleet *fleet)
{
	return slots_count_outdated(&fleet->slots);
}

unsigned
fleet_finishing(const struct fleet *fleet, uint64_t *connections)
{
	unsigned count = 0;

	*connections = 0;
	for (unsigned i = 0; i < fleet->slots.used; i++) {
		if (fleet->slots.at[i].state == SLOT_DRAINING) {
			*connections +=
				stat_get(&fleet->master->board.slots[i].stats[STAT_WORKER_open]);
			count++;
		}
	}
	return count;
}

bool
fleet_has_room(const struct fleet *fleet)
{
	unsigned empty = BOARD_SLOTS - fleet->slots.used + slots_count(&fleet->slots, SLOT_EMPTY);

	return empty >= fleet->wanted;
}
