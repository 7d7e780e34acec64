/* Reading comes first and judges everything, so that accepting has nothing left that could fail. */
#include "master/heritage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/channel.h"
#include "common/config.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "common/log.h"
#include "master/master.h"
#include "master/reconfigure.h"
#include "master/reload.h"
#include "master/upgrade_probe.h"

#define CONFIG_BYTES_MAX (64 * 1024 * 1024)

/* --- reading --- */

static int
check_open(int fd, const char *what, void *arg)
{
	struct fault *why = arg;

	return fcntl(fd, F_GETFD) >= 0
		       ? 0
		       : fault_set(why, errno, "descriptor %d (%s) of the state", fd, what);
}

static int
read_state(struct heritage *heritage, struct fault *why)
{
	struct fault cause;
	uint8_t *bytes;
	size_t len;
	int status = descriptor_read_all(
		heritage->memory, UPGRADE_STATE_BYTES_MAX, (char **)&bytes, &len);

	if (status != 0) {
		return fault_set(why, -status, "cannot read the state of the running acceptd");
	}
	status = upgrade_state_read(bytes, len, &heritage->state, &cause);
	free(bytes);
	if (status == -EPROTO) {
		return fault_say(why, EPROTO, "%s", cause.text);
	}
	if (status != 0) {
		return fault_say(why, -status, "the state of the running acceptd is damaged: %s",
			cause.text);
	}
	return upgrade_state_visit(&heritage->state, check_open, why);
}

/* Whom we would have to talk to. */
static int
check_language(const struct upgrade_head *head, struct fault *why)
{
	uint64_t theirs = (uint64_t)head->channel, ours = channel_version();

	if (theirs == ours) {
		return 0;
	}
	return fault_say(why, EPROTO,
		"the running workers speak the messages of acceptd %s (%016" PRIx64
		"), this program those of %016" PRIx64,
		head->version, theirs, ours);
}

static int
read_config(struct heritage *heritage, struct fault *why)
{
	struct findings *findings = calloc(1, sizeof(*findings));
	char *text = NULL;
	size_t len;
	int status = findings == NULL ? -ENOMEM
				      : descriptor_read_all((int)heritage->state.head.config,
						CONFIG_BYTES_MAX, &text, &len);

	if (status != 0) {
		(void)fault_set(why, -status, "cannot read the configuration in force");
	} else {
		status = config_load_text(
			text, heritage->state.head.config_path, &heritage->config, findings);
		if (status != 0) {
			(void)fault_say(why, -status,
				"this program does not understand the configuration in force: %s",
				findings->count > 0 ? findings->items[0].text : "out of memory");
		}
	}
	free(text);
	free(findings);
	return status;
}

static int
read_address(const char *text, struct address *address, struct fault *why)
{
	struct fault cause;
	int status = address_parse(text, address, &cause);

	return status == 0 ? 0 : fault_say(why, -status, "an address of the state: %s", cause.text);
}

static int
read_socket(struct heritage *heritage, const struct upgrade_socket *from, struct fault *why)
{
	struct listening_socket *socket = &heritage->listeners.sockets[heritage->listeners.count++];

	*socket = (struct listening_socket){
		.number = (uint32_t)from->number,
		.fd = (int)from->fd,
		.listener = (int)from->listener,
		.board_listener = (int)from->board_listener,
		.asked_backlog = from->asked_backlog,
		.effective_backlog = (uint32_t)from->effective_backlog,
		.dropped_before = (uint32_t)from->dropped_before,
		.is_retiring = from->is_retiring != 0,
		.is_shut = from->is_shut != 0,
		.is_released = from->is_released != 0,
		.is_lost = from->is_lost != 0,
		.is_drained = from->is_drained != 0,
		.was_inherited = from->was_inherited != 0,
		.quiet_since_ms = from->quiet_since_ms,
		.path_device = (dev_t)from->path_device,
		.path_inode = (ino_t)from->path_inode,
	};
	if (socket->listener >= (int)heritage->config->listener_count ||
		(socket->listener < 0) != socket->is_retiring || socket->fd < 0) {
		return fault_say(why, EBADMSG,
			"the state has a listening socket that the configuration in force does "
			"not explain: %s",
			from->address);
	}
	return read_address(from->address, &socket->address, why);
}

static int
read_sockets(struct heritage *heritage, struct fault *why)
{
	const struct upgrade_state *state = &heritage->state;
	int status = 0;

	heritage->listeners.sockets =
		calloc(state->socket_count + 1, sizeof(*heritage->listeners.sockets));
	if (heritage->listeners.sockets == NULL) {
		return fault_set(why, ENOMEM, "cannot take over the listening sockets");
	}
	heritage->listeners.last_number = (uint32_t)state->head.last_socket;
	for (size_t i = 0; status == 0 && i < state->socket_count; i++) {
		status = read_socket(heritage, &state->sockets[i], why);
	}
	return status;
}

/* One in use has its address from the listener's; of the others the kernel is asked. */
static int
read_passed(struct heritage *heritage, struct fault *why)
{
	const struct upgrade_state *state = &heritage->state;
	int status = 0;

	if (state->passed_count > ACTIVATION_MAX) {
		return fault_say(why, EBADMSG,
			"the state has too many sockets of the service "
			"manager");
	}
	for (size_t i = 0; status == 0 && i < state->passed_count; i++) {
		struct activation_socket *into =
			&heritage->activation.sockets[heritage->activation.count++];

		into->fd = (int)state->passed[i].fd;
		if (into->fd < 0) {
			status = read_address(state->passed[i].address, &into->address, why);
		} else if (activation_address_of(into->fd, &into->address) != 0) {
			status = fault_say(why, EBADMSG,
				"the state has a socket of the service "
				"manager without an address");
		}
	}
	return status;
}

static int
read_doors(struct heritage *heritage, struct fault *why)
{
	const struct upgrade_state *state = &heritage->state;
	int status = 0;

	doors_init(&heritage->doors);
	for (size_t i = 0; status == 0 && i < state->door_count; i++) {
		struct door *door = &heritage->doors.at[state->doors[i].kind];

		door->fd = (int)state->doors[i].fd;
		door->path_device = (dev_t)state->doors[i].path_device;
		door->path_inode = (ino_t)state->doors[i].path_inode;
		status = read_address(state->doors[i].address, &door->where, why);
	}
	return status;
}

int
heritage_read(int memory, struct heritage *heritage, struct fault *why)
{
	int status;

	heritage->memory = memory;
	doors_init(&heritage->doors);
	status = read_state(heritage, why);
	if (status == 0) {
		status = check_language(&heritage->state.head, why);
	}
	if (status == 0) {
		status = board_adopt(&heritage->board, (int)heritage->state.head.board, why);
	}
	if (status == 0) {
		status = read_config(heritage, why);
	}
	if (status == 0) {
		status = read_sockets(heritage, why);
	}
	if (status == 0) {
		status = read_passed(heritage, why);
	}
	return status == 0 ? read_doors(heritage, why) : status;
}

/* --- accepting --- */

static void
accept_log(const struct upgrade_head *head, const struct master *master)
{
	struct fault why;

	if (log_adopt(reconfigure_log_target(master, master->config), (int)head->log, &why) != 0) {
		log_error("upgrade: log: %s; writing to the standard error", why.text);
	}
}

static void
accept_notify(const struct upgrade_head *head, struct notify *notify)
{
	notify->fd = (int)head->notify;
	notify->address_len = (socklen_t)head->notify_len;
	notify->watchdog_ms = head->watchdog_ms;
	memcpy(&notify->address, head->notify_address, sizeof(notify->address));
	memcpy(notify->unsent, head->notify_unsent, sizeof(notify->unsent));
}

static void
accept_files(const struct upgrade_head *head, struct master *master)
{
	reconfigure_use_log_level(master->config);
	accept_log(head, master);
	if (head->session_log >= 0) {
		log_output_adopt(LOG_FILE, (int)head->session_log, &master->session_file.output);
	}
	accept_notify(head, &master->notify);
}

void
heritage_accept(struct heritage *heritage, struct master *master)
{
	const struct upgrade_head *head = &heritage->state.head;

	/* Children get their descriptors by message alone, as before. */
	(void)!upgrade_let_through(&heritage->state, heritage->memory, false);
	master->config = heritage->config;
	master->config_memory = (int)head->config;
	master->generation = (uint64_t)head->generation;
	master->board = heritage->board;
	master->board_memory = (int)head->board;
	master->is_daemon = head->is_daemon != 0;
	master->drops_privileges = head->drops_privileges != 0;
	master->identity = (struct privilege_identity){(uid_t)head->uid, (gid_t)head->gid};
	master->reload->workers = (unsigned)head->configured_workers;
	master->reload->was_refused = head->was_refused != 0;
	master->reload->is_wanted = head->wants_reload != 0;
	*master->listeners = heritage->listeners;
	master->activation = heritage->activation;
	master->listeners->activation = &master->activation;
	*master->doors = heritage->doors;
	accept_files(head, master);
	heritage->config = NULL;
	heritage->board = (struct board){0};
	heritage->listeners = (struct listeners){0};
}

void
heritage_dispose(struct heritage *heritage)
{
	int binary = (int)heritage->state.head.binary;

	descriptor_close(&binary);
	descriptor_close(&heritage->memory);
	config_free(&heritage->config);
	board_detach(&heritage->board);
	free(heritage->listeners.sockets);
	heritage->listeners = (struct listeners){0};
	upgrade_state_free(&heritage->state);
}
