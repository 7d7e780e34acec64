/* Logs, as else nothing in common/ does: what to do about trouble with the master is decided here,
 * for every child alike. */
#include "common/child_end.h"
#include "build.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/board.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "common/privilege.h"

#define RETRY_MS        100
#define LOG_INTERVAL_MS 10000

/* --- the greeting --- */

/* @return 0; -EPIPE the master is gone, -EPROTO it said something else, or another negative errno
 */
static int
wait_hello(int fd, struct channel_message *message)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	int status;

	while (poll(&wait, 1, -1) < 0) {
		if (errno != EINTR) {
			return -errno;
		}
	}
	status = channel_receive(fd, CHANNEL_CHILD, message);
	if (status == 0 && message->type != CHANNEL_HELLO) {
		channel_message_close(message);
		status = -EPROTO;
	}
	return status;
}

/* exec has made us dumpable again. Sanitizers look for leaks with ptrace and need it. */
static int
bind_to_master(const struct channel_hello *hello)
{
#ifdef WITH_SANITIZER
	return privilege_bind_to_parent((pid_t)hello->master_pid, true);
#else
	return privilege_bind_to_parent((pid_t)hello->master_pid, false);
#endif
}

int
child_end_meet(int fd, int slot, struct board *board, struct fault *why)
{
	struct channel_message message;
	int status = wait_hello(fd, &message);

	if (status != 0) {
		return fault_set(why, -status, "no greeting from the master");
	}
	status = bind_to_master(&message.hello);
	if (status != 0) {
		status = fault_set(why, -status, "cannot tie itself to the master");
	} else {
		status = board_attach(board, message.fds[0], slot, why);
	}
	channel_message_close(&message);
	return status;
}

/* --- hearing --- */

static void
use_log(struct channel_message *message)
{
	log_set_level((enum log_level)message->log.level);
	if (message->fd_count > 0) {
		log_use_descriptor((enum log_sink)message->log.sink, message->fds[0]);
		message->fds[0] = -1;
	} else {
		log_use_descriptor(LOG_STDERR, -1);
	}
}

static bool
obey(struct child_end *end, struct channel_message *message)
{
	if (message->type == CHANNEL_LOG) {
		use_log(message);
		return true;
	}
	return end->on_message(end, message);
}

/* libev stops a watcher that the kernel does not take (any more) into the epoll set. */
static void
child_end_on_deaf(struct child_end *end)
{
	uint64_t suppressed;

	if (log_limit_allows(&end->deaf, LOG_INTERVAL_MS, &suppressed)) {
		log_error("cannot listen to the master: the kernel refuses to add the channel to "
			  "epoll; trying again ten times a second; raise "
			  "fs.epoll.max_user_watches or find out what uses up the memory");
	}
	loop_timer_start(end->loop, &end->retry, RETRY_MS);
}

static void
child_end_on_retry(struct ev_loop *loop, struct loop_timer *timer)
{
	struct child_end *end = container_of(timer, struct child_end, retry);

	ev_io_set(&end->watcher, end->fd, EV_READ);
	ev_io_start(loop, &end->watcher);
}

static void
child_end_on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct child_end *end = container_of(watcher, struct child_end, watcher);
	struct channel_message message;
	bool goes_on = true;
	int status = 0;

	if ((events & EV_ERROR) != 0) {
		child_end_on_deaf(end);
		return;
	}
	while (goes_on && (status = channel_receive(end->fd, CHANNEL_CHILD, &message)) == 0) {
		goes_on = obey(end, &message);
		channel_message_close(&message);
	}
	if (status != 0 && status != -EAGAIN) {
		ev_io_stop(loop, watcher);
		end->on_lost(end, status);
	}
}

void
child_end_start(struct child_end *end, struct ev_loop *loop, int fd)
{
	end->fd = fd;
	end->loop = loop;
	loop_timer_init(&end->retry, child_end_on_retry);
	ev_io_init(&end->watcher, child_end_on_readable, fd, EV_READ);
	ev_io_start(loop, &end->watcher);
}

void
child_end_stop(struct child_end *end)
{
	ev_io_stop(end->loop, &end->watcher);
	loop_timer_stop(end->loop, &end->retry);
	descriptor_close(&end->fd);
}

/* --- saying --- */

void
child_end_say(struct child_end *end, enum channel_type type, const void *payload)
{
	int status = channel_send(end->fd, type, payload, NULL, 0);

	if (status != 0 && status != -EPIPE) {
		log_error("cannot send \"%s\" to the master: %s; it will replace this process",
			channel_type_name(type), strerror(-status));
	}
}

void
child_end_refuse(struct child_end *end, uint64_t generation, const char *why)
{
	struct channel_refused refused;

	memset(&refused, 0, sizeof(refused));
	refused.generation = generation;
	(void)snprintf(refused.why, sizeof(refused.why), "%s", why);
	child_end_say(end, CHANNEL_REFUSED, &refused);
}
