/* One connection of the web address: a request, its answer, and so on until either side has enough.
 * Its patience and bounds are those of web.h. */
#pragma once

#include <ev.h>
#include <stdint.h>

#include "common/defs.h"

struct web_bodies;
struct web_client;

/* What the connections have in common. */
struct web_room {
	struct ev_loop *loop;
	struct web_bodies *bodies;
	const char *own_name; /* by which this machine may be asked */
	/** The connection has ended; nothing of it may be used any more. */
	void (*on_close)(struct web_room *room, struct web_client *client);
};

/** @param room  borrowed for its life
 *  @param fd    taken over, also on failure; non-blocking
 *  @return NULL without memory. It may end by itself at any time: on_close tells */
struct web_client *web_client_open(struct web_room *room, int fd) MUST_CHECK;
void web_client_close(struct web_client *client);
/** Since when it has kept us waiting, for the end of a head or to take something (monotonic). */
int64_t web_client_since_ms(const struct web_client *client);
