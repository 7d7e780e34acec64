/* Acts on one worker: birth, and the ways to end it. Whether and when is decided elsewhere. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "common/channel.h"
#include "common/clock.h"
#include "common/descriptor.h"
#include "master/child.h"
#include "master/fleet_private.h"
#include "master/master.h"
#include "master/proc.h"

struct fleet_worker *
fleet_worker_at(struct fleet *fleet, int slot)
{
	struct fleet_worker *worker = &fleet->workers[slot];

	if (worker->fleet == NULL) {
		worker->fleet = fleet;
		worker->slot = slot;
		worker->channel = -1;
		worker->waker = -1;
	}
	return worker;
}

struct slot *
fleet_slot_of(const struct fleet_worker *worker)
{
	return &worker->fleet->slots.at[worker->slot];
}

/* @return the pid, or negative errno with the name of the call that failed */
static int
fleet_fork(struct fleet_worker *worker, const char **attempt)
{
	const struct master *master = worker->fleet->master;
	struct child_birth birth = {
		.role = ROLE_WORKER,
		.slot = worker->slot,
		.binary = master->binary,
		.drops_privileges = master->drops_privileges,
		.identity = master->identity,
		.report = &worker->fleet->reports[worker->slot],
	};
	pid_t pid = 0;
	int status;

	*attempt = "channel";
	birth.channel = fleet_talk_open(worker);
	if (birth.channel < 0) {
		return birth.channel;
	}
	*attempt = "fork";
	status = child_start(&birth, &pid);
	descriptor_close(&birth.channel);
	return status < 0 ? status : (int)pid;
}

void
fleet_give_birth(struct fleet_worker *worker)
{
	struct fleet *fleet = worker->fleet;
	struct board *board = &fleet->master->board;
	const char *attempt;
	int pid;

	board_open_slot(board, worker->slot);
	worker->is_leaving = false;
	worker->ending[0] = '\0';
	pid = fleet_fork(worker, &attempt);
	if (pid < 0) {
		fleet_talk_close(worker);
		fleet_death_unborn(worker, -pid, attempt);
		return;
	}
	worker->unborn = (struct backoff){0};
	/* By us, because one that is killed before it hears of its slot was started too. */
	stat_add(&board->slots[worker->slot].stats[STAT_WORKER_starts], 1);
	slot_begin(&fleet->slots, worker->slot, (pid_t)pid, clock_monotonic_ms());
	watchdog_begin(&fleet_slot_of(worker)->watchdog,
		atomic_load_explicit(&board->slots[worker->slot].progress_ms, memory_order_relaxed),
		fleet_now(fleet));
	fleet_talk_brief_newborn(worker);
}

static void
fleet_set_ending(struct fleet_worker *worker, const char *ending)
{
	if (worker->ending[0] == '\0') { /* the first reason is the cause of the others */
		(void)snprintf(worker->ending, sizeof(worker->ending), "%s", ending);
	}
}

void
fleet_kill_worker(struct fleet_worker *worker, const char *ending)
{
	struct slot *slot = fleet_slot_of(worker);

	if (!slot_may_enter(slot->state, SLOT_KILLED)) {
		return;
	}
	fleet_set_ending(worker, ending);
	(void)kill(slot->pid, SIGKILL);
	slot_enter(&worker->fleet->slots, worker->slot, SLOT_KILLED, ending);
	slot->deadline_ms = fleet_now(worker->fleet) + FLEET_GRACE_MS;
	fleet_turn_soon(worker->fleet);
}

void
fleet_abort_worker(struct fleet_worker *worker, const char *ending)
{
	struct slot *slot = fleet_slot_of(worker);

	fleet_set_ending(worker, ending);
	(void)kill(slot->pid, SIGABRT);
	(void)kill(slot->pid, SIGCONT); /* one that is stopped takes no other signal */
	slot_enter(&worker->fleet->slots, worker->slot, SLOT_ABORTING, ending);
	slot->deadline_ms = fleet_now(worker->fleet) + FLEET_GRACE_MS;
}

void
fleet_drain_worker(struct fleet_worker *worker, int64_t timeout_ms, const char *reason)
{
	struct slot *slot = fleet_slot_of(worker);
	int64_t deadline_ms = timeout_ms == CHANNEL_NO_LIMIT
				      ? SLOTS_NO_DEADLINE
				      : fleet_now(worker->fleet) + timeout_ms + FLEET_GRACE_MS;

	worker->is_leaving = true;
	(void)fleet_talk_drain(
		worker, timeout_ms); /* if it cannot be told, its time runs all the same */
	if (slot_is_working(slot)) {
		slot_enter(&worker->fleet->slots, worker->slot, SLOT_DRAINING, reason);
	}
	if (slot->state == SLOT_DRAINING && deadline_ms < slot->deadline_ms) {
		slot->deadline_ms = deadline_ms;
	}
}

/* Even SIGKILL waits for the end of a system call that cannot be interrupted. */
void
fleet_give_up(struct fleet_worker *worker, const char *reason)
{
	struct slot *slot = fleet_slot_of(worker);
	char wait[64];

	master_event(worker->fleet->master, LOG_LEVEL_ERROR,
		"worker %d (pid %d) is stuck in the kernel (in %s) and survives SIGKILL; its slot "
		"stays taken and its connections unserved until the kernel lets it go, another "
		"slot "
		"takes its place",
		worker->slot, (int)slot->pid, proc_read_wait(slot->pid, wait, sizeof(wait)));
	fleet_talk_close(worker);
	slot_enter(&worker->fleet->slots, worker->slot, SLOT_STUCK, reason);
}
