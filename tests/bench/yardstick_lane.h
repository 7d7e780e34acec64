/*
 * One direction of the yardstick proxy: moves what one socket has to another, with recv(2) and
 * send(2) or with splice(2) through a pipe. What the other socket does not take is kept, and then
 * nothing more is to be read until it is gone. A lane that keeps nothing has no memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct kept;

enum lane_result {
	LANE_MOVED, /* there may be more */
	LANE_SHORT, /* moved all that the source had at this moment */
	LANE_EMPTY, /* the source has nothing now */
	LANE_ENDED, /* the source sent its last byte */
	LANE_FAILED,
};

/* How all lanes of a process move bytes. */
struct mover {
	bool splices;
	struct kept *spare; /* with splice: pipes that are empty, to be used again */
	char *scratch;      /* with recv and send */
};

void mover_init(struct mover *mover, bool splices);

/* Moves once. *kept must be NULL; afterwards it is what the target did not take, or NULL. */
enum lane_result mover_move(struct mover *mover, int source, int target, struct kept **kept);

/* Sends what is kept; *kept becomes NULL when all of it was taken. false: the target has failed. */
bool mover_flush(struct mover *mover, int target, struct kept **kept);

/* Throws away what is kept, if anything. */
void mover_drop(struct mover *mover, struct kept **kept);
