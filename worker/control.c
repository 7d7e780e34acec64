/* Losing the master shows here first: every sender's end of the channel is closed by the kernel. */
#include "worker/control.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/channel.h"
#include "common/descriptor.h"
#include "common/log.h"
#include "worker/acceptor.h"
#include "worker/upstream.h"
#include "worker/wakers.h"
#include "worker/worker.h"

#define RETRY_MS        100
#define LOG_INTERVAL_MS 10000

int
control_wait_hello(int fd, struct channel_hello *hello, int *board_fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	struct channel_message message;
	int error;

	while (poll(&wait, 1, -1) < 0) {
		if (errno != EINTR) {
			return -errno;
		}
	}
	error = channel_receive(fd, CHANNEL_CHILD, &message);
	if (error != 0) {
		return error;
	}
	if (message.type != CHANNEL_HELLO) {
		channel_message_close(&message);
		return -EPROTO;
	}
	*hello = message.hello;
	*board_fd = message.fds[0];
	message.fds[0] = -1;
	return 0;
}

static void
control_answer(struct control *control, enum channel_type type, const void *payload)
{
	int error = channel_send(control->fd, type, payload, NULL, 0);

	if (error != 0 && error != -EPIPE) {
		log_error("cannot send \"%s\" to the master: %s; it will replace this worker",
			channel_type_name(type), strerror(-error));
	}
}

static void
control_refuse(struct control *control, uint64_t generation, const char *why)
{
	struct channel_refused refused;

	memset(&refused, 0, sizeof(refused));
	refused.generation = generation;
	(void)snprintf(refused.why, sizeof(refused.why), "%s", why);
	control_answer(control, CHANNEL_REFUSED, &refused);
}

static void
control_use_log(struct channel_message *message)
{
	log_set_level((enum log_level)message->log.level);
	if (message->fd_count > 0) {
		log_use_descriptor((enum log_sink)message->log.sink, message->fds[0]);
		message->fds[0] = -1;
	} else {
		log_use_descriptor(LOG_STDERR, -1);
	}
}

static void
control_use_session_log(struct control *control, struct channel_message *message)
{
	int fd = message->fd_count > 0 ? message->fds[0] : -1;

	message->fds[0] = -1;
	session_log_use(&control->worker->service, fd);
}

static void
control_commit(struct control *control, const struct channel_commit *commit)
{
	struct worker *worker = control->worker;
	struct fault why;

	if (worker->state > WORKER_SERVING) {
		snapshot_discard(&control->snapshot);
		control_refuse(control, commit->generation, "this worker is finishing");
		return;
	}
	if (snapshot_apply(&control->snapshot, &worker->service, &why) != 0) {
		control_refuse(control, commit->generation, why.text);
		return;
	}
	control_answer(control, CHANNEL_APPLIED, commit);
	worker_report_soon(worker);
	if (worker->state == WORKER_STARTING) {
		worker_enter(worker, WORKER_SERVING, "configuration received");
		control_answer(control, CHANNEL_READY, NULL);
	}
}

/* The master lets go of a socket when its queue is empty, but a client may have come since. */
static void
control_release(struct control *control, const struct channel_number *number)
{
	struct acceptor *acceptor = acceptor_find(&control->worker->service, number->number);

	if (acceptor != NULL) {
		acceptor_empty(acceptor);
		acceptor_close(acceptor);
	}
	control_answer(control, CHANNEL_RELEASED, number);
}

static void
control_list(struct control *control, struct channel_message *message)
{
	listing_start(&control->listing, message->number.number, message->fds[0]);
	message->fds[0] = -1;
}

static void
control_on_written(struct listing *listing)
{
	struct control *control = container_of(listing, struct control, listing);
	struct channel_listed listed = {.id = listing->id, .count = listing->count};

	control_answer(control, CHANNEL_LISTED, &listed);
}

static void
control_kill(struct control *control, const struct channel_kill *kill)
{
	struct channel_kill killed = *kill;

	killed.status = listing_kill(&control->worker->service, kill->serial);
	control_answer(control, CHANNEL_KILLED, &killed);
}

static void
control_take_wakers(struct control *control, struct channel_message *message)
{
	for (uint32_t i = 0; i < message->wakers.count; i++) {
		wakers_take(&control->worker->service, message->wakers.slots[i], message->fds[i]);
		message->fds[i] = -1;
	}
}

static void
control_obey(struct control *control, struct channel_message *message)
{
	switch (message->type) {
	case CHANNEL_LOG:
		control_use_log(message);
		break;
	case CHANNEL_SESSION_LOG:
		control_use_session_log(control, message);
		break;
	case CHANNEL_CONFIG:
		snapshot_take_config(&control->snapshot, message);
		break;
	case CHANNEL_LISTENERS:
		snapshot_take_sockets(&control->snapshot, message);
		break;
	case CHANNEL_COMMIT:
		control_commit(control, &message->commit);
		break;
	case CHANNEL_RELEASE:
		control_release(control, &message->number);
		break;
	case CHANNEL_WAKERS:
		control_take_wakers(control, message);
		break;
	case CHANNEL_NUDGE:
		acceptors_look(&control->worker->service);
		upstreams_look(&control->worker->service);
		break;
	case CHANNEL_DRAIN:
		worker_drain(control->worker, message->drain.drain_timeout_ms, "the master asked");
		break;
	case CHANNEL_LIST:
		control_list(control, message);
		break;
	case CHANNEL_KILL:
		control_kill(control, &message->kill);
		break;
	default: /* a second HELLO says nothing new; others never come this way */
		break;
	}
}

static void
control_lost(struct control *control, int error)
{
	struct worker *worker = control->worker;

	ev_io_stop(worker->service.loop, &control->watcher);
	if (error != -EPIPE) {
		log_error("cannot listen to the master: %s; finishing, to be replaced",
			strerror(-error));
	}
	worker_drain(worker, worker->service.drain_timeout_ms,
		error == -EPIPE ? "the master is gone" : "the channel to the master is broken");
}

/* libev stops a watcher that the kernel does not take (any more) into the epoll set. */
static void
control_on_deaf(struct control *control)
{
	static struct log_limit limit;
	uint64_t suppressed;

	if (log_limit_allows(&limit, LOG_INTERVAL_MS, &suppressed)) {
		log_error("cannot listen to the master: the kernel refuses to add the channel to "
			  "epoll; trying again ten times a second; raise "
			  "fs.epoll.max_user_watches or find out what uses up the memory");
	}
	loop_timer_start(control->worker->service.loop, &control->retry, RETRY_MS);
}

static void
control_on_retry(struct ev_loop *loop, struct loop_timer *timer)
{
	struct control *control = container_of(timer, struct control, retry);

	ev_io_set(&control->watcher, control->fd, EV_READ);
	ev_io_start(loop, &control->watcher);
}

static void
control_on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct control *control = container_of(watcher, struct control, watcher);
	struct channel_message message;
	int error;

	(void)loop;
	if ((events & EV_ERROR) != 0) {
		control_on_deaf(control);
		return;
	}
	do {
		error = channel_receive(control->fd, CHANNEL_CHILD, &message);
		if (error == 0) {
			control_obey(control, &message);
			channel_message_close(&message);
		}
	} while (error == 0 && control->worker->state != WORKER_GONE);
	if (error != 0 && error != -EAGAIN) {
		control_lost(control, error);
	}
}

void
control_start(struct control *control, struct worker *worker, int fd)
{
	control->fd = fd;
	control->worker = worker;
	control->snapshot = (struct snapshot){.cpu = -1};
	listing_init(&control->listing, &worker->service, control_on_written);
	loop_timer_init(&control->retry, control_on_retry);
	ev_io_init(&control->watcher, control_on_readable, fd, EV_READ);
	ev_io_start(worker->service.loop, &control->watcher);
}

void
control_stop(struct control *control)
{
	ev_io_stop(control->worker->service.loop, &control->watcher);
	loop_timer_stop(control->worker->service.loop, &control->retry);
	snapshot_discard(&control->snapshot);
	listing_stop(&control->listing);
	descriptor_close(&control->fd);
}
