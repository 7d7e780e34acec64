/* Prepare, then commit or roll back. The change carries the complete next list: entries that stay
 * are copies of those in force, so that nothing in force is touched before the commit. */
#include "master/listeners_change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/board.h"
#include "common/config.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/net.h"
#include "master/activation.h"
#include "master/listeners.h"
#include "master/master.h"

struct listeners_change {
	struct listeners *listeners;
	const struct config *config;
	struct listening_socket *next;
	size_t count;
	bool *is_kept; /* for each socket in force: it is in `next` */
};

static int
change_fail_open(const struct address *address, const char *name, int code,
	const struct fault *cause, struct fault *why)
{
	char owner[128];

	if (code == -EADDRINUSE) {
		return fault_say(why, EADDRINUSE, "listener %s: %s, by %s", name, cause->text,
			net_port_owner(address, owner, sizeof(owner)));
	}
	return fault_say(why, -code, "listener %s: %s", name, cause->text);
}

static void
change_remember_path(struct listening_socket *socket)
{
	struct stat found;

	if (socket->address.any.sa_family == AF_UNIX &&
		lstat(socket->address.un.sun_path, &found) == 0) {
		socket->path_device = found.st_dev;
		socket->path_inode = found.st_ino;
	}
}

/* A new entry of the next list: passed by the service manager, or opened by us. Number 0 marks it
 * as new until the commit. */
static int
change_open(struct listeners_change *change, const struct listener_config *listener,
	const struct address *address, struct listening_socket *socket, struct fault *why)
{
	struct net_options options;
	struct net_queue queue;
	struct fault cause;

	*socket = (struct listening_socket){.fd = -1, .address = *address, .board_listener = -1};
	if (change->listeners->activation != NULL) {
		socket->fd = activation_take(change->listeners->activation, address);
		socket->was_inherited = socket->fd >= 0;
	}
	if (socket->was_inherited) {
		/* What was dropped before our time is not ours to count. */
		if (net_listener_sample(socket->fd, &queue) == 0) {
			socket->dropped_before = queue.dropped_segments;
		}
		return 0;
	}
	listeners_net_options(listener, &options);
	socket->fd = net_listen(address, &options, &cause);
	if (socket->fd < 0) {
		return change_fail_open(address, listener->name, socket->fd, &cause, why);
	}
	change_remember_path(socket);
	return 0;
}

static int
change_add_address(struct listeners_change *change, int index, const struct address *address,
	struct fault *why)
{
	const struct listener_config *listener = &change->config->listeners[index];
	struct listening_socket *next = &change->next[change->count];
	struct listening_socket *found = listeners_find(change->listeners, address);

	if (found != NULL) {
		change->is_kept[found - change->listeners->sockets] = true;
		*next = *found;
	} else {
		int status = change_open(change, listener, address, next, why);

		if (status != 0) {
			return status;
		}
	}
	change->count++;
	next->listener = index;
	next->asked_backlog = listener->backlog;
	return 0;
}

static void
change_add_retiring(struct listeners_change *change)
{
	for (size_t i = 0; i < change->listeners->count; i++) {
		if (!change->is_kept[i]) {
			change->next[change->count] = change->listeners->sockets[i];
			change->next[change->count].listener = -1;
			change->count++;
		}
	}
}

static int
change_new(struct listeners *listeners, const struct config *config,
	struct listeners_change **change, struct fault *why)
{
	struct listeners_change *made = calloc(1, sizeof(*made));
	size_t capacity = listeners->count + 1;

	for (size_t i = 0; i < config->listener_count; i++) {
		capacity += config->listeners[i].addresses.count;
	}
	if (made != NULL) {
		made->listeners = listeners;
		made->config = config;
		made->next = calloc(capacity, sizeof(*made->next));
		made->is_kept = calloc(listeners->count + 1, sizeof(*made->is_kept));
	}
	if (made == NULL || made->next == NULL || made->is_kept == NULL) {
		listeners_rollback(&made);
		return fault_set(why, ENOMEM, "listeners");
	}
	*change = made;
	return 0;
}

static int
change_fill(struct listeners_change *change, struct fault *why)
{
	for (size_t i = 0; i < change->config->listener_count; i++) {
		const struct address_list *addresses = &change->config->listeners[i].addresses;

		for (size_t j = 0; j < addresses->count; j++) {
			int status = change_add_address(change, (int)i, &addresses->items[j], why);

			if (status != 0) {
				return status;
			}
		}
	}
	change_add_retiring(change);
	return 0;
}

int
listeners_prepare(struct listeners *listeners, const struct config *config,
	struct listeners_change **change, struct fault *why)
{
	struct listeners_change *made = NULL;
	int status = change_new(listeners, config, &made, why);

	if (status == 0) {
		status = change_fill(made, why);
	}
	if (status != 0) {
		listeners_rollback(&made);
		return status;
	}
	*change = made;
	return 0;
}

static void
change_free(struct listeners_change **change)
{
	free((*change)->next);
	free((*change)->is_kept);
	free(*change);
	*change = NULL;
}

void
listeners_rollback(struct listeners_change **change)
{
	if (*change == NULL) {
		return;
	}
	for (size_t i = 0; i < (*change)->count; i++) {
		if ((*change)->next[i].number == 0) {
			listeners_close_socket((*change)->listeners, &(*change)->next[i]);
		}
	}
	change_free(change);
}

static void
commit_retire(struct master *master, struct listening_socket *socket)
{
	char where[ADDRESS_TEXT_MAX];

	if (socket->is_retiring) {
		return;
	}
	socket->is_retiring = true;
	if (socket->is_lost) {
		socket->is_shut = true; /* its end has been told when it was found */
		return;
	}
	listeners_shut_out_socket(socket);
	master_event(master, LOG_LEVEL_NOTICE,
		"listener %s: %s is no longer configured; serving the clients that are in its "
		"queue, "
		"then closing it",
		master->board.master->listeners[socket->board_listener].name,
		address_format(&socket->address, where));
}

/* A socket that was released is unknown to the workers by now, or will be once they read the
 * message that is under way: only a new number makes all of them take it again. */
static void
commit_take_back(struct listeners *listeners, struct listening_socket *socket)
{
	char where[ADDRESS_TEXT_MAX];

	if (socket->is_shut && net_listener_let_in(socket->fd) != 0) {
		log_error("%s: cannot let new clients in again; restart acceptd to open it anew",
			address_format(&socket->address, where));
	}
	if (socket->number == 0 || socket->is_released) {
		socket->number = ++listeners->last_number;
	}
	socket->is_shut = false;
	socket->is_retiring = false;
	socket->is_released = false;
	socket->quiet_since_ms = 0;
}

static void
commit_apply_options(struct master *master, struct listening_socket *socket)
{
	const struct listener_config *listener = &master->config->listeners[socket->listener];
	char where[ADDRESS_TEXT_MAX];
	struct net_options options;
	struct net_queue queue;
	struct fault why;

	listeners_net_options(listener, &options);
	if (net_listener_apply(socket->fd, &options, &why) != 0) {
		master_event(master, LOG_LEVEL_ERROR,
			"listener %s: %s: %s; it goes on with its former settings", listener->name,
			address_format(&socket->address, where), why.text);
	}
	/* What a unix socket got is not always told; it is cut in the same way. */
	socket->effective_backlog =
		(uint32_t)(listener->backlog < master->somaxconn.now ? listener->backlog
								     : master->somaxconn.now);
	if (net_listener_sample(socket->fd, &queue) == 0 && queue.limit > 0) {
		socket->effective_backlog = queue.limit;
	}
}

static void
commit_name(struct master *master, struct listening_socket *socket)
{
	const char *name = master->config->listeners[socket->listener].name;
	int index = board_listener_index(&master->board, name);

	if (index < 0) {
		/* Statistics of this listener then go where those of the last name go: better a
		 * wrong name than a client that is turned away. */
		index = BOARD_LISTENERS - 1;
		master_event(master, LOG_LEVEL_WARNING,
			"listener %s: this master has seen %d listener names, no more fit; its "
			"statistics are added to those of listener %s. Restart to begin anew",
			name, BOARD_LISTENERS, master->board.master->listeners[index].name);
	}
	socket->board_listener = index;
}

void
listeners_commit(struct master *master, struct listeners_change **change)
{
	struct listeners *listeners = (*change)->listeners;

	for (size_t i = 0; i < (*change)->count; i++) {
		struct listening_socket *socket = &(*change)->next[i];

		if (socket->listener < 0) {
			commit_retire(master, socket);
			continue;
		}
		commit_take_back(listeners, socket);
		commit_name(master, socket);
		commit_apply_options(master, socket);
	}
	free(listeners->sockets);
	listeners->sockets = (*change)->next;
	listeners->count = (*change)->count;
	(*change)->next = NULL;
	change_free(change);
}
