/* TCP sockets of each listener by state, as the kernel counts them: the right answer to
 * `netstat | awk`. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/board.h"
#include "common/defs.h"
#include "common/sock_diag.h"

struct config;
struct fault;
struct listener_config;
struct render;

struct states_row {
	char name[BOARD_NAME_MAX];
	uint64_t counts[SOCK_DIAG_STATE_COUNT];
	uint32_t oldest_close_wait_ms; /* nothing was heard from that client for so long */
};

struct states {
	int64_t taken_ms; /* monotonic; 0: never */
	int64_t cost_us;  /* of a processor */
	size_t count;
	struct states_row rows[BOARD_LISTENERS];
};

/** Ask the kernel about the ports of all listeners; some 0.4 us a socket.
 *  @return 0; or negative errno with a sentence, and `states` is as before */
int states_take(const struct config *config, struct states *states, struct fault *why) MUST_CHECK;
/** Count one socket for a listener if it came in by one of its addresses. Pure. */
void states_count(struct states_row *row, const struct listener_config *listener,
	const struct sock_diag_socket *socket);
/** @param listener  only this one; NULL: all */
int states_render(const struct states *states, const char *listener, const struct render *render,
	FILE *stream) MUST_CHECK;
