/* Looks after the open sockets. Two getsockopt calls a socket, about half a microsecond. */
#include "master/listeners_watch.h"

#include <errno.h>
#include <string.h>

#include "common/board.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/net.h"
#include "master/fleet.h"
#include "master/listeners.h"
#include "master/master.h"

/* How long a retired queue must have been empty before it is let go: long enough for a client whose
 * last handshake segment was lost, because the server repeats its own after one second. */
#define LISTENERS_QUIET_MS 1500

/* Counts that belong to one listener's name, over all its sockets. */
struct watch_sum {
	uint64_t depth, limit, asked, dropped;
};

/* Why a socket has to be healed; NULL when it is as we made it. */
static const char *
heal_find_damage(const struct listening_socket *socket)
{
	struct net_queue queue;

	if (net_listener_sample(socket->fd, &queue) != 0) {
		return NULL;
	}
	if (!queue.is_listening) {
		return "somebody shut it down and its queue was lost";
	}
	if (queue.limit != socket->effective_backlog &&
		(queue.limit > 0 || socket->address.any.sa_family != AF_UNIX)) {
		return "somebody changed its backlog";
	}
	/* Nobody but us attaches a filter, and we do it to retiring and drained sockets alone;
	 * without one this fails with ENOENT. */
	if (!socket->was_inherited && !socket->is_drained && net_listener_let_in(socket->fd) == 0) {
		return "somebody filtered its clients";
	}
	return NULL;
}

/* The name stays with the socket for ever, but its path can be given to another one. */
static void
heal_give_up(struct master *master, struct listening_socket *socket, const char *where)
{
	socket->is_lost = true;
	socket->path_inode = 0; /* the path will be the next one's, perhaps with the same number */
	stat_add(&master->board.writable->stats[STAT_MASTER_listeners_healed], 1);
	master_event(master, LOG_LEVEL_ERROR,
		"listener %s: %s: somebody shut it down; clients in its queue are lost, opening it "
		"anew. Suspect a module or a worker that was taken over",
		master->config->listeners[socket->listener].name, where);
}

static void
heal_socket(struct master *master, struct listening_socket *socket, const char *damage)
{
	const struct listener_config *listener = &master->config->listeners[socket->listener];
	char where[ADDRESS_TEXT_MAX];
	struct net_options options;
	struct net_queue queue;
	struct fault why;
	int status;

	listeners_net_options(listener, &options);
	address_format(&socket->address, where);
	status = net_listener_apply(socket->fd, &options, &why);
	if (status == -ESHUTDOWN) {
		heal_give_up(master, socket, where);
		return;
	}
	if (status != 0) {
		master_event(master, LOG_LEVEL_ERROR,
			"listener %s: %s: %s; cannot open it again: %s", listener->name, where,
			damage, why.text);
		return;
	}
	/* What is in force now may be less than before, when somaxconn was lowered meanwhile. */
	if (net_listener_sample(socket->fd, &queue) == 0) {
		socket->effective_backlog = queue.limit;
	}
	stat_add(&master->board.writable->stats[STAT_MASTER_listeners_healed], 1);
	master_event(master, LOG_LEVEL_ERROR,
		"listener %s: %s: %s; it is as configured again, backlog %u. Suspect a module or a "
		"worker that was taken over",
		listener->name, where, damage, (unsigned)socket->effective_backlog);
}

bool
listeners_heal(struct master *master)
{
	bool is_any_lost = false;

	for (size_t i = 0; i < master->listeners->count; i++) {
		struct listening_socket *socket = &master->listeners->sockets[i];
		const char *damage = NULL;

		if (socket->listener >= 0 && !socket->is_lost) {
			damage = heal_find_damage(socket);
		}
		if (damage != NULL) {
			heal_socket(master, socket, damage);
		}
		is_any_lost = is_any_lost || (socket->listener >= 0 && socket->is_lost);
	}
	return is_any_lost;
}

/* A queue that clients can still join never runs empty for sure: it is given the same time, and no
 * more. */
static void
watch_sample(struct listening_socket *socket, struct watch_sum *sum, int64_t now_ms)
{
	struct net_queue queue;

	if (net_listener_sample(socket->fd, &queue) != 0) {
		return;
	}
	sum->depth += queue.depth;
	sum->dropped += queue.dropped_segments - socket->dropped_before; /* modulo 2^32 */
	socket->dropped_before = queue.dropped_segments;
	if (!socket->is_retiring) {
		sum->limit += queue.limit;
		sum->asked += (uint64_t)socket->asked_backlog;
	} else if (queue.depth > 0 && socket->is_shut) {
		socket->quiet_since_ms = 0;
	} else if (socket->quiet_since_ms == 0) {
		socket->quiet_since_ms = now_ms;
	}
}

static void
watch_publish(struct board_listener_head *head, const struct watch_sum *sum)
{
	stat_set(&head->queue[STAT_QUEUE_depth], sum->depth);
	stat_set(&head->queue[STAT_QUEUE_limit], sum->limit);
	stat_set(&head->queue[STAT_QUEUE_asked], sum->asked);
	if (sum->depth > stat_get(&head->queue[STAT_QUEUE_peak])) {
		stat_set(&head->queue[STAT_QUEUE_peak], sum->depth);
	}
	stat_add(&head->queue[STAT_QUEUE_dropped_segments], sum->dropped);
}

/* Names that no socket has any more get zero gauges. */
static void
watch_publish_all(struct master *master, const struct watch_sum *sums)
{
	for (int i = 0; i < BOARD_LISTENERS; i++) {
		struct board_listener_head *head = &master->board.writable->listeners[i];

		if (atomic_load_explicit(&head->is_used, memory_order_relaxed) != 0) {
			watch_publish(head, &sums[i]);
		}
	}
}

/* @return whether the socket is closed now */
static bool
watch_retire(struct master *master, struct listening_socket *socket, int64_t now_ms)
{
	char where[ADDRESS_TEXT_MAX];
	const char *name = master->board.master->listeners[socket->board_listener].name;
	uint32_t waiting;

	if (!socket->is_released) {
		if (socket->quiet_since_ms == 0 ||
			now_ms - socket->quiet_since_ms < LISTENERS_QUIET_MS) {
			return false;
		}
		socket->is_released = true;
		fleet_release_socket(master->fleet, socket->number);
	}
	if (fleet_holds_socket(master->fleet, socket->number)) {
		return false;
	}
	address_format(&socket->address, where);
	waiting = socket->was_inherited ? 0 : net_listener_depth(socket->fd);
	if (waiting > 0) {
		master_event(master, LOG_LEVEL_WARNING,
			"listener %s: %s: closed with %u clients in its queue who came in the last "
			"moment; they are reset",
			name, where, (unsigned)waiting);
	}
	listeners_close_socket(master->listeners, socket);
	master_event(master, LOG_LEVEL_NOTICE, "listener %s: %s is closed", name, where);
	return true;
}

static void
watch_retire_all(struct master *master, int64_t now_ms)
{
	struct listeners *listeners = master->listeners;
	size_t kept = 0;

	for (size_t i = 0; i < listeners->count; i++) {
		struct listening_socket *socket = &listeners->sockets[i];

		if (socket->is_retiring && watch_retire(master, socket, now_ms)) {
			continue;
		}
		listeners->sockets[kept++] = *socket;
	}
	listeners->count = kept;
}

void
listeners_watch(struct master *master)
{
	static struct watch_sum sums[BOARD_LISTENERS]; /* static for its size alone */
	int64_t now_ms = clock_monotonic_ms();

	memset(sums, 0, sizeof(sums));
	for (size_t i = 0; i < master->listeners->count; i++) {
		struct listening_socket *socket = &master->listeners->sockets[i];

		watch_sample(socket, &sums[socket->board_listener], now_ms);
	}
	watch_publish_all(master, sums);
	watch_retire_all(master, now_ms);
}
