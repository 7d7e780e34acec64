/* One client: one allocation with its watcher in it and the protocol's own state behind it.
 *
 * accepted = open + sum of closed, always: conn_open counts the one, conn_close, the only way out,
 * the other, with a reason. */
#pragma once

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/board.h"
#include "common/defs.h"
#include "worker/deadline.h"
#include "worker/protocol.h"

struct output;
struct settings;

enum conn_phase {
	CONN_PRELUDE, /* its PROXY header is not complete (prelude.h) */
	CONN_FRESH,   /* nothing received yet */
	CONN_OPEN,
	CONN_ENDED,     /* the client has sent its last byte; the protocol goes on sending */
	CONN_FLUSHING,  /* ends once the pending output is sent; nothing more is read */
	CONN_LINGERING, /* our side is shut; what still comes is thrown away until the client
			   closes, because closing on unread data would destroy what is on its way
			   to it */
};

/* What each message needs is together: last here, and first in the protocol's state behind it. */
struct conn {
	struct conn *prev, *next; /* in the service's list */
	struct deadline lifetime;
	union peer peer;  /* the client; in the prelude whoever has connected */
	uint32_t serial;  /* unique in its slot, in the order of accept */
	uint32_t born_ds; /* monotonic, in tenths of a second */
	uint16_t born_turn;
	uint8_t reason;          /* enum close_reason, in the last two phases */
	uint8_t phase : 4;       /* enum conn_phase */
	uint8_t is_admitted : 1; /* past the gate: its protocol knows of it */
	uint8_t is_counted : 1;  /* among those of its source */
	uint8_t is_active : 1;   /* `activity` is, or was last, on the list of the active ones */
	struct settings *settings;
	struct output *pending;   /* NULL: nothing is owed */
	struct deadline activity; /* idle, writing or lingering */
	ev_io watcher;
};

/** Begin to serve an accepted socket, for which a place was claimed (admission.h).
 *  @param fd             taken over, also on failure
 *  @param queue_wait_ms  in the accept queue; -1: not measured
 *  @return 0; the connection may be gone again already. -ENOMEM: counted and reset */
int conn_open(struct settings *settings, int fd, const union peer *peer,
	int32_t queue_wait_ms) MUST_CHECK;
/** End it now. What is pending is lost, and then the client sees a reset, not a clean end. */
void conn_close(struct conn *conn, enum close_reason reason);
/** Obey the verdict of a step that a protocol took by itself, from a watcher or a deadline of its
 * own: the last thing of that callback, because the connection may be gone afterwards. */
void conn_apply(struct conn *conn, struct verdict verdict);
/** Tell the protocol that the worker is to finish. */
void conn_drain(struct conn *conn);

int64_t conn_age_ms(const struct conn *conn, int64_t now_ms);

/* For protocols. */

/** The protocol's own bytes. */
static inline void *
conn_state(struct conn *conn)
{
	return conn + 1;
}
static inline int
conn_fd(const struct conn *conn)
{
	return conn->watcher.fd;
}
/** Send at once what the socket takes and keep the rest. Over the ceiling of pending output, or
 *  for want of memory, the verdict ends the connection. */
struct verdict conn_send(struct conn *conn, const void *bytes, size_t len) MUST_CHECK;
/** Bytes that conn_send can still keep. */
size_t conn_room(const struct conn *conn);
/** The verdict on a socket error (positive errno): go on for EAGAIN and EINTR. */
struct verdict conn_judge(const struct conn *conn, int error);
