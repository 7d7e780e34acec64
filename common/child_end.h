/* A child's end of its channel to the master: the greeting, the messages as they come, what is said
 * back. What a message means is its owner's, but for the log, which is the same in every child. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/channel.h"
#include "common/defs.h"
#include "common/log.h"
#include "common/loop.h"

struct board;
struct fault;

/* Embed it in the owner and find the owner with container_of. */
struct child_end {
	int fd;
	struct ev_loop *loop;
	ev_io watcher;
	struct loop_timer retry; /* to watch it, when the kernel refused */
	struct log_limit deaf;
	/** Descriptors in it that nobody took are closed afterwards. @return whether to hear more
	 */
	bool (*on_message)(struct child_end *end, struct channel_message *message);
	/** Nothing more will be heard. @param error  negative errno, -EPIPE: the master is gone */
	void (*on_lost)(struct child_end *end, int error);
};

/** Wait for the master's greeting, tie this process to its life and attach the board.
 *  @param slot  of the board, to write in; -1: none
 *  @return 0, or negative errno with a sentence */
int child_end_meet(int fd, int slot, struct board *board, struct fault *why) MUST_CHECK;
/** Hear messages from here on. Both callbacks must be set.
 *  @param fd  taken over */
void child_end_start(struct child_end *end, struct ev_loop *loop, int fd);
/** Stop, and close the channel. */
void child_end_stop(struct child_end *end);

/** Say it. A failure is logged, unless the master is gone, which on_lost tells: a child that does
 *  not answer is replaced. */
void child_end_say(struct child_end *end, enum channel_type type, const void *payload);
/** Say that a COMMIT cannot take effect. */
void child_end_refuse(struct child_end *end, uint64_t generation, const char *why);
