/* The list of listening sockets: described to children, reported to people, closed. */
#include "master/listeners.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/board.h"
#include "common/config.h"
#include "common/descriptor.h"
#include "common/log.h"
#include "common/net.h"
#include "common/text.h"
#include "master/activation.h"
#include "master/master.h"

#define SOCKETS_PER_MESSAGE ARRAY_LEN(((struct channel_listeners *)NULL)->sockets)
#define REPORT_TEXT_MAX     900

static void
listeners_describe_socket(const struct listening_socket *socket, struct channel_socket *description)
{
	*description = (struct channel_socket){
		.number = socket->number,
		.listener = (int16_t)socket->listener,
		.board_listener = (int16_t)socket->board_listener,
		.is_retiring = socket->is_retiring,
	};
}

bool
listeners_describe(const struct listeners *listeners, size_t *cursor,
	bool (*knows)(const void *child, uint32_t number), const void *child,
	struct channel_listeners *payload, int *fds, size_t *fd_count)
{
	memset(payload, 0, sizeof(*payload));
	*fd_count = 0;
	for (; *cursor < listeners->count && payload->count < SOCKETS_PER_MESSAGE; (*cursor)++) {
		const struct listening_socket *socket = &listeners->sockets[*cursor];
		bool is_new = knows == NULL || !knows(child, socket->number);
		uint32_t at = payload->count;

		/* A queue on its way out is emptied by those who had it. */
		if (socket->is_released || (socket->is_retiring && is_new)) {
			continue;
		}
		listeners_describe_socket(socket, &payload->sockets[at]);
		if (is_new) {
			payload->new_mask[at / 32] |= 1U << (at % 32);
			fds[(*fd_count)++] = socket->fd;
		}
		payload->count++;
	}
	return payload->count > 0;
}

void
listeners_net_options(const struct listener_config *listener, struct net_options *options)
{
	*options = (struct net_options){
		.backlog = listener->backlog,
		.no_delay = listener->no_delay,
		.keepalive_idle_ms = listener->keepalive.idle_ms,
		.keepalive_interval_ms = listener->keepalive.interval_ms,
		.keepalive_probes = listener->keepalive.probes,
		.user_timeout_ms = listener->user_timeout_ms,
		.unix_mode = (mode_t)listener->unix_mode,
	};
}

/* A retiring unix socket has lost its path and a released one its workers: there is no way back for
 * the first, and the second needs a new number, which listeners_change gives. */
static bool
listeners_can_return(const struct listening_socket *socket)
{
	return !socket->is_lost &&
	       (!socket->is_retiring || socket->address.any.sa_family != AF_UNIX ||
		       socket->was_inherited);
}

struct listening_socket *
listeners_find(const struct listeners *listeners, const struct address *address)
{
	for (size_t i = 0; i < listeners->count; i++) {
		struct listening_socket *socket = &listeners->sockets[i];

		if (address_equal(&socket->address, address) && listeners_can_return(socket)) {
			return socket;
		}
	}
	return NULL;
}

static void
listeners_report_socket(struct master *master, const struct listening_socket *socket)
{
	const char *name = master->config->listeners[socket->listener].name;
	char buffer[REPORT_TEXT_MAX], words[512], where[ADDRESS_TEXT_MAX];
	bool is_cut = (int64_t)socket->effective_backlog < socket->asked_backlog;
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	text_add(&text, "listener %s: %s: effective backlog %u", name,
		address_format(&socket->address, where), (unsigned)socket->effective_backlog);
	if (is_cut) {
		text_add(&text, " of %lld asked: %s", (long long)socket->asked_backlog,
			kernel_explain_cut(
				&master->somaxconn, socket->asked_backlog, words, sizeof(words)));
	}
	if (socket->was_inherited) {
		text_add(&text, "; passed by the service manager");
	}
	master_event(master, is_cut ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE, "%s", buffer);
}

void
listeners_report(struct master *master)
{
	for (size_t i = 0; i < master->listeners->count; i++) {
		if (!master->listeners->sockets[i].is_retiring) {
			listeners_report_socket(master, &master->listeners->sockets[i]);
		}
	}
}

/* Somebody may have put another socket at the path: that one is not ours to remove. */
static void
listeners_unlink(struct listening_socket *socket)
{
	struct stat found;
	const char *path = socket->address.un.sun_path;

	if (socket->address.any.sa_family != AF_UNIX || socket->was_inherited ||
		socket->path_inode == 0) {
		return;
	}
	if (lstat(path, &found) == 0 && found.st_dev == socket->path_device &&
		found.st_ino == socket->path_inode) {
		(void)unlink(path);
	}
	socket->path_inode = 0;
}

void
listeners_shut_out_socket(struct listening_socket *socket)
{
	char where[ADDRESS_TEXT_MAX];
	int error;

	if (socket->was_inherited) {
		return; /* a filter on it would outlive us in the service manager's copy */
	}
	if (socket->address.any.sa_family == AF_UNIX) {
		listeners_unlink(socket);
		socket->is_shut = true;
		return;
	}
	error = net_listener_shut_out(socket->fd);
	socket->is_shut = error == 0;
	if (error == -EPERM) {
		log_info("%s: without CAP_NET_ADMIN new clients cannot be kept out while its queue "
			 "empties; who comes in the last moment may be reset",
			address_format(&socket->address, where));
	} else if (error != 0) {
		log_warning(
			"%s: cannot keep new clients out while its queue empties: %s; who comes in "
			"the last moment may be reset",
			address_format(&socket->address, where), strerror(-error));
	}
}

void
listeners_shut_out(struct listeners *listeners)
{
	for (size_t i = 0; i < listeners->count; i++) {
		listeners_shut_out_socket(&listeners->sockets[i]);
	}
}

uint64_t
listeners_count_waiting(const struct listeners *listeners)
{
	uint64_t waiting = 0;

	for (size_t i = 0; i < listeners->count; i++) {
		if (!listeners->sockets[i].was_inherited) {
			waiting += net_listener_depth(listeners->sockets[i].fd);
		}
	}
	return waiting;
}

bool
listeners_are_retiring(const struct listeners *listeners)
{
	for (size_t i = 0; i < listeners->count; i++) {
		if (listeners->sockets[i].is_retiring) {
			return true;
		}
	}
	return false;
}

void
listeners_close_socket(struct listeners *listeners, struct listening_socket *socket)
{
	if (socket->was_inherited && listeners->activation != NULL) {
		activation_give_back(listeners->activation, socket->fd, &socket->address);
		socket->fd = -1;
		return;
	}
	listeners_unlink(socket);
	descriptor_close(&socket->fd);
}

void
listeners_close_all(struct listeners *listeners)
{
	for (size_t i = 0; i < listeners->count; i++) {
		listeners_close_socket(listeners, &listeners->sockets[i]);
	}
	listeners->count = 0;
}
