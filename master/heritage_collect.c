/* The master as a state. The order of the fields is that of upgrade_state.h. */
#include "build.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/board.h"
#include "common/channel.h"
#include "common/clock.h"
#include "common/log.h"
#include "master/doors.h"
#include "master/fleet.h"
#include "master/heritage.h"
#include "master/listeners.h"
#include "master/master.h"
#include "master/monitor_child.h"
#include "master/reload.h"
#include "master/requests.h"
#include "master/session_file.h"
#include "master/upgrade.h"
#include "master/upgrade_state.h"

static void
collect_text(char *into, size_t size, const char *text)
{
	(void)snprintf(into, size, "%s", text != NULL ? text : "");
}

static void
collect_notify(const struct notify *notify, struct upgrade_head *head)
{
	_Static_assert(sizeof(notify->address) <= sizeof(head->notify_address), "it has room");
	_Static_assert(sizeof(notify->unsent) <= sizeof(head->notify_unsent), "it has room");
	head->notify = notify->fd;
	head->notify_len = notify->address_len;
	head->watchdog_ms = notify->watchdog_ms;
	memcpy(head->notify_address, &notify->address, sizeof(notify->address));
	collect_text(head->notify_unsent, sizeof(head->notify_unsent), notify->unsent);
}

static void
collect_head(const struct master *master, struct upgrade_head *head)
{
	enum log_sink sink;

	collect_text(head->version, sizeof(head->version), PACKAGE_VERSION);
	head->channel = (int64_t)channel_version();
	head->began_us = clock_monotonic_us();
	collect_text(head->program, sizeof(head->program), master->program);
	collect_text(head->config_path, sizeof(head->config_path), master->config_path);
	head->binary = master->binary;
	head->board = master->board_memory;
	head->config = master->config_memory;
	head->is_daemon = master->is_daemon;
	head->drops_privileges = master->drops_privileges;
	head->uid = master->identity.uid;
	head->gid = master->identity.gid;
	head->generation = (int64_t)master->generation;
	head->wanted = fleet_wanted(master->fleet);
	head->configured_workers = master->reload->workers;
	head->was_refused = master->reload->was_refused;
	head->wants_reload = master->reload->is_wanted;
	head->last_socket = master->listeners->last_number;
	head->log = log_descriptor(&sink);
	head->session_log = session_file_descriptor(&master->session_file);
	collect_text(head->pid_path, sizeof(head->pid_path), master->pidfile.path);
	head->pid_file = master->pidfile.fd;
	head->pid_was_created = master->pidfile.was_created;
	collect_notify(&master->notify, head);
	head->monitor_pid = master->monitor->pid;
	head->monitor_channel = master->monitor->channel;
	head->monitor_born_ms = master->monitor->born_ms;
	head->monitor_is_leaving = master->monitor->is_leaving;
}

static int
collect_doors(const struct doors *doors, struct upgrade_state *state)
{
	for (size_t i = 0; i < DOOR_COUNT; i++) {
		const struct door *door = &doors->at[i];
		struct upgrade_door *into;

		if (door->fd < 0) {
			continue;
		}
		into = upgrade_state_add(state, UPGRADE_DOORS);
		if (into == NULL) {
			return -ENOMEM;
		}
		into->kind = (int64_t)i;
		into->fd = door->fd;
		(void)address_format(&door->where, into->address);
		into->path_device = (int64_t)door->path_device;
		into->path_inode = (int64_t)door->path_inode;
	}
	return 0;
}

static void
collect_socket(const struct listening_socket *socket, struct upgrade_socket *into)
{
	into->number = socket->number;
	into->fd = socket->fd;
	(void)address_format(&socket->address, into->address);
	into->listener = socket->listener;
	into->board_listener = socket->board_listener;
	into->asked_backlog = socket->asked_backlog;
	into->effective_backlog = socket->effective_backlog;
	into->dropped_before = socket->dropped_before;
	into->is_retiring = socket->is_retiring;
	into->is_shut = socket->is_shut;
	into->is_released = socket->is_released;
	into->is_lost = socket->is_lost;
	into->is_drained = socket->is_drained;
	into->was_inherited = socket->was_inherited;
	into->quiet_since_ms = socket->quiet_since_ms;
	into->path_device = (int64_t)socket->path_device;
	into->path_inode = (int64_t)socket->path_inode;
}

static int
collect_sockets(const struct listeners *listeners, struct upgrade_state *state)
{
	for (size_t i = 0; i < listeners->count; i++) {
		struct upgrade_socket *into = upgrade_state_add(state, UPGRADE_SOCKETS);

		if (into == NULL) {
			return -ENOMEM;
		}
		collect_socket(&listeners->sockets[i], into);
	}
	return 0;
}

static int
collect_passed(const struct activation *activation, struct upgrade_state *state)
{
	for (size_t i = 0; i < activation->count; i++) {
		struct upgrade_passed *into = upgrade_state_add(state, UPGRADE_PASSED);

		if (into == NULL) {
			return -ENOMEM;
		}
		into->fd = activation->sockets[i].fd;
		(void)address_format(&activation->sockets[i].address, into->address);
	}
	return 0;
}

static int
collect_askers(const struct requests *requests, struct upgrade_state *state)
{
	for (size_t i = 0; i < REQUESTS_MAX; i++) {
		const struct request *request = &requests->waiting[i];
		struct upgrade_asker *into;

		if (!request->is_used || request->command != COMMAND_UPGRADE) {
			continue;
		}
		into = upgrade_state_add(state, UPGRADE_ASKERS);
		if (into == NULL) {
			return -ENOMEM;
		}
		into->id = request->id;
	}
	return 0;
}

int
heritage_collect(const struct master *master, struct upgrade_state *state)
{
	int status;

	collect_head(master, &state->head);
	status = collect_doors(master->doors, state);
	if (status == 0) {
		status = collect_sockets(master->listeners, state);
	}
	if (status == 0) {
		status = collect_passed(&master->activation, state);
	}
	if (status == 0) {
		status = collect_askers(master->requests, state);
	}
	return status == 0 ? fleet_hand_over(master->fleet, state) : status;
}
