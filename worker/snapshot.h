/* What the master has sent since the last commit: a configuration and a list of sockets. Applied as
 * a whole or not at all; until then everything serves as before. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/channel.h"
#include "common/defs.h"
#include "common/fault.h"

struct config;
struct service;
struct snapshot_socket;

struct snapshot {
	uint64_t generation;
	int cpu;               /* to pin to, -1: none */
	struct config *config; /* NULL: none has come, or `why` says what is wrong with it */
	struct fault why;
	struct snapshot_socket *sockets;
	size_t socket_count;
};

/** Take configuration or sockets from a message, with their descriptors. What is wrong with them is
 *  kept for snapshot_apply to say. */
void snapshot_take_config(struct snapshot *snapshot, struct channel_message *message);
void snapshot_take_sockets(struct snapshot *snapshot, struct channel_message *message);

/** Serve new clients by it, connections go on under the settings they began with. Empties the
 *  snapshot in either case. A socket that is not in the list any more stays until its RELEASE.
 *  @return 0; or negative errno with a sentence, and nothing has changed */
int snapshot_apply(
	struct snapshot *snapshot, struct service *service, struct fault *why) MUST_CHECK;
/** Drop it and close its descriptors. */
void snapshot_discard(struct snapshot *snapshot);
