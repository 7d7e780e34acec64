/* Every request has a number of the monitor's choice, which comes back with the answer. Those that
 * take time wait in a small table; a monitor that asks for more than it can have sessions is told
 * so. */
#include "master/requests.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/board.h"
#include "common/config.h"
#include "common/descriptor.h"
#include "common/log.h"
#include "common/net.h"
#include "common/text.h"
#include "master/backends.h"
#include "master/fleet.h"
#include "master/lifecycle.h"
#include "master/listeners.h"
#include "master/master.h"
#include "master/monitor_child.h"
#include "master/reload.h"
#include "master/upgrade.h"
#include "master/upgrade_state.h"

#define ANSWER_MAX       1024
#define LIST_PATIENCE_MS 2000

static void
requests_answer(struct master *master, uint32_t id, int status, const char *text)
{
	monitor_child_answer(master->monitor, id, status, text);
}

/* @return NULL when the table is full */
static struct request *
requests_keep(struct requests *requests, uint32_t id, enum channel_command command)
{
	for (size_t i = 0; i < REQUESTS_MAX; i++) {
		struct request *request = &requests->waiting[i];

		if (!request->is_used) {
			*request = (struct request){.id = id, .command = command, .is_used = true};
			return request;
		}
	}
	requests_answer(
		requests->master, id, -EBUSY, "too many requests at the same time; try again");
	return NULL;
}

int
requests_init(struct requests *requests, struct master *master)
{
	memset(requests, 0, sizeof(*requests));
	requests->master = master;
	requests->list.memory = malloc(BOARD_SLOTS * sizeof(int));
	if (requests->list.memory == NULL) {
		return -ENOMEM;
	}
	for (int i = 0; i < BOARD_SLOTS; i++) {
		requests->list.memory[i] = -1;
	}
	master->requests = requests;
	return 0;
}

static void requests_drop_list(struct requests *requests);

/* --- reload and stop --- */

static void
requests_reload(struct requests *requests, uint32_t id)
{
	struct master *master = requests->master;
	struct request *request;

	if (master->state > MASTER_SERVING) {
		requests_answer(master, id, -ESHUTDOWN, "the server is stopping; nothing changed");
		return;
	}
	if (upgrade_is_going_on(master)) {
		requests_answer(master, id, -EBUSY,
			"an upgrade is in progress; nothing changed, try again when it has ended");
		return;
	}
	request = requests_keep(requests, id, COMMAND_RELOAD);
	if (request != NULL) {
		request->run = master->reload->run + 1;
		reload_request(master);
	}
}

void
requests_on_reload(struct master *master, unsigned run, bool is_good, const char *said)
{
	struct requests *requests = master->requests;

	for (size_t i = 0; requests != NULL && i < REQUESTS_MAX; i++) {
		struct request *request = &requests->waiting[i];

		if (request->is_used && request->command == COMMAND_RELOAD &&
			(int)(run - request->run) >= 0) {
			request->is_used = false;
			requests_answer(master, request->id, is_good ? 0 : -EINVAL, said);
		}
	}
}

/* --- upgrade --- */

static void
requests_upgrade(struct requests *requests, const struct channel_request *request)
{
	struct master *master = requests->master;
	char who[sizeof(request->who) + 32];

	if (master->state > MASTER_SERVING) {
		requests_answer(
			master, request->id, -ESHUTDOWN, "the server is stopping; nothing changed");
	} else if (upgrade_is_going_on(master)) {
		requests_answer(master, request->id, -EBUSY,
			"an upgrade is in progress; nothing was added to it");
	} else if (requests_keep(requests, request->id, COMMAND_UPGRADE) != NULL) {
		(void)snprintf(who, sizeof(who), "acceptctl upgrade, asked by %s", request->who);
		upgrade_request(master, who);
	}
}

void
requests_on_upgrade(struct master *master, int status, const char *said)
{
	for (size_t i = 0; master->requests != NULL && i < REQUESTS_MAX; i++) {
		struct request *request = &master->requests->waiting[i];

		if (request->is_used && request->command == COMMAND_UPGRADE) {
			request->is_used = false;
			requests_answer(master, request->id, status, said);
		}
	}
}

void
requests_dismiss(struct master *master)
{
	struct requests *requests = master->requests;

	if (requests->list.awaited > 0) {
		requests_answer(master, requests->list.id, -EBUSY,
			"the server is being upgraded; try again");
		requests_drop_list(requests);
	}
	for (size_t i = 0; i < REQUESTS_MAX; i++) {
		struct request *request = &requests->waiting[i];

		if (request->is_used && request->command != COMMAND_UPGRADE) {
			request->is_used = false;
			requests_answer(master, request->id, -EBUSY,
				"the server is being upgraded; try again");
		}
	}
}

void
requests_take_over(struct master *master, const struct upgrade_state *state)
{
	for (size_t i = 0; i < state->asker_count; i++) {
		(void)requests_keep(
			master->requests, (uint32_t)state->askers[i].id, COMMAND_UPGRADE);
	}
}

static uint64_t
requests_count_cut(const struct master *master)
{
	struct board_listener_copy sum;
	uint64_t count = 0;

	for (int i = 0; i < BOARD_LISTENERS; i++) {
		if (atomic_load(&master->board.writable->listeners[i].is_used) != 0) {
			board_sum_listener(&master->board, i, &sum);
			count += sum.closed[CLOSE_drain];
		}
	}
	return count;
}

static void
requests_stop(struct requests *requests, uint32_t id, const char *argument)
{
	struct master *master = requests->master;
	bool is_first = master->state <= MASTER_SERVING;

	if (requests_keep(requests, id, COMMAND_STOP) == NULL) {
		return;
	}
	if (is_first) {
		requests->cut_before = requests_count_cut(master);
	}
	if (strcmp(argument, "now") == 0) {
		lifecycle_stop(master, EXIT_SUCCESS, "acceptctl stop now");
	} else if (is_first) {
		lifecycle_drain(master, "acceptctl stop");
	}
}

void
requests_on_stopped(struct master *master)
{
	struct requests *requests = master->requests;
	char text[ANSWER_MAX];
	uint64_t cut;

	if (requests == NULL) {
		return;
	}
	cut = requests_count_cut(master) - requests->cut_before;
	(void)snprintf(text, sizeof(text), "stopped; %" PRIu64 " connections were cut\n", cut);
	for (size_t i = 0; i < REQUESTS_MAX; i++) {
		struct request *request = &requests->waiting[i];

		if (request->is_used) {
			request->is_used = false;
			requests_answer(master, request->id,
				request->command == COMMAND_STOP ? 0 : -ESHUTDOWN,
				request->command == COMMAND_STOP ? text : "the server has stopped");
		}
	}
}

/* --- drain and resume a listener --- */

/* @return NULL, or what is in the way */
static const char *
requests_obstacle(const struct listening_socket *socket)
{
	if (socket->was_inherited) {
		return "it was passed by the service manager, which goes on taking clients for it";
	}
	if (socket->address.any.sa_family == AF_UNIX) {
		return "it is a unix socket, whose clients cannot be kept out for a while";
	}
	return NULL;
}

static int
requests_restore(const struct master *master, const struct listening_socket *socket)
{
	struct net_options options;

	listeners_net_options(&master->config->listeners[socket->listener], &options);
	return net_listener_apply(socket->fd, &options, NULL);
}

static int
requests_move_socket(const struct master *master, struct listening_socket *socket, bool drains)
{
	int status = drains ? net_listener_shut_out(socket->fd) : net_listener_let_in(socket->fd);

	if (status == -EPERM && drains) {
		/* Without the right to filter it has shrunk the queue instead: take that back. */
		(void)requests_restore(master, socket);
	}
	if (status == 0 || status == -ENOENT) {
		socket->is_drained = drains;
		status = 0;
	}
	return status;
}

/* @return how many of the listener's sockets are as wanted; the others are told of in `words` */
static unsigned
requests_move_listener(struct master *master, const struct listener_config *listener, bool drains,
	struct text *words)
{
	unsigned moved = 0;

	for (size_t i = 0; i < master->listeners->count; i++) {
		struct listening_socket *socket = &master->listeners->sockets[i];
		char where[ADDRESS_TEXT_MAX];
		const char *obstacle;
		int status;

		if (socket->is_retiring ||
			socket->listener != listener - master->config->listeners) {
			continue;
		}
		obstacle = requests_obstacle(socket);
		status = obstacle == NULL ? requests_move_socket(master, socket, drains) : 0;
		if (obstacle != NULL || status != 0) {
			text_add(words, "\n%s stays as it is: %s",
				address_format(&socket->address, where),
				obstacle != NULL   ? obstacle
				: status == -EPERM ? "it takes CAP_NET_ADMIN, which acceptd was "
						     "started without"
						   : strerror(-status));
			continue;
		}
		stat_set(&master->board.writable->listeners[socket->board_listener]
				  .queue[STAT_QUEUE_drained],
			drains ? 1 : 0);
		moved++;
	}
	return moved;
}

static void
requests_move(struct requests *requests, const struct channel_request *request)
{
	struct master *master = requests->master;
	bool drains = request->command == COMMAND_DRAIN;
	const struct listener_config *listener = config_listener(master->config, request->argument);
	char text[ANSWER_MAX], obstacles[ANSWER_MAX / 2];
	struct text answer, words;
	unsigned moved;

	text_init(&answer, text, sizeof(text));
	text_init(&words, obstacles, sizeof(obstacles));
	if (listener == NULL) {
		text_add(&answer, "there is no listener '%s'; acceptctl listeners shows them",
			request->argument);
		requests_answer(master, request->id, -ENOENT, text);
		return;
	}
	moved = requests_move_listener(master, listener, drains, &words);
	if (moved > 0) {
		master_event(master, LOG_LEVEL_NOTICE, "listener %s: %s, asked by %s",
			listener->name,
			drains ? "takes no new clients until acceptctl resume"
			       : "takes new clients again",
			request->who);
	}
	text_add(&answer, "listener %s: %s%s", listener->name,
		moved == 0 ? "nothing changed"
		: drains   ? "new clients are kept out, those here go on; acceptctl resume lets "
			     "them in again"
			   : "takes new clients again",
		obstacles);
	requests_answer(master, request->id, moved > 0 ? 0 : -EOPNOTSUPP, text);
}

/* --- the connections of all workers --- */

static void
requests_drop_list(struct requests *requests)
{
	struct request_list *list = &requests->list;

	loop_timer_stop(requests->master->loop, &list->patience);
	for (int slot = 0; slot < BOARD_SLOTS; slot++) {
		descriptor_close(&list->memory[slot]);
	}
	list->awaited = 0;
}

static void
requests_end_list(struct requests *requests)
{
	struct request_list *list = &requests->list;
	char text[128] = "";

	requests_drop_list(requests);
	if (list->silent > 0) {
		(void)snprintf(text, sizeof(text),
			"%u workers did not answer within %d s; their connections are missing",
			list->silent, LIST_PATIENCE_MS / 1000);
	}
	requests_answer(requests->master, list->id, 0, text);
}

static void requests_next_list(struct requests *requests);

static void
requests_on_patience_end(struct ev_loop *loop, struct loop_timer *timer)
{
	struct request_list *list = container_of(timer, struct request_list, patience);
	struct requests *requests = container_of(list, struct requests, list);

	(void)loop;
	list->silent += list->awaited;
	requests_end_list(requests);
	requests_next_list(requests);
}

/* Room for every connection that the worker has, and for those who come meanwhile. What it says of
 * itself is not trusted beyond what its descriptors allow. */
static int
requests_make_room(const struct master *master, int slot)
{
	uint64_t open = stat_get(&master->board.slots[slot].stats[STAT_WORKER_open]);
	uint64_t most = (uint64_t)master->descriptor_limit;
	uint64_t count = (open < most ? open : most) + 64;

	return descriptor_fixed_memory(
		"acceptd-connections", (size_t)count * sizeof(struct channel_connection));
}

static void
requests_begin_list(struct requests *requests, uint32_t id)
{
	struct master *master = requests->master;
	struct request_list *list = &requests->list;

	list->id = id;
	list->silent = 0;
	loop_timer_init(&list->patience, requests_on_patience_end);
	for (int slot = 0; slot < BOARD_SLOTS; slot++) {
		if (!fleet_can_be_asked(master->fleet, slot)) {
			continue;
		}
		list->memory[slot] = requests_make_room(master, slot);
		if (list->memory[slot] >= 0 &&
			fleet_ask_list(master->fleet, slot, id, list->memory[slot])) {
			list->awaited++;
		} else {
			descriptor_close(&list->memory[slot]);
			list->silent++;
		}
	}
	if (list->awaited == 0) {
		requests_end_list(requests);
	} else {
		loop_timer_start(master->loop, &list->patience, LIST_PATIENCE_MS);
	}
}

static void
requests_next_list(struct requests *requests)
{
	for (size_t i = 0; requests->list.awaited == 0 && i < REQUESTS_MAX; i++) {
		struct request *request = &requests->waiting[i];

		if (request->is_used && request->command == COMMAND_LIST) {
			request->is_used = false;
			requests_begin_list(requests, request->id);
		}
	}
}

static void
requests_list_heard(struct requests *requests, int slot)
{
	descriptor_close(&requests->list.memory[slot]);
	if (--requests->list.awaited == 0) {
		requests_end_list(requests);
		requests_next_list(requests);
	}
}

int
requests_on_listed(struct master *master, int slot, const struct channel_listed *listed)
{
	struct requests *requests = master->requests;

	if (requests == NULL) {
		return -EPROTO;
	}
	if (requests->list.memory[slot] < 0 || requests->list.id != listed->id) {
		return 0; /* too late */
	}
	monitor_child_send_rows(
		master->monitor, listed->id, slot, listed->count, requests->list.memory[slot]);
	requests_list_heard(requests, slot);
	return 0;
}

/* --- killing one --- */

static void
requests_answer_kill(struct requests *requests, struct request *request, int status)
{
	char text[ANSWER_MAX];

	request->is_used = false;
	(void)snprintf(text, sizeof(text), "connection %d-%" PRIu32 " %s", request->slot,
		request->serial, status == 0 ? "is closed" : "is not there (any more)");
	requests_answer(requests->master, request->id, status == 0 ? 0 : -ENOENT, text);
}

static void
requests_kill(struct requests *requests, const struct channel_request *asked)
{
	struct master *master = requests->master;
	struct channel_kill kill = {.id = asked->id};
	struct request *request;
	int slot;

	if (!channel_parse_connection(asked->argument, &slot, &kill.serial)) {
		requests_answer(master, asked->id, -EINVAL,
			"not the id of a connection; acceptctl connections shows them");
		return;
	}
	request = requests_keep(requests, asked->id, COMMAND_KILL);
	if (request == NULL) {
		return;
	}
	request->slot = slot;
	request->serial = kill.serial;
	if (!fleet_can_be_asked(master->fleet, slot) ||
		!fleet_ask_kill(master->fleet, slot, &kill)) {
		request->is_used = false;
		requests_answer(master, asked->id, -ENOENT, "there is no such connection");
		return;
	}
	master_event(master, LOG_LEVEL_NOTICE, "connection %s: to be closed, asked by %s",
		asked->argument, asked->who);
}

/* An answer that comes late meets nothing here, or what another monitor asked under the same
 * number. */
int
requests_on_killed(struct master *master, int slot, const struct channel_kill *killed)
{
	struct requests *requests = master->requests;

	if (requests == NULL) {
		return -EPROTO;
	}
	for (size_t i = 0; i < REQUESTS_MAX; i++) {
		struct request *request = &requests->waiting[i];

		if (request->is_used && request->command == COMMAND_KILL &&
			request->id == killed->id && request->slot == slot &&
			request->serial == killed->serial) {
			requests_answer_kill(requests, request, killed->status);
			return 0;
		}
	}
	return 0;
}

/* Its connections went with it. */
void
requests_on_worker_gone(struct master *master, int slot)
{
	struct requests *requests = master->requests;

	for (size_t i = 0; requests != NULL && i < REQUESTS_MAX; i++) {
		struct request *request = &requests->waiting[i];

		if (request->is_used && request->command == COMMAND_KILL && request->slot == slot) {
			requests_answer_kill(requests, request, -ENOENT);
		}
	}
	if (requests != NULL && requests->list.memory[slot] >= 0) {
		requests->list.silent++;
		requests_list_heard(requests, slot);
	}
}

/* --- servers of upstreams --- */

static void
requests_order(struct requests *requests, const struct channel_request *request)
{
	struct master *master = requests->master;
	char text[ANSWER_MAX];
	int status = backends_order(&master->board, request->argument, text, sizeof(text));

	if (status == 0) {
		master_event(master, LOG_LEVEL_NOTICE, "%s, asked by %s", text, request->who);
	}
	requests_answer(master, request->id, status, text);
}

/* --- all --- */

void
requests_take(struct master *master, const struct channel_request *request)
{
	struct requests *requests = master->requests;

	switch ((enum channel_command)request->command) {
	case COMMAND_RELOAD:
		master_event(
			master, LOG_LEVEL_NOTICE, "acceptctl reload, asked by %s", request->who);
		requests_reload(requests, request->id);
		break;
	case COMMAND_STOP:
		master_event(master, LOG_LEVEL_NOTICE, "acceptctl stop %s%sasked by %s",
			request->argument, request->argument[0] != '\0' ? ", " : "", request->who);
		requests_stop(requests, request->id, request->argument);
		break;
	case COMMAND_DRAIN:
	case COMMAND_RESUME:
		requests_move(requests, request);
		break;
	case COMMAND_LIST:
		if (requests_keep(requests, request->id, COMMAND_LIST) != NULL) {
			requests_next_list(requests);
		}
		break;
	case COMMAND_KILL:
		requests_kill(requests, request);
		break;
	case COMMAND_SERVER:
		requests_order(requests, request);
		break;
	case COMMAND_UPGRADE:
		requests_upgrade(requests, request);
		break;
	case COMMAND_COUNT:
		break;
	}
}

void
requests_forget(struct master *master)
{
	if (master->requests != NULL) {
		memset(master->requests->waiting, 0, sizeof(master->requests->waiting));
		/* The next monitor numbers its requests anew: it may have the number of this list.
		 */
		requests_drop_list(master->requests);
	}
}

void
requests_fini(struct requests *requests)
{
	if (requests->list.memory == NULL) {
		return;
	}
	requests_drop_list(requests);
	free(requests->list.memory);
	requests->list.memory = NULL;
}
