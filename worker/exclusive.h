/* One wake-up per client on a shared listener. libev cannot ask for EPOLLEXCLUSIVE, so this file
 * stands between it and epoll_ctl(2): the program's own function of that name takes the calls of
 * libev.so, adds the flag for marked descriptors, and passes those for others on, but for what
 * would change nothing (interest.h).
 *
 * The kernel scans exclusive waiters from the head of their queue, so the first sleeper would get
 * every client; leaving and rejoining after each batch ("rotating") makes it round robin.
 * Where the kernel refuses the flag the listener is plain level-triggered: dearer, never wrong. */
#pragma once

#include <stdbool.h>
#include <sys/epoll.h>

#include "common/defs.h"

/** The registration of one listener; embed it in the listener's owner. */
struct exclusive {
	int fd;
	int epoll_fd;
	struct epoll_event event; /* as libev asked for it, its generation number included */
	bool is_registered;
	bool is_exclusive; /* the kernel took EPOLLEXCLUSIVE */
};

/** From now on calls for `fd` are ours. Before the watcher is started.
 *  @return 0 or -ENOMEM */
int exclusive_mark(struct exclusive *exclusive, int fd) MUST_CHECK;
/** The end of exclusive_mark: after the watcher was stopped, before the descriptor is closed. */
void exclusive_unmark(struct exclusive *exclusive);

/** Leave the epoll set at once. ev_io_stop alone does not: libev waits for an unwanted event, and
 *  an exclusive wake-up that goes there is lost for the other workers (measured: a client then
 *  waited for ever). Afterwards ev_io_set before ev_io_start, or libev will not register again. */
void exclusive_leave(struct exclusive *exclusive);
/** Go to the tail of the kernel's queue of waiters; nothing if not registered.
 *  @return 0, or negative errno: then it is not registered any more (-ENOSPC:
 *          fs.epoll.max_user_watches) */
int exclusive_rotate(struct exclusive *exclusive) MUST_CHECK;

/** Proof from the kernel's own words, /proc/self/fdinfo of the epoll descriptor, that the
 *  registration is exclusive. False too when it cannot be read. */
bool exclusive_is_proven(const struct exclusive *exclusive);
