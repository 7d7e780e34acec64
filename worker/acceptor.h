/* The accept loop of one shared listening socket: batches, fairness, limits, and every errno of
 * accept(2), all of which are temporary.
 *
 * A client is never accepted and forgotten: a place and a descriptor are there before it is taken
 * from the queue, or it is turned away at once and counted. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/board.h"
#include "common/defs.h"
#include "worker/exclusive.h"

struct fault;
struct service;
struct settings;

struct acceptor {
	ev_io watcher;
	struct exclusive exclusive;
	struct acceptor *next; /* in the service's list */
	struct service *service;
	struct settings *settings; /* for the clients to come */
	uint32_t number;           /* the master's name for the socket */
	bool tells_depth;          /* TCP; a unix socket does not say how many wait */
	bool is_guarding;          /* this look was not caused by a wake-up */
	bool is_alone;             /* no other worker served when we last took a client */
	unsigned pause;            /* enum board_pause bits; 0: listening */
	unsigned failures;         /* accepts in a row that failed for no known reason */
	uint32_t queue_limit;
	int64_t last_accept_ms;
	int64_t waiting_since_ms; /* paused for balance while clients wait; 0: none seen */
	int64_t greedy_until_ms;  /* balance does not count: the others do not take their share */
	int64_t retry_ms;         /* not before, after an accept that failed */
};

/** Start to accept on a listening socket.
 *  @param fd        taken over, also on failure
 *  @param settings  a reference is taken
 *  @return 0 or -ENOMEM */
int acceptor_open(struct service *service, uint32_t number, int fd, struct settings *settings,
	struct acceptor **acceptor) MUST_CHECK;
/** Leave the queue and close our copy of the socket; clients in the queue stay for the others. */
void acceptor_close(struct acceptor *acceptor);
struct acceptor *acceptor_find(const struct service *service, uint32_t number);
/** Other settings for the clients to come. */
void acceptor_use(struct acceptor *acceptor, struct settings *settings);

/** Take what waits, up to one batch. */
void acceptor_serve(struct acceptor *acceptor);
/** Take everything that waits, as far as limits allow: nobody else will. */
void acceptor_empty(struct acceptor *acceptor);
/** Take one if one waits, as long as a place is free. */
void acceptor_serve_one(struct acceptor *acceptor);
/** How many wait; 1 for a socket that does not say. */
uint32_t acceptor_depth(const struct acceptor *acceptor);

/** Look at every queue without having been woken: a wake-up dies with the worker that got it. */
void acceptors_look(struct service *service);
/** Leave every queue for good and close our copies. When no other worker serves, the queues are
 *  emptied first. */
void acceptors_leave(struct service *service);
/** Log whether the wake-ups are exclusive. libev registers when the loop turns, so not before the
 *  turn after a change. */
void acceptors_report(const struct service *service);
