/* One connection that ended, as one line of the session log: key=value parted by blanks, always in
 * the same order, "-" for what is not known, line break included. No value has a blank, '=', quote
 * or backslash in it: such bytes are \xNN. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/board.h"

#define SESSION_LINE_MAX 2048

struct session_facts {
	const char *time; /* as in the log */
	const char *listener;
	const union peer *client;
	const union peer *sender; /* who spoke for it by PROXY protocol; NULL: nobody */
	enum close_reason reason;
	int slot;
	uint32_t serial; /* with the slot what acceptctl calls it; 0: it was turned away at once */
	int64_t duration_ms;
	int64_t queue_wait_ms; /* -1: not measured */
	uint64_t received_bytes, sent_bytes;
	/* Of the proxy. */
	const char *upstream;       /* NULL: the listener has none, and nothing of this is said */
	const char *server;         /* the last one that it got; "": none */
	const char *server_address; /* "" */
	int64_t place_wait_ms;      /* until it got that; -1: it got none */
	int64_t connect_ms;         /* from then until it was connected; -1: it was not */
	uint32_t connects;          /* tried */
	uint64_t to_server_bytes, from_server_bytes;
};

/** @return length; not terminated */
size_t session_line_write(char line[SESSION_LINE_MAX], const struct session_facts *facts);
