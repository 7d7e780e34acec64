/* Burial and explanation. What was lost is counted and the survivors are woken before anything is
 * said: the exclusive wake-up of a client may have died with the worker. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>

#include "common/address.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/text.h"
#include "master/child.h"
#include "master/fleet.h"
#include "master/fleet_private.h"
#include "master/master.h"
#include "master/monitor_child.h"
#include "master/obituary.h"
#include "master/penalty.h"
#include "master/requests.h"
#include "master/upgrade.h"

#define LINE_MAX_BYTES 1000

static const char *const protocol_names[] = {
#define PROTOCOL(name, help) #name,
#include "common/protocols.def"
#undef PROTOCOL
};

/* A dead worker as found: taken before slot and board forget it. */
struct remains {
	struct obituary obituary;
	struct board_crash crash; /* is_written only if it belongs to this death */
	bool is_failure;          /* it should still be running */
	bool is_old;              /* of the program before an upgrade */
	bool is_ended_by_us;
	char peer[ADDRESS_TEXT_MAX];
	char complaint[512];
	char ending[FLEET_ENDING_MAX];
	char memory[CGROUP_PATH_MAX + 64];
};

uint32_t
fleet_dice(void)
{
	uint32_t dice;

	if (getrandom(&dice, sizeof(dice), GRND_NONBLOCK) != (ssize_t)sizeof(dice)) {
		dice = (uint32_t)clock_monotonic_us() * 2654435761U;
	}
	return dice;
}

/* Who the client in hand was, as far as the dead worker noted it. Nothing of it is trusted. */
static void
fleet_death_read_client(const struct fleet *fleet, struct remains *remains)
{
	const struct board_master *board = fleet->master->board.master;
	const struct listener_config *listener;
	int index = remains->crash.listener;
	const char *name;

	if (index < 0 || index >= BOARD_LISTENERS) {
		return;
	}
	name = board->listeners[index].name;
	listener = config_listener(fleet->master->config, name);
	remains->obituary.listener = name;
	remains->obituary.protocol = listener != NULL ? protocol_names[listener->protocol] : NULL;
	remains->obituary.peer = peer_format(&remains->crash.peer, remains->peer);
}

static bool
signal_has_address(int number)
{
	return number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE;
}

static void
fleet_death_read_crash(const struct fleet_worker *worker, struct remains *remains)
{
	struct board_crash *crash = &worker->fleet->master->board.slots[worker->slot].crash;
	int status = remains->obituary.status;

	memcpy(&remains->crash, crash, sizeof(*crash));
	if (!WIFSIGNALED(status) || remains->crash.signal != WTERMSIG(status)) {
		atomic_store_explicit(&remains->crash.is_written, 0, memory_order_relaxed);
	}
	if (atomic_load_explicit(&remains->crash.is_written, memory_order_relaxed) == 0) {
		return;
	}
	remains->obituary.has_fault_address = signal_has_address(WTERMSIG(status));
	remains->obituary.fault_address = remains->crash.fault_address;
	remains->obituary.sender = remains->obituary.has_fault_address ? remains->crash.sender : 0;
	fleet_death_read_client(worker->fleet, remains);
}

/* A SIGKILL that we did not send, while the count of our group moved. */
static void
fleet_death_suspect_memory(struct fleet *fleet, struct remains *remains)
{
	uint64_t kills;

	if (!WIFSIGNALED(remains->obituary.status) ||
		WTERMSIG(remains->obituary.status) != SIGKILL || remains->is_ended_by_us) {
		return;
	}
	kills = cgroup_oom_kills(&fleet->memory);
	if (kills > fleet->oom_kills) {
		remains->obituary.died_of_memory = true;
		remains->obituary.memory = cgroup_memory_limit(
			&fleet->memory, remains->memory, sizeof(remains->memory));
	}
	fleet->oom_kills = kills;
}

static void
fleet_death_copy_words(const struct fleet_worker *worker, struct remains *remains)
{
	char unborn[128];

	(void)snprintf(remains->ending, sizeof(remains->ending), "%s", worker->ending);
	(void)snprintf(remains->complaint, sizeof(remains->complaint), "%s", worker->complaint);
	if (remains->obituary.status == W_EXITCODE(CHILD_NOT_BORN, 0)) {
		(void)snprintf(remains->complaint, sizeof(remains->complaint), "%s",
			child_explain(
				&worker->fleet->reports[worker->slot], unborn, sizeof(unborn)));
	}
	remains->obituary.doing = remains->ending;
	remains->obituary.complaint = remains->complaint;
}

static void
fleet_death_find_remains(struct fleet_worker *worker, int status, struct remains *remains)
{
	const struct slot *slot = fleet_slot_of(worker);

	memset(remains, 0, sizeof(*remains));
	remains->obituary.slot = worker->slot;
	remains->obituary.pid = slot->pid;
	remains->obituary.status = status;
	remains->obituary.age_ms = clock_monotonic_ms() - slot->born_ms;
	remains->obituary.was_ready = slot->ready_ms != 0;
	remains->is_failure = !worker->is_leaving;
	remains->is_old = slot->is_old;
	remains->is_ended_by_us = worker->ending[0] != '\0';
	fleet_death_copy_words(worker, remains);
	fleet_death_read_crash(worker, remains);
	fleet_death_suspect_memory(worker->fleet, remains);
}

/* A recursion without end would fill the log with one frame: equal neighbours are one line. */
static void
fleet_death_log_frames(const struct remains *remains, uint32_t first, uint32_t last)
{
	const char *frame = remains->crash.frames[first];
	char words[4 * sizeof(remains->crash.frames[0])], number[32];
	struct text text;

	text_init(&text, words, sizeof(words));
	text_add_printable(&text, frame, strnlen(frame, sizeof(remains->crash.frames[0])));
	text_init(&text, number, sizeof(number));
	text_add(&text, "#%u", (unsigned)first);
	if (last > first) {
		text_add(&text, " to #%u", (unsigned)last);
	}
	log_error("worker %d (pid %d) stack %s %s", remains->obituary.slot,
		(int)remains->obituary.pid, number, words);
}

static void
fleet_death_log_stack(const struct remains *remains)
{
	const struct board_crash *crash = &remains->crash;
	uint32_t count =
		crash->frame_count < BOARD_FRAMES_MAX ? crash->frame_count : BOARD_FRAMES_MAX;
	uint32_t first, last;

	if (atomic_load_explicit(&crash->is_written, memory_order_relaxed) == 0) {
		return;
	}
	for (first = 0; first < count; first = last + 1) {
		last = first;
		while (last + 1 < count && strncmp(crash->frames[first], crash->frames[last + 1],
						   sizeof(crash->frames[0])) == 0) {
			last++;
		}
		fleet_death_log_frames(remains, first, last);
	}
}

static const char *
fleet_death_write(const struct obituary *obituary, char line[LINE_MAX_BYTES])
{
	struct text text;

	text_init(&text, line, LINE_MAX_BYTES);
	obituary_write(&text, obituary);
	return line;
}

/* One that was asked to go. */
static void
fleet_death_tell_leaver(struct fleet *fleet, struct remains *remains)
{
	char line[LINE_MAX_BYTES];
	int level = LOG_LEVEL_ERROR;

	remains->obituary.restart_in_ms = -1;
	if (remains->obituary.status == 0) {
		log_info("worker %d (pid %d) has finished", remains->obituary.slot,
			(int)remains->obituary.pid);
		return;
	}
	if (remains->is_ended_by_us) {
		level = remains->obituary.lost_connections > 0 ? LOG_LEVEL_WARNING
							       : LOG_LEVEL_NOTICE;
	}
	master_event(fleet->master, level, "%s", fleet_death_write(&remains->obituary, line));
	fleet_death_log_stack(remains);
}

/* The one whom a start or a reload waits for has failed too often: whoever waits is told why. */
static void
fleet_death_despair(struct fleet *fleet, const struct backoff *backoff, const char *line)
{
	if (fleet->on_settled != NULL && backoff->failures >= BACKOFF_BURST) {
		(void)snprintf(fleet->failure, sizeof(fleet->failure), "%s", line);
	}
}

static int64_t
fleet_death_plan(struct fleet *fleet, struct backoff *backoff, int64_t healthy_ms)
{
	int64_t delay_ms = backoff_fail(backoff, fleet_now(fleet), healthy_ms, fleet_dice());

	return slots_count_working(&fleet->slots) < fleet->wanted ? delay_ms : -1;
}

static void
fleet_death_tell_failure(struct fleet_worker *worker, struct remains *remains, int64_t healthy_ms)
{
	struct fleet *fleet = worker->fleet;
	struct backoff *backoff = &fleet_slot_of(worker)->backoff;
	char line[LINE_MAX_BYTES];

	stat_add(&fleet->master->board.writable->stats[STAT_MASTER_worker_crashes], 1);
	board_note_crash(&fleet->master->board, worker->slot, remains->obituary.status);
	remains->obituary.restart_in_ms = fleet_death_plan(fleet, backoff, healthy_ms);
	remains->obituary.failures = backoff->failures;
	if (backoff_should_tell(backoff, fleet_now(fleet), remains->obituary.was_ready,
		    &remains->obituary.untold)) {
		master_event(fleet->master, LOG_LEVEL_ERROR, "%s",
			fleet_death_write(&remains->obituary, line));
		fleet_death_log_stack(remains);
	} else {
		log_info("%s", fleet_death_write(&remains->obituary, line));
	}
	/* One that the program before could not start says nothing about those of this one. */
	if (!remains->obituary.was_ready && !remains->is_old) {
		fleet_death_despair(fleet, backoff, line);
	}
}

static void
fleet_death_bury(struct fleet_worker *worker, int status)
{
	struct fleet *fleet = worker->fleet;
	struct slot *slot = fleet_slot_of(worker);
	int64_t healthy_ms;
	struct remains remains;

	fleet_death_find_remains(worker, status, &remains);
	healthy_ms = slot->ready_ms != 0 ? clock_monotonic_ms() - slot->ready_ms : 0;
	remains.obituary.lost_connections = board_bury_slot(&fleet->master->board, worker->slot);
	holdings_forget_slot(&fleet->holdings, worker->slot);
	requests_on_worker_gone(fleet->master, worker->slot);
	fleet_talk_close(worker);
	slot_enter(&fleet->slots, worker->slot, SLOT_EMPTY,
		remains.is_failure ? "it ended unasked" : "it has gone");
	if (remains.obituary.was_ready) {
		fleet_talk_nudge_all(fleet);
	}
	if (remains.is_failure) {
		fleet_death_tell_failure(worker, &remains, healthy_ms);
		penalty_impose(fleet->master, &remains.crash);
	} else {
		backoff_forgive(&slot->backoff, healthy_ms);
		fleet_death_tell_leaver(fleet, &remains);
	}
}

void
fleet_reap(struct fleet *fleet)
{
	siginfo_t info = {0};
	int status, slot;

	/* Look before taking: while it is a zombie its pid is its own, and may still be sent
	 * signals in answer to its last words. */
	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
		slot = slots_find_by_pid(&fleet->slots, info.si_pid);
		if (slot >= 0) {
			fleet_talk_hear_out(fleet_worker_at(fleet, slot));
		}
		(void)waitpid(info.si_pid, &status, 0);
		if (slot >= 0) {
			fleet_death_bury(fleet_worker_at(fleet, slot), status);
		} else if (!monitor_child_reap(fleet->master->monitor, info.si_pid, status) &&
			   !upgrade_reap(fleet->master, info.si_pid, status)) {
			log_debug("process %d, none of our children, has ended", (int)info.si_pid);
		}
		info.si_pid = 0;
	}
	fleet_turn_soon(fleet);
}

void
fleet_death_unborn(struct fleet_worker *worker, int error, const char *attempt)
{
	struct fleet *fleet = worker->fleet;
	struct backoff *backoff = &fleet_slot_of(worker)->backoff;
	char limit[CGROUP_PATH_MAX + 64] = "", line[LINE_MAX_BYTES];
	struct text text;
	unsigned untold;
	int64_t now_ms = fleet_now(fleet);
	int64_t delay_ms = backoff_fail(backoff, now_ms, 0, fleet_dice());

	stat_add(&fleet->master->board.writable->stats[STAT_MASTER_fork_failures], 1);
	text_init(&text, line, sizeof(line));
	text_add(&text, "cannot start worker %d: %s: %s", worker->slot, attempt, strerror(error));
	if (error == EAGAIN && cgroup_pids_full(&fleet->pids, limit, sizeof(limit))) {
		text_add(&text, " (%s)", limit);
	}
	text_add(&text, "; %u of %u workers serve; trying again ", fleet_serving(fleet),
		fleet->wanted);
	text_add(&text, delay_ms > 0 ? "in " : "at once");
	if (delay_ms > 0) {
		text_add_span_ms(&text, delay_ms);
	}
	(void)backoff_fail(&worker->unborn, now_ms, 0, 0);
	if (backoff_should_tell(&worker->unborn, now_ms, false, &untold)) {
		if (untold > 0) {
			text_add(&text, "; failure %u in a row", worker->unborn.failures);
		}
		master_event(fleet->master, LOG_LEVEL_ERROR, "%s", line);
	}
	fleet_death_despair(fleet, backoff, line);
}
