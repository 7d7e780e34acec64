/* The session log of one worker: a line for each connection that ended, gathered in a bounded
 * buffer and written once a turn of the loop, as whole lines, to the file that the master opened.
 * Nobody waits for it: what the disk does not take stays in the buffer while there is room and is
 * dropped and counted after that. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/board.h"
#include "common/defs.h"
#include "common/log_output.h"

struct conn;
struct service;
struct settings;

#define SESSION_LOG_BUFFER_BYTES 65536

struct session_log {
	struct log_output output;
	char *buffer; /* NULL: nothing is to be written */
	size_t len;
	int64_t retry_ms;  /* after a failure */
	int64_t failed_ms; /* since then the file takes not all; 0: it does */
	uint64_t dropped;  /* since then */
	int64_t stamp_ms;  /* the turn whose time is in `stamp` */
	char stamp[32];
};

/** Write to another file from now on.
 *  @param fd  taken over; -1: nothing is to be written, and connections get no account */
void session_log_use(struct service *service, int fd);
bool session_log_is_on(const struct service *service);
/** A connection ends; before the protocol lets go of anything. */
void session_log_end(const struct conn *conn, enum close_reason reason);
/** A client was accepted and ends at once. */
void session_log_turn_away(
	const struct settings *settings, const union peer *client, enum close_reason reason);
/** At the end of a turn: write what was gathered. */
void session_log_flush(struct service *service);
void session_log_fini(struct service *service);
