/* What a protocol handler is: a table of hooks, bound to its row of common/protocols.def.
 *
 * A hook takes one step and returns a verdict; only conn.c closes. It may send with conn_send and
 * must not touch the connection after a verdict that ends it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/board.h"

struct conn;
struct deadline;

enum verdict_kind {
	VERDICT_GO_ON,
	VERDICT_SAME,  /* go on, and what the client's socket is watched for is right as it is */
	VERDICT_DONE,  /* end the connection once everything owed to the client was sent */
	VERDICT_FAILED /* end it now; a client that was still owed something sees a reset */
};
struct verdict {
	enum verdict_kind kind;
	enum close_reason reason;
};

static inline struct verdict
verdict_go_on(void)
{
	return (struct verdict){.kind = VERDICT_GO_ON};
}
static inline struct verdict
verdict_same(void)
{
	return (struct verdict){.kind = VERDICT_SAME};
}
static inline struct verdict
verdict_done(enum close_reason reason)
{
	return (struct verdict){.kind = VERDICT_DONE, .reason = reason};
}
static inline struct verdict
verdict_failed(enum close_reason reason)
{
	return (struct verdict){.kind = VERDICT_FAILED, .reason = reason};
}

/* Hooks left NULL have the meaning given here. */
struct protocol {
	const char *name;
	size_t state_size;    /* bytes of its own per connection, zeroed: conn_state() */
	unsigned descriptors; /* that one connection opens at most beside its own */

	/* A client was accepted. NULL: nothing to do. */
	struct verdict (*on_open)(struct conn *conn);
	/* Bytes came; they are the worker's scratch buffer, gone after the call. Never called with
	 * more than the connection has room for in its pending output. */
	struct verdict (*on_received)(struct conn *conn, const unsigned char *bytes, size_t len);
	/* Instead of on_received: the socket is readable and the protocol reads it itself, as one
	 * that splices does. It must notice the end of file and tell timeouts_on_activity. */
	struct verdict (*on_readable)(struct conn *conn);
	/* The client sent its last byte; it may still read. NULL: done. */
	struct verdict (*on_end)(struct conn *conn);
	/* Instead of reading up to the ceiling of pending output: what to watch the socket for now,
	 * EV_READ and EV_WRITE; while output is pending EV_WRITE is added. */
	int (*wants)(const struct conn *conn);
	/* Everything that was pending has been sent, or the socket takes more and nothing was
	 * pending. NULL: go on. */
	struct verdict (*on_writable)(struct conn *conn);
	/* The worker is to finish: end at the next good moment. NULL: go on until the client ends
	 * or the drain timeout does. */
	struct verdict (*on_drain)(struct conn *conn);
	/* The socket of the other side, -1: there is none now. One that is dead ends the connection
	 * as a dead client does. NULL: none ever. */
	int (*other_side)(const struct conn *conn);
	/* Deadlines of its own in settings->looks expire. NULL: it has none. */
	void (*on_look)(struct deadline *deadline);
	/* The connection ends; release what the state holds. */
	void (*on_close)(struct conn *conn, enum close_reason reason);
};

/** The hooks of one row.
 *  @param number  enum config_protocol */
const struct protocol *protocol_find(int number);
