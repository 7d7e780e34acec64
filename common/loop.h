/* Thin helpers over libev: timers in milliseconds, one way to make a loop. The only place that
 * converts to libev's seconds. */
#pragma once

#include <ev.h>
#include <stdint.h>

#include "common/defs.h"

/** A new epoll loop that ignores LIBEV_FLAGS; NULL for want of memory or descriptors. Make it
 *  after fork and exec, never before. */
struct ev_loop *loop_new(void);

struct loop_timer {
	ev_timer watcher;
	void (*on_expiry)(struct ev_loop *loop, struct loop_timer *timer);
};

/** Prepare a stopped timer; embed it in its owner and find the owner with container_of. */
void loop_timer_init(struct loop_timer *timer,
	void (*on_expiry)(struct ev_loop *loop, struct loop_timer *timer));
/** Fire once after `delay_ms` from now; a running timer is set anew. */
void loop_timer_start(struct ev_loop *loop, struct loop_timer *timer, int64_t delay_ms);
/** Fire each `period_ms`, first after one period. */
void loop_timer_repeat(struct ev_loop *loop, struct loop_timer *timer, int64_t period_ms);
void loop_timer_stop(struct ev_loop *loop, struct loop_timer *timer);
