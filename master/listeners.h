/* Opens, keeps and retires listening sockets. Each is created once and held by the master until no
 * configuration wants it and its queue is empty: while any process holds it queued clients survive
 * crashes and reloads. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/channel.h"
#include "common/defs.h"

struct config;
struct fault;
struct master;

struct listening_socket {
	uint32_t number; /* never reused: the name of the socket between master and workers */
	int fd;
	struct address address;
	int listener; /* index in the configuration in force; -1: retiring */
	int board_listener;
	int64_t asked_backlog;
	uint32_t dropped_before; /* last sk_drops seen, for the difference */
	bool is_retiring;
	bool was_inherited; /* from socket activation: never unlinked, never re-bound */
};

struct listeners {
	struct listening_socket *sockets;
	size_t count;
	uint32_t last_number;
};

/** A change prepared but not yet visible to anybody. */
struct listeners_change;

/** Open what `config` needs and the present list lacks; touch nothing that serves. A socket whose
 *  address stays is kept, and a retiring one is taken back.
 *  @return 0 and *change; or negative errno with a sentence (which address, who holds the port) */
int listeners_prepare(struct listeners *listeners, const struct config *config,
	struct listeners_change **change, struct fault *why) MUST_CHECK;
/** Make it the list in force: options and backlogs applied to live sockets, removed ones marked as
 *  retiring and shut to new clients. Cannot fail. */
void listeners_commit(struct master *master, struct listeners_change **change);
/** Close what prepare opened, as if nothing had been asked. */
void listeners_rollback(struct listeners_change **change);

/** The list as messages for a child. Call with *cursor = 0 and go on until it returns false.
 *  @param fds  filled with borrowed descriptors, in the order of payload->new_mask
 *  @param knows  says whether the child has a socket already; NULL: it has none */
bool listeners_describe(const struct listeners *listeners, size_t *cursor,
	bool (*knows)(const void *child, uint32_t number), const void *child,
	struct channel_listeners *payload, int *fds, size_t *fd_count);

/** Once a second: revive a socket that somebody shut down; say so once and count it. */
void listeners_heal(struct master *master);
/** Ten times a second: depth, limit, peak and dropped segments of each listener onto the board;
 * send RELEASE for retiring sockets whose queue has run empty, close those that no worker holds. */
void listeners_watch(struct master *master);
/** Print the effective backlog of each listener, with reason and remedy where it is less than
 * asked. */
void listeners_report(const struct master *master);
/** Stop for good: shut out new clients, so that the workers can empty the queues before they go. */
void listeners_shut_out(struct listeners *listeners);
void listeners_close_all(struct listeners *listeners);
