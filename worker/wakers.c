#include "worker/wakers.h"

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "worker/service.h"
#include "worker/upstream.h"

void
wakers_init(struct wakers *wakers)
{
	for (int slot = 0; slot < BOARD_SLOTS; slot++) {
		wakers->fds[slot] = -1;
	}
}

static void
wakers_on_soon(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void)loop;
	(void)events;
	upstreams_look(container_of(watcher, struct service, wakers.soon));
}

static void
wakers_on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	uint64_t count;

	(void)loop;
	(void)events;
	if (read(watcher->fd, &count, sizeof(count)) == sizeof(count)) {
		upstreams_look(container_of(watcher, struct service, wakers.watcher));
	}
}

void
wakers_fini(struct service *service)
{
	struct wakers *wakers = &service->wakers;

	if (service->loop != NULL) {
		ev_io_stop(service->loop, &wakers->watcher);
		ev_io_stop(service->loop, &wakers->soon);
	}
	for (int slot = 0; slot < BOARD_SLOTS; slot++) {
		descriptor_close(&wakers->fds[slot]);
	}
}

void
wakers_take(struct service *service, int slot, int fd)
{
	struct wakers *wakers = &service->wakers;

	if (slot == service->slot_index) {
		ev_io_stop(service->loop, &wakers->watcher);
		ev_io_init(&wakers->watcher, wakers_on_readable, fd, EV_READ);
		ev_io_start(service->loop, &wakers->watcher);
	}
	service->descriptors_used += wakers->fds[slot] < 0 ? 1 : 0;
	descriptor_close(&wakers->fds[slot]);
	wakers->fds[slot] = fd;
}

void
wakers_wake(struct service *service, int slot)
{
	struct wakers *wakers = &service->wakers;
	const uint64_t one = 1;

	if (slot == service->slot_index) {
		ev_set_cb(&wakers->soon, wakers_on_soon);
		ev_feed_event(service->loop, &wakers->soon, EV_CUSTOM);
	} else if (wakers->fds[slot] >= 0 &&
		   write(wakers->fds[slot], &one, sizeof(one)) != sizeof(one)) {
		return; /* it was woken 2^64 times already and has yet to look */
	}
}
