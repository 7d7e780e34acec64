/* Limits of servers that hold exactly over all workers, and the order in which clients of all
 * workers get what becomes free. Everything is on the board, in cells with one writer each, so
 * that a worker can die at any point: the master clears its cells and nothing is lost.
 *
 * A place is taken by raising the own cell, summing everybody's, and giving back when the sum is
 * over the limit. Of two workers that raise at once, the one that sums last sees both: the limit
 * is never passed, though both may give back. Whoever frees a place looks for the lowest ticket
 * afterwards, and who waits publishes its ticket before it looks for a place: so one of the two
 * sees the other (both are sequentially consistent). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct board;

struct guard_limits {
	uint64_t held;    /* 0: none */
	uint64_t backlog; /* most in the server's accept queue; 0: none */
};

/* What is known of a connection that has a place. A server may pause for longer than settle_time,
 * so a connection that settled counts as still in the accept queue as long as the queue, as the
 * kernel shows it, is deep enough for it. What settled was connected before the last sample: of
 * these no more can be in the queue than were seen there. */
enum guard_stage {
	GUARD_UNPROVEN, /* no byte from the server yet, perhaps in its accept queue */
	GUARD_SETTLED,  /* the same, for longer than settle_time */
	GUARD_PROVEN,   /* not in the queue */
};

#define GUARD_STALL_MS 200 /* a worker that makes no turn for so long is passed over */
/* Our end is connected before the last segment of the handshake puts the other end's into the
 * queue: on one host that is a matter of when the kernel gets to it. */
#define GUARD_HANDSHAKE_MS 10

/** Take a place for a new connection, which is unproven. @return false: none is free now */
bool guard_take(const struct board *board, int slot, int server, const struct guard_limits *limits);
/** More is known of the connection. */
void guard_move(const struct board *board, int slot, int server, enum guard_stage from,
	enum guard_stage to);
/** Give the place back. @param stage  the last that the connection was moved to */
void guard_give_back(const struct board *board, int slot, int server, enum guard_stage stage);
/** Whether a connection may be moved to GUARD_SETTLED: its server's queue was sampled after it
 *  was made, or is not known.
 *  @param connected_ms  monotonic, not from before */
bool guard_may_settle(const struct board *board, int server, int64_t connected_ms);
/** Whether a place seems to be free. */
bool guard_has_room(const struct board *board, int server, const struct guard_limits *limits);
/** Sum over all workers. */
uint64_t guard_held(const struct board *board, int server);

/** A ticket: lower is earlier, on the whole machine, and no two are the same.
 *  @param last  the slot's last one */
uint64_t guard_ticket(int64_t monotonic_us, int slot, uint64_t last);
/** When it was drawn, monotonic. */
int64_t guard_ticket_ms(uint64_t ticket);
/** Publish the ticket of the first who waits in this worker; 0: nobody. */
void guard_publish(const struct board *board, int slot, int upstream, uint64_t ticket);
/** The slot whose turn it is: the lowest ticket of a worker that is alive; -1: nobody waits. */
int guard_first(const struct board *board, int upstream, int64_t now_ms);
