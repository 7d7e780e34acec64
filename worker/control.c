/* Losing the master shows here first: every sender's end of the channel is closed by the kernel. */
#include "worker/control.h"

#include <errno.h>
#include <string.h>

#include "common/fault.h"
#include "common/log.h"
#include "worker/acceptor.h"
#include "worker/upstream.h"
#include "worker/wakers.h"
#include "worker/worker.h"

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
		child_end_refuse(&control->end, commit->generation, "this worker is finishing");
		return;
	}
	if (snapshot_apply(&control->snapshot, &worker->service, &why) != 0) {
		child_end_refuse(&control->end, commit->generation, why.text);
		return;
	}
	child_end_say(&control->end, CHANNEL_APPLIED, commit);
	worker_report_soon(worker);
	if (worker->state == WORKER_STARTING) {
		worker_enter(worker, WORKER_SERVING, "configuration received");
		child_end_say(&control->end, CHANNEL_READY, NULL);
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
	child_end_say(&control->end, CHANNEL_RELEASED, number);
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

	child_end_say(&control->end, CHANNEL_LISTED, &listed);
}

static void
control_kill(struct control *control, const struct channel_kill *kill)
{
	struct channel_kill killed = *kill;

	killed.status = listing_kill(&control->worker->service, kill->serial);
	child_end_say(&control->end, CHANNEL_KILLED, &killed);
}

static void
control_take_wakers(struct control *control, struct channel_message *message)
{
	for (uint32_t i = 0; i < message->wakers.count; i++) {
		wakers_take(&control->worker->service, message->wakers.slots[i], message->fds[i]);
		message->fds[i] = -1;
	}
}

static bool
control_on_message(struct child_end *end, struct channel_message *message)
{
	struct control *control = container_of(end, struct control, end);

	switch (message->type) {
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
	return control->worker->state != WORKER_GONE;
}

static void
control_on_lost(struct child_end *end, int error)
{
	struct worker *worker = container_of(end, struct control, end)->worker;

	if (error != -EPIPE) {
		log_error("cannot listen to the master: %s; finishing, to be replaced",
			strerror(-error));
	}
	worker_drain(worker, worker->service.drain_timeout_ms,
		error == -EPIPE ? "the master is gone" : "the channel to the master is broken");
}

void
control_start(struct control *control, struct worker *worker, int fd)
{
	control->worker = worker;
	control->snapshot = (struct snapshot){.cpu = -1};
	listing_init(&control->listing, &worker->service, control_on_written);
	control->end.on_message = control_on_message;
	control->end.on_lost = control_on_lost;
	child_end_start(&control->end, worker->service.loop, fd);
}

void
control_stop(struct control *control)
{
	child_end_stop(&control->end);
	snapshot_discard(&control->snapshot);
	listing_stop(&control->listing);
}
