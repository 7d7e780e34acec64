/* The web address: a small HTTP/1.1 server for Prometheus, for health checks and for the page.
 *
 * It reads and never changes anything: GET and HEAD, the routes of web_routes.h and nothing else.
 * It is bounded whatever clients do: 32 connections, a head of 8 KiB within 10 s, an answer taken
 * within 30 s, one copy of each body for all who asked in the same second. When all connections are
 * taken, the one that has kept us waiting for longest, for a second at least, makes room. Nobody
 * here can be asked by a name that is not this machine's (http.h). */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/defs.h"

struct board;
struct reading;
struct states;
struct web;

#define WEB_CONNECTIONS_MAX 32
#define WEB_HEAD_MS         10000 /* from the first moment to the end of a head */
#define WEB_ANSWER_MS       30000 /* to take an answer */
#define WEB_LINGER_MS       2000  /* after a refusal: for the client to read it */
#define WEB_EVICTABLE_MS    1000
#define WEB_PENDING_MAX     (64u << 20) /* bytes of bodies kept for clients that do not read */

/* Borrowed until the next tick. Of the sockets, when they were asked for, the last count. */
struct web_readings {
	const struct reading *now;        /* of the last tick */
	const struct reading *second_ago; /* of the tick before */
	const struct reading *minute_ago; /* or the first */
	const struct states *states;      /* taken_ms 0: never counted */
	int64_t states_age_ms;
};

/** @param board  borrowed
 *  @param look   what is to be shown now; the same until the next tick, but that the sockets
 *                are counted anew `with_states`
 *  @return NULL without memory */
struct web *web_new(struct ev_loop *loop, const struct board *board,
	void (*look)(void *owner, bool with_states, struct web_readings *readings),
	void *owner) MUST_CHECK;
void web_free(struct web **web);
/** Accept on another listening socket from now on; the one before is closed, the connections stay.
 *  @param fd  taken over, non-blocking; -1: none, and then nothing is remembered either */
void web_listen(struct web *web, int fd);
/** Each second, after the readings were renewed. */
void web_tick(struct web *web);
