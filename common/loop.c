/* Thin helpers over libev. */
#include "common/loop.h"

#define MS_PER_SECOND 1000.0

struct ev_loop *
loop_new(void)
{
	return ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
}

static void
loop_timer_on_expiry(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct loop_timer *timer = container_of(watcher, struct loop_timer, watcher);

	(void)events;
	timer->on_expiry(loop, timer);
}

void
loop_timer_init(
	struct loop_timer *timer, void (*on_expiry)(struct ev_loop *loop, struct loop_timer *timer))
{
	ev_timer_init(&timer->watcher, loop_timer_on_expiry, 0.0, 0.0);
	timer->on_expiry = on_expiry;
}

static void
loop_timer_set(struct ev_loop *loop, struct loop_timer *timer, double after, double repeat)
{
	ev_timer_stop(loop, &timer->watcher);
	ev_timer_set(&timer->watcher, after, repeat);
	ev_timer_start(loop, &timer->watcher);
}

void
loop_timer_start(struct ev_loop *loop, struct loop_timer *timer, int64_t delay_ms)
{
	loop_timer_set(loop, timer, (double)delay_ms / MS_PER_SECOND, 0.0);
}

void
loop_timer_repeat(struct ev_loop *loop, struct loop_timer *timer, int64_t period_ms)
{
	double period = (double)period_ms / MS_PER_SECOND;

	loop_timer_set(loop, timer, period, period);
}

void
loop_timer_stop(struct ev_loop *loop, struct loop_timer *timer)
{
	ev_timer_stop(loop, &timer->watcher);
}
