/* A proxied client and its back end: two sockets and what passes between them. The client is a conn
 * with its timeouts, its pending output and its one way out; this is the other half.
 *
 * Each direction ends for itself: a side that has sent its last byte gets told so on the other side
 * once everything before it was passed on, and the session ends when both have. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/defs.h"
#include "worker/deadline.h"
#include "worker/protocol.h"
#include "worker/stream.h"
#include "worker/upstream.h"

struct conn;

enum session_state {
	SESSION_WAITING,    /* for a place at a server */
	SESSION_CONNECTING, /* for its answer */
	SESSION_OPEN,
	SESSION_OVER
};

/* What an open session is given a limited time for. */
enum session_wait {
	WAIT_NOTHING,
	WAIT_STALL, /* a side takes nothing of what is kept for it */
	WAIT_HALF_CLOSE
};

/* What each message needs comes first. */
struct session {
	ev_io back;         /* fd -1 while there is none */
	struct stream up;   /* client to back end */
	struct stream down; /* back end to client; what the client did not take is the conn's */
	struct output *unsent_up;
	uint8_t state;                     /* enum session_state */
	uint8_t waits_for;                 /* enum session_wait */
	uint8_t first_end;                 /* enum close_reason of the side that ended first */
	bool back_is_shut, client_is_shut; /* our side of it: we sent our last byte */
	struct upstream_request request;   /* of which a message needs the beginning */
	bool is_cut;        /* the back end ended and takes no more, the client may still send */
	bool is_kept_alive; /* the back end's socket has its keepalive */
	bool is_calling;
	struct verdict verdict; /* what a callback of the upstream said while we were calling it */
	struct deadline patience;             /* the handshake's time, or the next look */
	struct deadline_list *handshake_list; /* while connecting */
	int64_t waits_since_ms;               /* or since it last got on */
	int64_t unacknowledged; /* bytes in the sockets that stall, when last looked at */
};

/** A client came: ask for a server. */
struct verdict session_open(struct conn *conn);
/** The client is readable. */
struct verdict session_on_client_readable(struct conn *conn);
/** The client took all that was pending. */
struct verdict session_on_client_writable(struct conn *conn);
/** What the client's socket has to be watched for, beside its pending output: EV_READ, EV_WRITE. */
int session_wants_of_client(const struct conn *conn);
/** The back end's socket, -1 if there is none. */
int session_back_fd(const struct conn *conn);
/** Time to look at what is waited for. */
void session_on_look(struct deadline *deadline);
/** The session ends: close the back end, give its place back. */
void session_close(struct conn *conn, enum close_reason reason);
