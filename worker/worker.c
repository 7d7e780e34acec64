/* A worker is executed anew: what it knows came through one descriptor. Whatever happens to the
 * master or to the configuration, its connections end in an orderly way. */
#include "build.h"

#include "worker/worker.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/child_end.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "common/inherit.h"
#include "common/log.h"
#include "worker/acceptor.h"
#include "worker/conn.h"
#include "worker/crash.h"
#include "worker/reserve.h"
#include "worker/upstream.h"

/* --- states --- */

static const char *const state_names[] = {
	[WORKER_STARTING] = "starting",
	[WORKER_SERVING] = "serving",
	[WORKER_DRAINING] = "draining",
	[WORKER_GONE] = "gone",
};

static void
show_state(struct worker *worker, enum board_worker_state state)
{
	atomic_store_explicit(&worker->service.slot->state, state, memory_order_seq_cst);
}

static void
report_on_turn(struct ev_loop *loop, struct loop_timer *timer)
{
	struct worker *worker = container_of(timer, struct worker, report);

	(void)loop;
	acceptors_report(&worker->service);
}

void
worker_report_soon(struct worker *worker)
{
	loop_timer_start(worker->service.loop, &worker->report, 0);
}

static void
worker_after_turn(struct worker *worker)
{
	if (worker->state == WORKER_DRAINING && worker->service.conns == NULL) {
		worker_enter(worker, WORKER_GONE, "all connections have ended");
	} else if (worker->state < WORKER_DRAINING && reserve_is_used()) {
		log_error("no memory for the event loop; went on with the reserve, finishing now, "
			  "to be replaced; allow the workers more memory");
		worker_drain(worker, worker->service.drain_timeout_ms, "no memory");
	}
}

static void
begin_draining(struct worker *worker)
{
	struct service *service = &worker->service;
	struct conn *conn, *next;

	show_state(worker, BOARD_WORKER_DRAINING);
	loop_timer_stop(service->loop, &worker->report);
	acceptors_leave(service);
	for (conn = service->conns; conn != NULL; conn = next) {
		next = conn->next;
		conn_drain(conn);
	}
}

static void
go(struct worker *worker)
{
	struct service *service = &worker->service;

	if (service->open > 0) {
		log_warning("cutting %" PRIu64 " connections that are still open", service->open);
	}
	while (service->conns != NULL) {
		conn_close(service->conns, CLOSE_drain);
	}
	loop_timer_stop(service->loop, &worker->drain_end);
}

void
worker_enter(struct worker *worker, enum worker_state state, const char *reason)
{
	assert(state > worker->state);
	log_info("%s, was %s: %s; %" PRIu64 " connections", state_names[state],
		state_names[worker->state], reason, worker->service.open);
	worker->state = state;
	switch (state) {
	case WORKER_STARTING:
		break;
	case WORKER_SERVING:
		show_state(worker, BOARD_WORKER_SERVING);
		break;
	case WORKER_DRAINING:
		begin_draining(worker);
		break;
	case WORKER_GONE:
		go(worker);
		break;
	}
}

/* --- finishing --- */

static void
drain_on_end(struct ev_loop *loop, struct loop_timer *timer)
{
	struct worker *worker = container_of(timer, struct worker, drain_end);

	(void)loop;
	worker_enter(worker, WORKER_GONE, "the drain timeout has ended");
}

void
worker_drain(struct worker *worker, int64_t timeout_ms, const char *reason)
{
	struct service *service = &worker->service;

	if (worker->state == WORKER_GONE) {
		return;
	}
	if (worker->state != WORKER_DRAINING) {
		worker_enter(worker, WORKER_DRAINING, reason);
	}
	if (timeout_ms == 0) {
		worker_enter(worker, WORKER_GONE, reason);
	} else if (timeout_ms != CHANNEL_NO_LIMIT &&
		   service->now_ms + timeout_ms < worker->drain_end_ms) {
		worker->drain_end_ms = service->now_ms + timeout_ms;
		loop_timer_start(service->loop, &worker->drain_end, timeout_ms);
	}
}

static void
worker_on_term(struct ev_loop *loop, ev_signal *watcher, int events)
{
	struct worker *worker = container_of(watcher, struct worker, on_term);

	(void)loop;
	(void)events;
	worker_drain(worker, worker->service.drain_timeout_ms, "SIGTERM");
}

/* --- starting --- */

/* A signal from the terminal goes to the whole process group; what it means is the master's to say.
 * TERM keeps its default until the loop runs: before that there is nothing to finish. */
static void
ignore_signals(void)
{
	static const int ignored[] = {
		SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU};

	for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
		(void)signal(ignored[i], SIG_IGN);
	}
}

static void
show_start(struct service *service)
{
	atomic_store_explicit(&service->slot->pid, (int32_t)getpid(), memory_order_relaxed);
	atomic_store_explicit(&service->slot->state, BOARD_WORKER_STARTING, memory_order_relaxed);
	atomic_store_explicit(&service->slot->progress_ms, service->now_ms, memory_order_relaxed);
}

static int
worker_start(struct worker *worker, const struct inherit *inherit, struct fault *why)
{
	struct board board;
	int error = child_end_meet(inherit->channel, inherit->slot, &board, why);

	if (error != 0) {
		return error;
	}
	error = service_init(&worker->service, &board, inherit->slot, worker->identity, why);
	if (error != 0) {
		return error;
	}
	show_start(&worker->service);
	error = crash_install(worker->service.slot);
	if (error != 0) {
		service_fini(&worker->service);
		return fault_set(why, -error, "cannot handle fatal signals");
	}
	ev_signal_init(&worker->on_term, worker_on_term, SIGTERM);
	ev_signal_start(worker->service.loop, &worker->on_term);
	loop_timer_init(&worker->report, report_on_turn);
	loop_timer_init(&worker->drain_end, drain_on_end);
	worker->drain_end_ms = INT64_MAX;
	control_start(&worker->control, worker, inherit->channel);
	return 0;
}

int
worker_main(const struct inherit *inherit)
{
	static struct worker worker;
	struct fault why;

	(void)snprintf(worker.identity, sizeof(worker.identity), "worker %d", inherit->slot);
	log_set_identity(worker.identity);
	(void)prctl(PR_SET_NAME, "acceptd");
	ignore_signals();
	(void)descriptor_raise_limit();
	reserve_install();
	if (worker_start(&worker, inherit, &why) != 0) {
		log_error("cannot start: %s", why.text);
		return EXIT_FAILURE;
	}
	while (worker.state != WORKER_GONE) {
		service_turn(&worker.service);
		worker_after_turn(&worker);
	}
	ev_signal_stop(worker.service.loop, &worker.on_term);
	control_stop(&worker.control);
	upstreams_fini(&worker.service);
	service_fini(&worker.service);
	return EXIT_SUCCESS;
}
