/* Messages to and from workers. A worker is told everything at birth in the same words as at a
 * reload. What it says is allowed only as an answer to what it was asked; anything else, and a
 * channel that it does not read, ends it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/descriptor.h"
#include "common/text.h"
#include "master/fleet.h"
#include "master/fleet_private.h"
#include "master/listeners.h"
#include "master/master.h"
#include "master/processors.h"
#include "master/requests.h"

/* Heard from one worker in one turn, so that none can keep the master busy. */
#define MESSAGES_PER_TURN 64

static struct master *
master_of(const struct fleet_worker *worker)
{
	return worker->fleet->master;
}

/* @return whether it was sent */
static bool
fleet_talk_send(struct fleet_worker *worker, enum channel_type type, const void *payload,
	const int *fds, size_t fd_count)
{
	char ending[FLEET_ENDING_MAX];
	int status = channel_send(worker->channel, type, payload, fds, fd_count);

	if (status == -EPIPE) {
		return false; /* it is on its way out: its end will be noticed */
	}
	if (status < 0) {
		(void)snprintf(ending, sizeof(ending), "cannot be told %s: %s",
			channel_type_name(type),
			status == -EAGAIN ? "it does not read its channel" : strerror(-status));
		fleet_kill_worker(worker, ending);
	}
	return status == 0;
}

void
fleet_talk_send_log(struct fleet_worker *worker)
{
	enum log_sink sink;
	int fd = log_descriptor(&sink);
	struct channel_log payload = {.sink = (int32_t)sink, .level = (int32_t)log_level_now()};

	(void)fleet_talk_send(worker, CHANNEL_LOG, &payload, &fd, fd >= 0 ? 1 : 0);
	fd = session_file_descriptor(&master_of(worker)->session_file);
	(void)fleet_talk_send(worker, CHANNEL_SESSION_LOG, NULL, &fd, fd >= 0 ? 1 : 0);
}

/* Before a question is counted: the time for its answer begins, unless it runs for one before. */
static void
fleet_talk_expect_answer(struct fleet_worker *worker)
{
	struct slot *slot = fleet_slot_of(worker);

	if (slot_is_working(slot) && worker->commits_due + worker->releases_due == 0) {
		slot->deadline_ms =
			fleet_now(worker->fleet) + master_of(worker)->config->hang_timeout_ms;
	}
}

/* One question of a kind is answered. @return 0; -EPROTO when there was none */
static int
fleet_talk_take_answer(struct fleet_worker *worker, unsigned *due)
{
	struct slot *slot = fleet_slot_of(worker);

	if (*due == 0) {
		return -EPROTO;
	}
	(*due)--;
	if (slot_is_working(slot) && worker->commits_due + worker->releases_due == 0) {
		slot->deadline_ms = SLOTS_NO_DEADLINE;
	}
	fleet_turn_soon(worker->fleet);
	return 0;
}

static bool
fleet_talk_send_config(struct fleet_worker *worker)
{
	const struct master *master = master_of(worker);
	struct channel_config payload = {
		.generation = master->generation,
		.worker_count = (int32_t)fleet_wanted(worker->fleet),
		.cpu = master->config->cpu_pinning ? processors_core_of_slot(worker->slot) : -1,
	};

	return fleet_talk_send(worker, CHANNEL_CONFIG, &payload, &master->config_memory, 1);
}

static bool
fleet_talk_knows(const void *child, uint32_t number)
{
	const struct fleet_worker *worker = child;

	return holdings_slot_has(&worker->fleet->holdings, number, worker->slot);
}

static bool
fleet_talk_send_listeners(struct fleet_worker *worker)
{
	struct channel_listeners payload;
	int fds[CHANNEL_DESCRIPTORS_MAX];
	size_t cursor = 0, fd_count;
	uint32_t i;

	while (listeners_describe(master_of(worker)->listeners, &cursor, fleet_talk_knows, worker,
		&payload, fds, &fd_count)) {
		if (!fleet_talk_send(worker, CHANNEL_LISTENERS, &payload, fds, fd_count)) {
			return false;
		}
		for (i = 0; i < payload.count; i++) {
			holdings_give(
				&worker->fleet->holdings, payload.sockets[i].number, worker->slot);
		}
	}
	return true;
}

static void
fleet_talk_commit(struct fleet_worker *worker)
{
	const struct master *master = master_of(worker);
	struct channel_commit payload = {.generation = master->generation};

	if (!fleet_talk_send(worker, CHANNEL_COMMIT, &payload, NULL, 0)) {
		return;
	}
	worker->sent_generation = master->generation;
	worker->sent_workers = fleet_wanted(worker->fleet);
	fleet_talk_expect_answer(worker);
	worker->commits_due++;
	fleet_talk_recall(worker);
}

static void
fleet_talk_brief(struct fleet_worker *worker)
{
	if (fleet_talk_send_config(worker) && fleet_talk_send_listeners(worker)) {
		fleet_talk_commit(worker);
	}
}

static bool
fleet_talk_send_wakers(
	struct fleet_worker *worker, const struct channel_wakers *wakers, const int *fds)
{
	return wakers->count == 0 ||
	       fleet_talk_send(worker, CHANNEL_WAKERS, wakers, fds, wakers->count);
}

/* How to wake every worker that there ever was, itself included. */
static bool
fleet_talk_send_all_wakers(struct fleet_worker *worker)
{
	struct channel_wakers wakers = {0};
	int fds[ARRAY_LEN(wakers.slots)];
	bool is_sent = true;

	for (unsigned i = 0; i < worker->fleet->slots.used && is_sent; i++) {
		int fd = fleet_worker_at(worker->fleet, (int)i)->waker;

		if (fd >= 0) {
			wakers.slots[wakers.count] = (int32_t)i;
			fds[wakers.count++] = fd;
		}
		if (wakers.count == ARRAY_LEN(wakers.slots)) {
			is_sent = fleet_talk_send_wakers(worker, &wakers, fds);
			wakers.count = 0;
		}
	}
	return is_sent && fleet_talk_send_wakers(worker, &wakers, fds);
}

/* The first worker of a slot: the others learn how to wake whoever is there. Without a descriptor
 * for it they look ten times a second. */
static void
fleet_talk_make_waker(struct fleet_worker *worker)
{
	struct fleet *fleet = worker->fleet;
	struct channel_wakers wakers = {.count = 1, .slots = {worker->slot}};

	if (worker->waker >= 0) {
		return;
	}
	worker->waker = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (unsigned i = 0; worker->waker >= 0 && i < fleet->slots.used; i++) {
		struct fleet_worker *other = fleet_worker_at(fleet, (int)i);

		if (other != worker && slot_is_live(&fleet->slots.at[i])) {
			(void)fleet_talk_send_wakers(other, &wakers, &worker->waker);
		}
	}
}

void
fleet_talk_brief_newborn(struct fleet_worker *worker)
{
	const struct master *master = master_of(worker);
	struct channel_hello payload = {
		.slot = worker->slot,
		.master_pid = (int32_t)getpid(),
		.descriptor_limit = master->descriptor_limit,
	};

	if (fleet_talk_send(worker, CHANNEL_HELLO, &payload, &master->board_memory, 1)) {
		fleet_talk_send_log(worker);
		fleet_talk_make_waker(worker);
		if (fleet_talk_send_all_wakers(worker)) {
			fleet_talk_brief(worker);
		}
	}
}

/* Those that serve or will; who is leaving goes under the settings it has. */
static bool
fleet_talk_is_behind(const struct fleet_worker *worker)
{
	const struct fleet *fleet = worker->fleet;

	return slot_is_working(fleet_slot_of(worker)) &&
	       (worker->sent_generation != fleet->master->generation ||
		       worker->sent_workers != fleet_wanted(fleet));
}

void
fleet_talk_brief_all(struct fleet *fleet)
{
	unsigned i;

	for (i = 0; i < fleet->slots.used; i++) {
		if (fleet_talk_is_behind(fleet_worker_at(fleet, (int)i))) {
			fleet_talk_brief(fleet_worker_at(fleet, (int)i));
		}
	}
}

void
fleet_talk_nudge_all(struct fleet *fleet)
{
	unsigned i;

	for (i = 0; i < fleet->slots.used; i++) {
		if (fleet->slots.at[i].state == SLOT_READY) {
			(void)fleet_talk_send(
				fleet_worker_at(fleet, (int)i), CHANNEL_NUDGE, NULL, NULL, 0);
		}
	}
}

void
fleet_talk_recall(struct fleet_worker *worker)
{
	struct channel_number payload = {0};

	while (slot_is_live(fleet_slot_of(worker)) &&
		holdings_next_release(&worker->fleet->holdings, worker->slot, &payload.number)) {
		if (fleet_talk_send(worker, CHANNEL_RELEASE, &payload, NULL, 0)) {
			fleet_talk_expect_answer(worker);
			worker->releases_due++;
		}
	}
}

bool
fleet_can_be_asked(const struct fleet *fleet, int slot)
{
	enum slot_state state = fleet->slots.at[slot].state;

	return state == SLOT_READY || state == SLOT_DRAINING;
}

bool
fleet_ask_list(struct fleet *fleet, int slot, uint32_t id, int memory)
{
	struct channel_number payload = {.number = id};

	return fleet_talk_send(fleet_worker_at(fleet, slot), CHANNEL_LIST, &payload, &memory, 1);
}

bool
fleet_ask_kill(struct fleet *fleet, int slot, const struct channel_kill *kill)
{
	return fleet_talk_send(fleet_worker_at(fleet, slot), CHANNEL_KILL, kill, NULL, 0);
}

bool
fleet_talk_drain(struct fleet_worker *worker, int64_t timeout_ms)
{
	struct channel_drain payload = {.drain_timeout_ms = timeout_ms};

	return fleet_talk_send(worker, CHANNEL_DRAIN, &payload, NULL, 0);
}

static void
fleet_talk_tell_ready(const struct fleet_worker *worker, const struct slot *slot)
{
	char buffer[32];
	struct text age;

	text_init(&age, buffer, sizeof(buffer));
	text_add_span_ms(&age, slot->ready_ms - slot->born_ms);
	/* The beginning of a server is told once, by whoever waits for all; a return is news. */
	log_at(slot->backoff.failures > 0 ? LOG_LEVEL_NOTICE : LOG_LEVEL_INFO,
		"worker %d (pid %d) serves, %s after its start", worker->slot, (int)slot->pid,
		buffer);
}

/* Follows the answer to the first COMMIT. */
static int
fleet_talk_on_ready(struct fleet_worker *worker)
{
	struct slot *slot = fleet_slot_of(worker);
	int64_t deadline_ms = slot->deadline_ms; /* of a second COMMIT, sent meanwhile */

	if (slot->ready_ms != 0 || slot->generation == 0) {
		return -EPROTO;
	}
	slot->ready_ms = clock_monotonic_ms();
	if (slot->state == SLOT_STARTING) {
		slot_enter(&worker->fleet->slots, worker->slot, SLOT_READY, "it serves");
		slot->deadline_ms = deadline_ms;
		fleet_talk_tell_ready(worker, slot);
	}
	fleet_turn_soon(worker->fleet);
	return 0;
}

static int
fleet_talk_on_applied(struct fleet_worker *worker, const struct channel_commit *commit)
{
	struct slot *slot = fleet_slot_of(worker);

	if (commit->generation < slot->generation || commit->generation > worker->sent_generation) {
		return -EPROTO;
	}
	slot->generation = commit->generation;
	worker->has_refused = false;
	return fleet_talk_take_answer(worker, &worker->commits_due);
}

static int
fleet_talk_on_refused(struct fleet_worker *worker, const struct channel_refused *refused)
{
	struct slot *slot = fleet_slot_of(worker);
	struct text complaint;
	int status = fleet_talk_take_answer(worker, &worker->commits_due);

	if (status < 0) {
		return status;
	}
	text_init(&complaint, worker->complaint, sizeof(worker->complaint));
	text_add_printable(&complaint, refused->why, strnlen(refused->why, sizeof(refused->why)));
	worker->has_refused = true;
	if (slot->state == SLOT_READY) {
		master_event(master_of(worker), LOG_LEVEL_ERROR,
			"worker %d (pid %d) cannot take configuration %llu: %s; it goes on with "
			"the "
			"one before",
			worker->slot, (int)slot->pid, (unsigned long long)refused->generation,
			worker->complaint);
	} else if (slot->state == SLOT_STARTING) {
		fleet_kill_worker(worker, "refused its configuration");
	}
	return 0;
}

static int
fleet_talk_on_released(struct fleet_worker *worker, const struct channel_number *number)
{
	int status = holdings_released(&worker->fleet->holdings, number->number, worker->slot);

	if (status == 0) {
		status = fleet_talk_take_answer(worker, &worker->releases_due);
		fleet_talk_recall(worker);
	}
	return status;
}

static int
fleet_talk_hear(struct fleet_worker *worker, const struct channel_message *message)
{
	switch (message->type) {
	case CHANNEL_READY:
		return fleet_talk_on_ready(worker);
	case CHANNEL_APPLIED:
		return fleet_talk_on_applied(worker, &message->commit);
	case CHANNEL_REFUSED:
		return fleet_talk_on_refused(worker, &message->refused);
	case CHANNEL_RELEASED:
		return fleet_talk_on_released(worker, &message->number);
	case CHANNEL_LISTED:
		return requests_on_listed(master_of(worker), worker->slot, &message->listed);
	case CHANNEL_KILLED:
		return requests_on_killed(master_of(worker), worker->slot, &message->kill);
	default:
		return -EPROTO;
	}
}

/* @return 0; -EAGAIN nothing more to hear; -EPIPE it closed its end; -EPROTO, with the word that
 *         broke the grammar */
static int
fleet_talk_hear_one(struct fleet_worker *worker, const char **word)
{
	struct channel_message message;
	int status = channel_receive(worker->channel, CHANNEL_MASTER, &message);

	*word = "a malformed message";
	if (status == 0) {
		*word = channel_type_name(message.type);
		status = fleet_talk_hear(worker, &message);
		channel_message_close(&message);
	}
	return status;
}

/* It cannot be talked to any more, so it must end; it usually is about to. */
static void
fleet_talk_lose(struct fleet_worker *worker, int status, const char *word)
{
	struct slot *slot = fleet_slot_of(worker);
	char ending[FLEET_ENDING_MAX];
	int64_t grace_ms = fleet_now(worker->fleet) + FLEET_GRACE_MS;

	ev_io_stop(master_of(worker)->loop, &worker->watcher);
	if (status == -EPIPE) {
		if (slot_is_live(slot) && slot->deadline_ms > grace_ms) {
			slot->deadline_ms = grace_ms;
			fleet_turn_soon(worker->fleet);
		}
		return;
	}
	(void)snprintf(ending, sizeof(ending), "broke the grammar of its channel: %s", word);
	fleet_kill_worker(worker, ending);
}

static void
fleet_talk_on_message(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct fleet_worker *worker = container_of(watcher, struct fleet_worker, watcher);
	const char *word = "";
	int status = 0;
	int heard;

	(void)loop;
	(void)events;
	for (heard = 0; status == 0 && heard < MESSAGES_PER_TURN; heard++) {
		status = fleet_talk_hear_one(worker, &word);
	}
	if (status < 0 && status != -EAGAIN) {
		fleet_talk_lose(worker, status, word);
	}
}

void
fleet_talk_hear_out(struct fleet_worker *worker)
{
	const char *word;
	int heard;

	for (heard = 0; worker->channel >= 0 && heard < MESSAGES_PER_TURN; heard++) {
		if (fleet_talk_hear_one(worker, &word) < 0) {
			return;
		}
	}
}

void
fleet_talk_listen(struct fleet_worker *worker)
{
	ev_io_init(&worker->watcher, fleet_talk_on_message, worker->channel, EV_READ);
	ev_io_start(master_of(worker)->loop, &worker->watcher);
}

int
fleet_talk_open(struct fleet_worker *worker)
{
	int child_end;
	int status = channel_pair(&worker->channel, &child_end);

	if (status < 0) {
		return status;
	}
	fleet_talk_listen(worker);
	worker->sent_generation = 0;
	worker->commits_due = 0;
	worker->releases_due = 0;
	worker->has_refused = false;
	worker->complaint[0] = '\0';
	return child_end;
}

void
fleet_talk_close(struct fleet_worker *worker)
{
	if (worker->channel >= 0) {
		ev_io_stop(master_of(worker)->loop, &worker->watcher);
		descriptor_close(&worker->channel);
	}
}
