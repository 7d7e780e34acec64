/* The gate that every client passes before its protocol sees it: who may come in at all. It is
 * asked once for each connection, as soon as the client's address is known (at its accept or, with
 * accept_proxy, after the PROXY header), and before a byte of the client's own is read. */
#pragma once

#include <stdbool.h>

#include "common/defs.h"
#include "common/network.h"
#include "worker/protocol.h"

struct conn;
struct listener_config;
union peer;

/* What one listener wants of its clients. */
struct gate {
	struct network_set allow;   /* empty: everybody */
	struct network_set deny;    /* stronger than `allow` */
	bool accepts_proxy;         /* a connection begins with a PROXY header (prelude.h) */
	struct network_set trusted; /* whose header is believed */
};

/** @return 0 or -ENOMEM; gate_close in either case */
int gate_open(struct gate *gate, const struct listener_config *config) MUST_CHECK;
void gate_close(struct gate *gate);

/** Whether the lists let a client in. One without an address (unix sockets) is in no network and is
 *  let in: the permissions of the socket's path have judged it. Pure. */
bool gate_lets_in(const struct gate *gate, const union peer *client);
/** Whether the sender of a PROXY header is believed. One of a unix socket is, for the same reason.
 *  Pure. */
bool gate_trusts(const struct gate *gate, const union peer *sender);

/** The gate's verdict on a connection: go on, or failed with the reason. After the first, and only
 *  then, gate_leave is called when the connection ends. */
struct verdict gate_admit(struct conn *conn) MUST_CHECK;
void gate_leave(struct conn *conn);
