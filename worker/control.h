/* The worker's end of its channel to the master: one named step per message. */
#pragma once

#include <ev.h>

#include "common/loop.h"
#include "worker/listing.h"
#include "worker/snapshot.h"

struct channel_hello;
struct fault;
struct worker;

struct control {
	int fd;
	ev_io watcher;
	struct loop_timer retry; /* to watch it, when the kernel refused */
	struct worker *worker;
	struct snapshot snapshot; /* prepared, not in force */
	struct listing listing;   /* of the connections, for an operator */
};

/** Wait for the master's first message.
 *  @param board_fd  the caller closes
 *  @return 0; -EPIPE the master is gone, -EPROTO it said something else, or another negative errno
 */
int control_wait_hello(int fd, struct channel_hello *hello, int *board_fd) MUST_CHECK;
/** Obey messages from here on.
 *  @param fd  taken over */
void control_start(struct control *control, struct worker *worker, int fd);
/** Stop, and close the channel. */
void control_stop(struct control *control);
