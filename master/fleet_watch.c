/* The watchdog's rounds. The stamps are in memory that all share, so a round over healthy workers
 * costs a few loads; only who stands still is looked up in /proc. */
#include <stdatomic.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/text.h"
#include "master/fleet.h"
#include "master/fleet_private.h"
#include "master/master.h"
#include "master/proc.h"

#define SPARED_LINE_MS 60000

/* SIGABRT, for the stack; but one that waits in state D hears of SIGKILL alone. */
static void
fleet_watch_convict(
	struct fleet_worker *worker, const struct watchdog_sample *sample, int64_t silence_ms)
{
	bool is_deaf = sample->state == 'D';
	struct master *master = worker->fleet->master;
	const struct slot *slot = fleet_slot_of(worker);
	char ending[FLEET_ENDING_MAX];
	struct text text;

	text_init(&text, ending, sizeof(ending));
	text_add(&text, "made no progress for ");
	text_add_span_ms(&text, silence_ms);
	text_add(&text, sample->state == 'R' ? ", looping" : ", state %c", sample->state);
	stat_add(&master->board.writable->stats[STAT_MASTER_worker_hangs], 1);
	master_event(master, LOG_LEVEL_ERROR, "worker %d (pid %d) %s: %s", worker->slot,
		(int)slot->pid, ending, is_deaf ? "SIGKILL" : "SIGABRT");
	if (is_deaf) {
		fleet_kill_worker(worker, ending);
	} else {
		fleet_abort_worker(worker, ending);
	}
}

static void
fleet_watch_spare(struct fleet_worker *worker, enum watchdog_verdict verdict, int64_t silence_ms,
	int64_t cpu_ms)
{
	const struct slot *slot = fleet_slot_of(worker);
	char silence[32], cpu[32];
	struct text text;
	uint64_t suppressed;

	if (!log_limit_allows(&worker->spared, SPARED_LINE_MS, &suppressed)) {
		return;
	}
	text_init(&text, silence, sizeof(silence));
	text_add_span_ms(&text, silence_ms);
	text_init(&text, cpu, sizeof(cpu));
	text_add_span_ms(&text, cpu_ms);
	if (verdict == WATCHDOG_TRACED) {
		log_warning("worker %d (pid %d) is held by a debugger for %s; the watchdog waits, "
			    "its clients too",
			worker->slot, (int)slot->pid, silence);
	} else {
		log_warning("worker %d (pid %d) made no progress for %s, but got only %s of CPU: "
			    "starved, not hung; the machine is overloaded or the CPU quota too "
			    "small",
			worker->slot, (int)slot->pid, silence, cpu);
	}
}

/* @return when to look again, by patience */
static int64_t
fleet_watch_stale(struct fleet_worker *worker, int64_t now_ms)
{
	int64_t hang_timeout_ms = worker->fleet->master->config->hang_timeout_ms;
	struct slot *slot = fleet_slot_of(worker);
	struct watchdog_sample sample;
	enum watchdog_verdict verdict;
	int64_t silence_ms;

	if (slot->state != SLOT_DRAINING && slot->deadline_ms != SLOTS_NO_DEADLINE) {
		/* An answer is expected of one that runs; why this one does not is our question. */
		slot->deadline_ms = now_ms + hang_timeout_ms;
	}
	if (proc_read_stat(slot->pid, &sample) < 0) {
		return now_ms + WATCHDOG_CHECK_MS;
	}
	verdict = watchdog_judge(&slot->watchdog, &sample, now_ms, hang_timeout_ms);
	silence_ms = watchdog_silence_ms(&slot->watchdog, now_ms);
	switch (verdict) {
	case WATCHDOG_HUNG:
	case WATCHDOG_LOOPING:
		fleet_watch_convict(worker, &sample, silence_ms);
		break;
	case WATCHDOG_STARVED:
	case WATCHDOG_TRACED:
		fleet_watch_spare(
			worker, verdict, silence_ms, watchdog_cpu_ms(&slot->watchdog, &sample));
		break;
	case WATCHDOG_DEAD: /* SIGCHLD should have told */
		fleet_reap(worker->fleet);
		break;
	case WATCHDOG_WAIT:
		break;
	}
	return silence_ms < hang_timeout_ms ? now_ms + hang_timeout_ms - silence_ms
					    : now_ms + WATCHDOG_CHECK_MS;
}

/* Somebody sent it SIGTERM, and not its master: it drains of its own accord. Its successor should
 * not wait for that. */
static void
fleet_watch_departure(struct fleet_worker *worker)
{
	struct fleet *fleet = worker->fleet;
	struct slot *slot = fleet_slot_of(worker);
	uint32_t state = atomic_load_explicit(
		&fleet->master->board.slots[worker->slot].state, memory_order_relaxed);

	if (slot->state == SLOT_READY && state == BOARD_WORKER_DRAINING) {
		master_event(fleet->master, LOG_LEVEL_NOTICE,
			"worker %d (pid %d) drains without being asked by the master; another "
			"takes "
			"its place",
			worker->slot, (int)slot->pid);
		fleet_drain_worker(worker, fleet->master->config->drain_timeout_ms,
			"it leaves of its own accord");
	}
}

int64_t
fleet_watch(struct fleet *fleet, int64_t now_ms)
{
	uint64_t real_ms = (uint64_t)clock_monotonic_ms();
	int64_t again_ms = now_ms + WATCHDOG_CHECK_MS;
	unsigned i;

	for (i = 0; i < fleet->slots.used; i++) {
		struct slot *slot = &fleet->slots.at[i];
		int64_t stamp_ms, due_ms;

		if (!slot_is_live(slot)) {
			continue;
		}
		fleet_watch_departure(fleet_worker_at(fleet, (int)i));
		stamp_ms = atomic_load_explicit(
			&fleet->master->board.slots[i].progress_ms, memory_order_relaxed);
		/* The stamp may be any number: no signed overflow here. */
		if (watchdog_is_stale(&slot->watchdog, stamp_ms,
			    (int64_t)(real_ms - (uint64_t)stamp_ms), now_ms)) {
			due_ms = fleet_watch_stale(fleet_worker_at(fleet, (int)i), now_ms);
			again_ms = due_ms < again_ms ? due_ms : again_ms;
		}
	}
	return again_ms;
}
