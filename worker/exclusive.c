/* Marked descriptors are found by an array indexed by descriptor: this runs once for each accepted
 * client. */
#include "worker/exclusive.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "worker/interest.h"

#define FDINFO_MAX (1 << 20)

static struct exclusive **marked; /* by descriptor, NULL for others */
static int marked_size;

static int
epoll_ctl_kernel(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
	return (int)syscall(SYS_epoll_ctl, epoll_fd, operation, fd, event);
}

int
exclusive_mark(struct exclusive *exclusive, int fd)
{
	if (fd >= marked_size) {
		int size = fd + 1;
		struct exclusive **grown = realloc(marked, (size_t)size * sizeof(*marked));

		if (grown == NULL) {
			return -ENOMEM;
		}
		memset(grown + marked_size, 0, (size_t)(size - marked_size) * sizeof(*marked));
		marked = grown;
		marked_size = size;
	}
	*exclusive = (struct exclusive){.fd = fd, .epoll_fd = -1};
	marked[fd] = exclusive;
	return 0;
}

void
exclusive_unmark(struct exclusive *exclusive)
{
	exclusive_leave(exclusive);
	if (exclusive->fd >= 0 && exclusive->fd < marked_size) {
		marked[exclusive->fd] = NULL;
	}
	exclusive->fd = -1;
}

/* Remember only a registration that took place: libev takes its generation number back when it
 * fails, and a later rotation would bring a stale one into the kernel. */
static int
exclusive_add(struct exclusive *exclusive, int epoll_fd, const struct epoll_event *event)
{
	struct epoll_event wanted = *event;
	bool is_exclusive = true;

	wanted.events |= EPOLLEXCLUSIVE;
	if (epoll_ctl_kernel(epoll_fd, EPOLL_CTL_ADD, exclusive->fd, &wanted) < 0) {
		if (errno != EINVAL) {
			return -1;
		}
		is_exclusive = false;
		wanted.events = event->events;
		if (epoll_ctl_kernel(epoll_fd, EPOLL_CTL_ADD, exclusive->fd, &wanted) < 0) {
			return -1;
		}
	}
	exclusive->epoll_fd = epoll_fd;
	exclusive->event = wanted;
	exclusive->is_registered = true;
	exclusive->is_exclusive = is_exclusive;
	return 0;
}

/* libev modifies a listener only when the kernel reported more than it asked for, that is a hang-up
 * after somebody's shutdown(2). The kernel allows no change of an exclusive registration; told so,
 * libev would rebuild its epoll set for ever. Leaving is what helps: the watcher still gets the
 * event, and the acceptor comes back when the listener is healed. */
static int
exclusive_modify(struct exclusive *exclusive)
{
	exclusive_leave(exclusive);
	return 0;
}

/* A registration that is gone already is gone; told of an error, libev would rebuild its epoll set
 * with everything in it. */
static int
exclusive_delete(struct exclusive *exclusive, int epoll_fd)
{
	exclusive->is_registered = false;
	(void)epoll_ctl_kernel(epoll_fd, EPOLL_CTL_DEL, exclusive->fd, &exclusive->event);
	return 0;
}

static int
watch_unmarked(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
	if (operation == EPOLL_CTL_MOD && interest_is(fd, event->events)) {
		return 0;
	}
	if (epoll_ctl_kernel(epoll_fd, operation, fd, event) < 0) {
		return -1;
	}
	interest_note(fd, operation == EPOLL_CTL_DEL ? 0 : event->events);
	return 0;
}

/* Takes the place of libc's function for the whole program, libev.so included; hidden visibility
 * would switch it off silently. */
__attribute__((visibility("default"))) int
epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
	struct exclusive *exclusive = fd >= 0 && fd < marked_size ? marked[fd] : NULL;

	if (exclusive == NULL) {
		return watch_unmarked(epoll_fd, operation, fd, event);
	}
	switch (operation) {
	case EPOLL_CTL_ADD:
		return exclusive_add(exclusive, epoll_fd, event);
	case EPOLL_CTL_MOD:
		return exclusive_modify(exclusive);
	default:
		return exclusive_delete(exclusive, epoll_fd);
	}
}

void
exclusive_leave(struct exclusive *exclusive)
{
	if (exclusive->is_registered) {
		(void)exclusive_delete(exclusive, exclusive->epoll_fd);
	}
}

int
exclusive_rotate(struct exclusive *exclusive)
{
	if (!exclusive->is_registered || !exclusive->is_exclusive) {
		return 0;
	}
	(void)exclusive_delete(exclusive, exclusive->epoll_fd);
	if (epoll_ctl_kernel(exclusive->epoll_fd, EPOLL_CTL_ADD, exclusive->fd, &exclusive->event) <
		0) {
		return -errno;
	}
	exclusive->is_registered = true;
	return 0;
}

bool
exclusive_is_proven(const struct exclusive *exclusive)
{
	char path[64], *text, *line, *rest;
	bool is_proven = false;
	size_t len;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", exclusive->epoll_fd);
	if (!exclusive->is_registered || descriptor_read_file(path, FDINFO_MAX, &text, &len) != 0) {
		return false;
	}
	for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		int fd;
		unsigned events;

		if (sscanf(line, "tfd: %d events: %x", &fd, &events) == 2 && fd == exclusive->fd) {
			is_proven = (events & EPOLLEXCLUSIVE) != 0;
		}
	}
	free(text);
	return is_proven;
}
