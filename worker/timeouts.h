/* When a connection is given up: which deadline it has in which situation.
 *
 *   prelude    the PROXY header is not complete; absolute
 *   idle       nothing received for the idle timeout
 *   quiet      within that time: what we sent is not acknowledged. Keepalive is silent while data
 *              is on its way, and TCP_USER_TIMEOUT also kills live clients that do not read, so
 *              this asks the kernel once, as long after the last activity as keepalive would take
 *              to find the peer dead; an active connection never gets there. The other side of a
 *              proxied client is asked about as well
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

/** How often a protocol should look at a side that it waits for: often enough for each of the
 *  listener's timeouts, and before keepalive would begin. */
int64_t timeouts_look_ms(const struct listener_config *config);
/** Whether one of our two peers is dead as far as the kernel can tell: silent for as long as
 *  keepalive would have waited, while an answer was due. Data on its way or repeated probes of a
 *  closed window demand one; a live peer that does not read answers every probe. */
bool timeouts_is_dead(const struct timeouts *timeouts, int fd);

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
