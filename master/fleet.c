/* The workers as one thing. Everything that takes time is a turn: look who stands still, take the
 * supervisor's steps one by one, bring everybody up to date, then tell those who wait. A turn
 * compares what is with what should be, so it does not matter which event asked for it, and
 * requests from outside never run callbacks before they return. */
#include "master/fleet.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/channel.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "master/child.h"
#include "master/fleet_private.h"
#include "master/listeners.h"
#include "master/master.h"
#include "master/supervisor.h"

int64_t
fleet_now(struct fleet *fleet)
{
	return patience_look(&fleet->patience, clock_monotonic_ms());
}

void
fleet_turn_soon(struct fleet *fleet)
{
	loop_timer_start(fleet->master->loop, &fleet->alarm, 0);
}

static void
fleet_on_step(void *context, int slot, enum slot_state from, enum slot_state to, const char *reason)
{
	(void)context;
	log_info(
		"slot %d: %s -> %s (%s)", slot, slot_state_name(from), slot_state_name(to), reason);
}

static int64_t
fleet_drain_timeout(const struct fleet_worker *worker)
{
	const struct fleet *fleet = worker->fleet;
	const struct config *config = fleet->master->config;

	if (fleet->is_stopping) {
		return fleet->stop_timeout_ms;
	}
	if (!fleet_slot_of(worker)->is_old) {
		return config->drain_timeout_ms;
	}
	return config->upgrade_drain_timeout_ms == CONFIG_NONE ? CHANNEL_NO_LIMIT
							       : config->upgrade_drain_timeout_ms;
}

static void
fleet_take_step(struct fleet_worker *worker, const struct supervisor_step *step)
{
	switch (step->verb) {
	case SUPERVISOR_START:
		fleet_give_birth(worker);
		break;
	case SUPERVISOR_DRAIN:
		fleet_drain_worker(worker, fleet_drain_timeout(worker), step->reason);
		break;
	case SUPERVISOR_KILL:
		fleet_kill_worker(worker, step->reason);
		break;
	case SUPERVISOR_GIVE_UP:
		fleet_give_up(worker, step->reason);
		break;
	case SUPERVISOR_NOTHING:
		break;
	}
}

/* @return when the supervisor wants to be asked again */
static int64_t
fleet_follow_supervisor(struct fleet *fleet)
{
	struct supervisor_step step;

	for (;;) {
		step = supervisor_next(&fleet->slots, fleet->wanted, fleet_now(fleet));
		if (step.verb == SUPERVISOR_NOTHING) {
			return step.again_ms;
		}
		fleet_take_step(fleet_worker_at(fleet, step.slot), &step);
	}
}

static bool
fleet_has_refuser(const struct fleet *fleet, unsigned slot)
{
	/* One of the program before may not know what the new configuration says; it goes anyway.
	 */
	return fleet->slots.at[slot].state == SLOT_READY && fleet->workers[slot].has_refused &&
	       !fleet->slots.at[slot].is_old;
}

static bool
fleet_awaits_answers(const struct fleet *fleet)
{
	unsigned i;

	for (i = 0; i < fleet->slots.used; i++) {
		if (slot_is_working(&fleet->slots.at[i]) && fleet->workers[i].commits_due > 0) {
			return true;
		}
	}
	return false;
}

/* Workers that could not take the configuration in force serve on under the one before, until
 * another has shown that it can be taken; then they are replaced. If all refused, one of them is
 * replaced, for the sake of finding out: should its successor fail as well, the others still serve.
 */
static void
fleet_replace_refusers(struct fleet *fleet)
{
	bool is_taken = fleet_serving(fleet) > 0;
	unsigned i;

	if (!is_taken && (fleet->tried_generation == fleet->master->generation ||
				 fleet_awaits_answers(fleet))) {
		return;
	}
	for (i = fleet->slots.used; i-- > 0;) {
		if (!fleet_has_refuser(fleet, i)) {
			continue;
		}
		if (!is_taken) {
			fleet->tried_generation = fleet->master->generation;
			(void)snprintf(fleet->failure, sizeof(fleet->failure),
				"no worker could take configuration %llu: %s",
				(unsigned long long)fleet->master->generation,
				fleet->workers[i].complaint);
		}
		fleet_drain_worker(fleet_worker_at(fleet, (int)i),
			fleet_drain_timeout(fleet_worker_at(fleet, (int)i)),
			"it refused the configuration");
		fleet_turn_soon(fleet);
		if (!is_taken) {
			return;
		}
	}
}

static bool
fleet_is_settled(const struct fleet *fleet)
{
	unsigned needed = fleet->settle_count < fleet->wanted ? fleet->settle_count : fleet->wanted;

	return !fleet_awaits_answers(fleet) && fleet_serving(fleet) >= needed;
}

static void
fleet_tell_settled(struct fleet *fleet)
{
	void (*on_settled)(struct master * master, const char *failure) = fleet->on_settled;
	char failure[sizeof(fleet->failure)];

	if (on_settled == NULL || (fleet->failure[0] == '\0' && !fleet_is_settled(fleet))) {
		return;
	}
	memcpy(failure, fleet->failure, sizeof(failure));
	fleet->failure[0] = '\0';
	fleet->on_settled = NULL;
	on_settled(fleet->master, failure[0] != '\0' ? failure : NULL);
}

static bool
fleet_is_gone(const struct fleet *fleet)
{
	unsigned i;

	for (i = 0; i < fleet->slots.used; i++) {
		enum slot_state state = fleet->slots.at[i].state;

		if (state != SLOT_EMPTY && state != SLOT_STUCK) {
			return false;
		}
	}
	return true;
}

static void
fleet_tell_gone(struct fleet *fleet)
{
	void (*on_gone)(struct master * master) = fleet->on_gone;

	if (on_gone != NULL && fleet_is_gone(fleet)) {
		fleet->on_gone = NULL;
		on_gone(fleet->master);
	}
}

static void
fleet_turn(struct fleet *fleet)
{
	int64_t now_ms = fleet_now(fleet);
	int64_t again_ms = fleet_watch(fleet, now_ms);
	int64_t planned_ms = fleet_follow_supervisor(fleet);
	int64_t wait_ms;

	again_ms = planned_ms < again_ms ? planned_ms : again_ms;
	wait_ms = again_ms - fleet_now(fleet);
	loop_timer_start(fleet->master->loop, &fleet->alarm, wait_ms > 0 ? wait_ms : 0);
	fleet_talk_brief_all(fleet);
	fleet_replace_refusers(fleet);
	fleet_tell_settled(fleet);
	fleet_tell_gone(fleet); /* the last: the master may end here */
}

static void
fleet_on_alarm(struct ev_loop *loop, struct loop_timer *timer)
{
	(void)loop;
	fleet_turn(container_of(timer, struct fleet, alarm));
}

/* Rows for the sockets in force; those still wanted are not recalled any more. */
static int
fleet_note_sockets(struct fleet *fleet)
{
	const struct listeners *listeners = fleet->master->listeners;
	size_t i;

	holdings_sweep(&fleet->holdings);
	for (i = 0; i < listeners->count; i++) {
		const struct listening_socket *socket = &listeners->sockets[i];
		int status = holdings_add(&fleet->holdings, socket->number);

		if (status < 0) {
			return status;
		}
		if (!socket->is_retiring) {
			holdings_recall(&fleet->holdings, socket->number, false);
		}
	}
	return 0;
}

int
fleet_start(struct master *master, unsigned count, struct fault *why)
{
	struct fleet *fleet = calloc(1, sizeof(*fleet));

	if (fleet == NULL) {
		return fault_set(why, ENOMEM, "cannot make room for workers");
	}
	fleet->master = master;
	slots_init(&fleet->slots, fleet_on_step, fleet);
	patience_init(&fleet->patience, clock_monotonic_ms());
	loop_timer_init(&fleet->alarm, fleet_on_alarm);
	fleet->reports = child_reports_new(BOARD_SLOTS);
	if (fleet->reports == NULL || fleet_note_sockets(fleet) < 0) {
		fleet_free(&fleet);
		return fault_set(why, ENOMEM, "cannot make room for workers");
	}
	cgroup_find("pids", &fleet->pids);
	cgroup_find("memory", &fleet->memory);
	fleet->oom_kills = cgroup_oom_kills(&fleet->memory);
	fleet->wanted = count;
	fleet_turn_soon(fleet);
	master->fleet = fleet;
	return 0;
}

void
fleet_resize(struct fleet *fleet, unsigned count)
{
	if (!fleet->is_stopping) {
		fleet->wanted = count;
		fleet_turn_soon(fleet);
	}
}

unsigned
fleet_wanted(const struct fleet *fleet)
{
	return fleet->wanted;
}

unsigned
fleet_serving(const struct fleet *fleet)
{
	unsigned i, count = 0;

	for (i = 0; i < fleet->slots.used; i++) {
		const struct slot *slot = &fleet->slots.at[i];

		count += slot->state == SLOT_READY && !slot->is_old &&
			 slot->generation == fleet->master->generation;
	}
	return count;
}

/* One that has not confirmed any yet counts as the oldest; one that SIGKILL did not end does
 * nothing any more. */
uint64_t
fleet_oldest_generation(const struct fleet *fleet)
{
	uint64_t oldest = UINT64_MAX;

	for (unsigned i = 0; i < fleet->slots.used; i++) {
		const struct slot *slot = &fleet->slots.at[i];

		if (slot_has_process(slot) && slot->state != SLOT_STUCK &&
			slot->generation < oldest) {
			oldest = slot->generation;
		}
	}
	return oldest;
}

/* Perhaps the new configuration is what the failed ones were waiting for. */
static void
fleet_try_anew(struct fleet *fleet)
{
	unsigned i;

	for (i = 0; i < fleet->slots.used; i++) {
		fleet->slots.at[i].backoff.not_before_ms = 0;
	}
}

void
fleet_apply(struct fleet *fleet, void (*on_settled)(struct master *master, const char *failure))
{
	unsigned working = slots_count_working(&fleet->slots);

	if (fleet_note_sockets(fleet) < 0) {
		log_warning("no memory to note who holds the listening sockets; removed ones may "
			    "stay open in the workers until these are replaced");
	}
	fleet->on_settled = on_settled;
	fleet->failure[0] = '\0';
	/* A slot that waits for its next try keeps no reload waiting; at the start all count. */
	fleet->settle_count = working > 0 ? working : fleet->wanted;
	fleet_try_anew(fleet);
	fleet_turn_soon(fleet);
}

void
fleet_release_socket(struct fleet *fleet, uint32_t number)
{
	unsigned i;

	holdings_recall(&fleet->holdings, number, true);
	for (i = 0; i < fleet->slots.used; i++) {
		fleet_talk_recall(fleet_worker_at(fleet, (int)i));
	}
}

bool
fleet_holds_socket(const struct fleet *fleet, uint32_t number)
{
	return holdings_anybody_has(&fleet->holdings, number);
}

void
fleet_send_log(struct fleet *fleet)
{
	unsigned i;

	for (i = 0; i < fleet->slots.used; i++) {
		if (slot_is_live(&fleet->slots.at[i])) {
			fleet_talk_send_log(fleet_worker_at(fleet, (int)i));
		}
	}
}

void
fleet_drain(struct fleet *fleet, int64_t timeout_ms, void (*on_gone)(struct master *master))
{
	unsigned i;

	fleet->wanted = 0;
	fleet->is_stopping = true;
	fleet->stop_timeout_ms = timeout_ms;
	fleet->on_settled = NULL;
	fleet->on_gone = on_gone;
	for (i = 0; i < fleet->slots.used; i++) {
		if (slot_is_live(&fleet->slots.at[i])) {
			fleet_drain_worker(
				fleet_worker_at(fleet, (int)i), timeout_ms, "the server stops");
		}
	}
	fleet_turn_soon(fleet);
}

void
fleet_kill(struct fleet *fleet)
{
	unsigned i;

	fleet->wanted = 0;
	fleet->is_stopping = true;
	for (i = 0; i < fleet->slots.used; i++) {
		fleet->workers[i].is_leaving = true;
		fleet_kill_worker(fleet_worker_at(fleet, (int)i), "the server stops at once");
	}
	fleet_turn_soon(fleet);
}

void
fleet_free(struct fleet **fleet)
{
	struct fleet *gone = *fleet;
	unsigned i;

	if (gone == NULL) {
		return;
	}
	for (i = 0; i < gone->slots.used; i++) {
		if (slot_has_process(&gone->slots.at[i])) {
			(void)kill(gone->slots.at[i].pid, SIGKILL);
		}
		fleet_talk_close(fleet_worker_at(gone, (int)i));
		descriptor_close(&fleet_worker_at(gone, (int)i)->waker);
	}
	loop_timer_stop(gone->master->loop, &gone->alarm);
	child_reports_free(&gone->reports, BOARD_SLOTS);
	holdings_fini(&gone->holdings);
	free(gone);
	*fleet = NULL;
}
