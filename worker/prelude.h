/* What comes before a client's own bytes on a listener with accept_proxy: the PROXY header, in
 * which a load balancer says who the client is. Until it is complete the connection is in
 * CONN_PRELUDE, under one deadline that no byte moves, and its protocol does not know of it. Not a
 * byte beyond the header is taken from the socket. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/defs.h"
#include "worker/protocol.h"

struct conn;
struct settings;

/* Lies behind the protocol's own state, only where the listener has accept_proxy. */
struct prelude {
	union peer sender;   /* who speaks for the client; AF_UNSPEC: nobody. The kernel forgets it
				once the connection is reset */
	union peer target;   /* where the client connected to; AF_UNSPEC: to us */
	unsigned char *kept; /* the part of a header that has come; NULL: none */
	uint16_t kept_len;
};

/** Bytes that a connection takes behind its protocol's state; 0 without accept_proxy. */
size_t prelude_size(const struct settings *settings);

/** A connection of a listener with accept_proxy begins: whether its sender may speak for others. */
struct verdict prelude_begin(struct conn *conn) MUST_CHECK;
/** The socket is readable. After a complete header conn->phase is CONN_FRESH and conn->peer the
 *  client that it names; for LOCAL and UNKNOWN it stays the sender. */
struct verdict prelude_read(struct conn *conn) MUST_CHECK;
/** The deadline has passed: say so, as far as somebody must know. */
void prelude_was_late(const struct conn *conn);
/** Release what is kept; to be called whether there is a prelude or not. */
void prelude_end(struct conn *conn);

/** Where the client connected to: as the header says, or else our end of the connection.
 *  AF_UNSPEC when the kernel does not say. */
void prelude_target(const struct conn *conn, union peer *target);
/** Who has connected to us for the client. @return NULL when it was the client itself */
const union peer *prelude_sender(const struct conn *conn);
