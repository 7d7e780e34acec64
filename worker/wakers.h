/* How workers wake each other: one eventfd per slot, made by the master and sent to all. Without
 * them, as before they came, everybody looks again when the guard does, ten times a second. */
#pragma once

#include <ev.h>

#include "common/board.h"

struct service;

struct wakers {
	int fds[BOARD_SLOTS]; /* -1: none */
	ev_io watcher;        /* of our own; is fed for a wake-up within this worker */
	ev_io soon;
};

void wakers_init(struct wakers *wakers);
void wakers_fini(struct service *service);
/** Take over the eventfd of a slot; one that it had before is closed. */
void wakers_take(struct service *service, int slot, int fd);
/** Wake the worker of a slot, which looks at its upstreams; our own does before the loop sleeps. */
void wakers_wake(struct service *service, int slot);
