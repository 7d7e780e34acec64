/* The list of listening sockets. Each is created once and held by the master until no configuration
 * wants it and its queue is empty: while any process holds it queued clients survive crashes and
 * reloads. How the list changes is in listeners_change, how it is looked after in listeners_watch.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/address.h"
#include "common/channel.h"
#include "common/defs.h"

struct activation;
struct config;
struct listener_config;
struct master;
struct net_options;

struct listening_socket {
	uint32_t number; /* never reused: the name of the socket between master and workers */
	int fd;
	struct address address;
	int listener; /* index in the configuration in force; -1: retiring */
	int board_listener;
	int64_t asked_backlog;
	uint32_t effective_backlog; /* as the kernel said after the last listen(2) */
	uint32_t dropped_before;    /* last sk_drops seen, for the difference */
	bool is_retiring;
	bool is_shut;       /* new clients are kept out; never without CAP_NET_ADMIN */
	bool is_released;   /* retiring, empty, and the workers were told to let go */
	bool is_lost;       /* a unix socket that somebody shut down: nothing can revive it */
	bool is_drained;    /* an operator keeps new clients out */
	bool was_inherited; /* from socket activation: never unlinked, never shut, never re-bound */
	int64_t quiet_since_ms; /* retiring: the queue has been empty since; 0: it was not */
	dev_t path_device;      /* unix: the path that we made, to remove no other */
	ino_t path_inode;
};

struct listeners {
	struct listening_socket *sockets;
	size_t count;
	uint32_t last_number;
	struct activation *activation; /* borrowed; NULL: no socket was passed to us */
};

/** The list as messages for a child. Call with *cursor = 0 and go on until it returns false.
 *  @param fds  filled with borrowed descriptors, in the order of payload->new_mask
 *  @param knows  says whether the child has a socket already; NULL: it has none */
bool listeners_describe(const struct listeners *listeners, size_t *cursor,
	bool (*knows)(const void *child, uint32_t number), const void *child,
	struct channel_listeners *payload, int *fds, size_t *fd_count);

/** What of a listener's options the kernel has to know. Pure. */
void listeners_net_options(const struct listener_config *listener, struct net_options *options);
/** The socket that serves an address, NULL if there is none. One that is on its way out counts only
 *  while new clients can be let in again; one that is lost does not count. */
struct listening_socket *listeners_find(
	const struct listeners *listeners, const struct address *address);

/** Print the effective backlog of each address, with reason and remedy where it is less than asked.
 */
void listeners_report(struct master *master);

/** Keep new clients out, while those whose handshake is done or under way still get in. Linux wants
 *  CAP_NET_ADMIN for that (measured on 6.18: EPERM for a filter on a TCP socket); without it new
 *  clients go on coming until the socket is closed. */
void listeners_shut_out_socket(struct listening_socket *socket);
/** Stop for good: shut out new clients of all sockets, so that the workers can empty the queues
 *  before they go. Sockets of the service manager stay open: their clients wait for who comes next.
 */
void listeners_shut_out(struct listeners *listeners);
/** How many clients wait in all queues that nobody can join any more. */
uint64_t listeners_count_waiting(const struct listeners *listeners);
/** Whether any socket is on its way out. */
bool listeners_are_retiring(const struct listeners *listeners);
/** Close one socket, or give it back to the activation; a unix socket's path is removed if it is
 *  still the one we made. */
void listeners_close_socket(struct listeners *listeners, struct listening_socket *socket);
void listeners_close_all(struct listeners *listeners);
