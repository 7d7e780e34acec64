/* How the connections of one listener are served, as one configuration said. Connections and
 * listening sockets refer to it, so a client keeps the settings it began with across reloads; the
 * last reference frees it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/board.h"
#include "common/defs.h"
#include "common/net.h"
#include "common/sources.h"
#include "worker/gate.h"
#include "worker/timeouts.h"

struct listener_config;
struct protocol;
struct service;
struct upstream;

struct settings {
	unsigned references;
	struct service *service;
	const struct protocol *protocol;
	char name[BOARD_NAME_MAX];
	int board_listener;
	struct board_listener_cells *cells; /* in our own slot */
	int64_t max_connections;            /* over all workers; 0: none */
	size_t account_offset; /* of a connection's account (account.h); 0: nothing is logged */
	bool refuses_at_limit; /* otherwise clients wait in the accept queue */
	size_t max_pending_bytes;
	struct gate gate;
	struct source_limits source_limits;
	struct timeouts timeouts;
	struct deadline_list *looks; /* of the protocol, each timeouts.look_ms; NULL: it has none */
	struct upstream *upstream;   /* NULL: the listener has none */
	struct net_options back_options; /* of its connections to back ends: as to clients */
};

/** A new object with one reference.
 *  @param upstream  the listener's, held from here on; NULL: none
 *  @return NULL for want of memory */
struct settings *settings_new(struct service *service, const struct listener_config *config,
	int board_listener, struct upstream *upstream) MUST_CHECK;
/** One more reference. @return `settings` */
struct settings *settings_hold(struct settings *settings);
/** Give a reference back and clear the pointer; NULL is accepted. */
void settings_release(struct settings **settings);
