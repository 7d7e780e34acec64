/* When a connection is given up: which deadline it has in which situation.
 *
 *   prelude    the PROXY header is not complete; absolute
 *   idle       nothing received for the idle timeout
 *   quiet      within that time: what we sent is not acknowledged. Keepalive is silent while data
 *              is on its way, and TCP_USER_TIMEOUT also kills live clients that do not read, so
 *              this asks the kernel once, as long after the last activity as keepalive would take
 *              to find the client dead; an active connection never gets there
 *   writing    the client takes nothing of its pending output for the write timeout, or is dead
 *   lingering  the client does not close after we have
 *   lifetime   absolute */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/defs.h"

struct conn;
struct deadline_list;
struct deadlines;
struct listener_config;

struct timeouts {
	int64_t write_timeout_ms; /* 0: none */
	int64_t half_close_ms;    /* proxy: one side has ended; 0: none */
	int64_t dead_after_ms;    /* silence after which keepalive gives up; 0: none */
	struct deadline_list *prelude, *active, *idle, *unacknowledged, *writing, *lingering,
		*lifetime;
};

/** The lists for one listener. @return 0 or -ENOMEM; timeouts_close in either case */
int timeouts_open(struct timeouts *timeouts, struct deadlines *deadlines,
	const struct listener_config *config) MUST_CHECK;
void timeouts_close(struct timeouts *timeouts, struct deadlines *deadlines);

/** A connection begins: its lifetime and its first idle time. */
void timeouts_start(struct conn *conn);
/** A PROXY header has to come first; timeouts_on_activity when it is there. */
void timeouts_on_prelude(struct conn *conn);
/** Something was received, or the last of the pending output was sent. */
void timeouts_on_activity(struct conn *conn);
/** Output is pending, or some of it was taken. */
void timeouts_on_writing(struct conn *conn);
/** We have shut our side and wait for the client to close. */
void timeouts_on_lingering(struct conn *conn);
void timeouts_stop(struct conn *conn);
