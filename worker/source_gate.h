/* The part of the gate that counts: how many connections a client's source has and how fast they
 * come, over all workers (common/sources.h), and whether a worker crashed over it lately. A
 * listener without limits costs one load for each client; so does the list of penalties while it is
 * empty. */
#pragma once

#include "common/defs.h"
#include "worker/protocol.h"

struct conn;
struct service;
struct settings;

/** Count a new connection, unless its source is at a limit or penalised. Clients without an address
 *  (unix sockets) have no source.
 *  @return go on, or failed with the reason */
struct verdict source_gate_admit(struct conn *conn) MUST_CHECK;
/** It ends; no matter whether it was counted. */
void source_gate_leave(struct conn *conn);

/** After a reload that gave this listener a limit: its open connections count too. */
void source_gate_count_open(struct service *service, const struct settings *settings);
