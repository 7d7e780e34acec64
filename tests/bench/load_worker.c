/* The loop of one load process: opens the sessions that are due, hands out events, ends sessions.
 */
#include "tests/bench/load_worker.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/bench/bench_clock.h"
#include "tests/bench/load_session.h"

#define EVENTS_MAX 256
#define NS_PER_US  1000
#define NS_PER_MS  1000000

struct load_worker {
	const struct load_plan *plan;
	struct load_result *result;
	unsigned index;
	int control_fd;
	int epoll_fd;
	int64_t start_ns;
	int64_t deadline_ns;
	uint64_t quota; /* sessions that this process opens in all */
	uint64_t open_max;
	uint64_t connecting_max;
	uint64_t opened;
	uint64_t open_count;
	uint64_t connecting_count;
	bool has_told_established;
	bool is_abandoned; /* the parent is gone */
	struct load_session *sessions;
	struct load_session **spare_sessions; /* a stack of those that are not open */
};

static int
worker_init(struct load_worker *worker)
{
	const struct load_plan *plan = worker->plan;
	unsigned count = plan->process_count;

	worker->quota = load_plan_share(plan->session_count, count, worker->index);
	worker->open_max = load_plan_share(plan->open_max, count, worker->index);
	worker->connecting_max = load_plan_share(plan->connecting_max, count, worker->index);
	worker->sessions = calloc(worker->open_max, sizeof(*worker->sessions));
	worker->spare_sessions = calloc(worker->open_max, sizeof(struct load_session *));
	worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (worker->sessions == NULL || worker->spare_sessions == NULL) {
		return -ENOMEM;
	}
	if (worker->epoll_fd < 0) {
		return -errno;
	}
	for (uint64_t i = 0; i < worker->open_max; i++) {
		worker->sessions[i].fd = -1;
		worker->spare_sessions[i] = &worker->sessions[i];
	}
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, worker->control_fd, &event) < 0 ? -errno
											  : 0;
}

static void
worker_fini(struct load_worker *worker)
{
	free(worker->sessions);
	free(worker->spare_sessions);
	close(worker->epoll_fd);
}

static struct bench_address
source_of(const struct load_worker *worker, uint64_t session_index)
{
	const struct load_plan *plan = worker->plan;
	uint32_t sources = load_plan_sources_per_process(plan);

	if (plan->source.len == 0) {
		return plan->source;
	}
	return bench_address_add(
		&plan->source, worker->index * sources + (uint32_t)(session_index % sources));
}

static void
end_session(struct load_worker *worker, struct load_session *session, enum load_verdict verdict)
{
	struct load_result *result = worker->result;
	int64_t now_ns = bench_clock_now_ns();

	if (verdict == LOAD_DONE) {
		load_histogram_add(&result->session, now_ns - session->started_ns);
		result->sessions_ok++;
	} else {
		load_result_add_failure(result, session->failed_reason, 1);
	}
	result->finished_last_ns = now_ns;
	load_session_close(session, worker->plan->resets);
	worker->open_count--;
	worker->spare_sessions[worker->open_count] = session;
}

static void
open_session(struct load_worker *worker)
{
	struct load_session *session = worker->spare_sessions[worker->open_count++];
	uint64_t session_index = worker->opened++;
	struct bench_address source = source_of(worker, session_index);
	enum load_verdict verdict = load_session_open(session, worker->plan, &source,
		session_index * worker->plan->process_count + worker->index);
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = session};

	if (verdict == LOAD_GOES_ON &&
		epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, session->fd, &event) < 0) {
		session->failed_reason = "epoll";
		verdict = LOAD_FAILED;
	}
	if (verdict != LOAD_GOES_ON) {
		end_session(worker, session, verdict);
		return;
	}
	worker->connecting_count++;
}

/* When the next session may be opened as far as the pace goes; processes take turns. */
static int64_t
next_due_ns(const struct load_worker *worker)
{
	uint64_t turn = worker->opened * worker->plan->process_count + worker->index;

	return worker->start_ns + (int64_t)turn * worker->plan->pace_us * NS_PER_US;
}

static bool
has_room(const struct load_worker *worker)
{
	return worker->opened < worker->quota && worker->open_count < worker->open_max &&
	       worker->connecting_count < worker->connecting_max;
}

static void
open_due_sessions(struct load_worker *worker)
{
	while (has_room(worker) &&
		(worker->plan->pace_us == 0 || next_due_ns(worker) <= bench_clock_now_ns())) {
		open_session(worker);
	}
}

static void
release_all(struct load_worker *worker)
{
	worker->result->released_ns = bench_clock_now_ns();
	for (uint64_t i = 0; i < worker->open_max; i++) {
		struct load_session *session = &worker->sessions[i];

		if (session->fd < 0) {
			continue;
		}
		enum load_verdict verdict =
			load_session_release(session, worker->plan, worker->result);
		if (verdict != LOAD_GOES_ON) {
			end_session(worker, session, verdict);
		}
	}
}

static void
on_control(struct load_worker *worker)
{
	char message;

	if (read(worker->control_fd, &message, 1) != 1) {
		worker->is_abandoned = true;
	} else if (message == LOAD_MESSAGE_RELEASE) {
		release_all(worker);
	}
}

static void
on_session(struct load_worker *worker, struct load_session *session, uint32_t events)
{
	bool was_connecting = session->state == LOAD_SESSION_CONNECTING;
	enum load_verdict verdict =
		load_session_step(session, worker->plan, worker->result, events);

	if (was_connecting &&
		(verdict != LOAD_GOES_ON || session->state != LOAD_SESSION_CONNECTING)) {
		worker->connecting_count--;
	}
	if (verdict != LOAD_GOES_ON) {
		end_session(worker, session, verdict);
	}
}

static void
tell_when_established(struct load_worker *worker)
{
	char message = LOAD_MESSAGE_ESTABLISHED;

	if (!worker->plan->holds || worker->has_told_established ||
		worker->opened < worker->quota || worker->connecting_count > 0) {
		return;
	}
	worker->has_told_established = true;
	if (write(worker->control_fd, &message, 1) != 1) {
		worker->is_abandoned = true;
	}
}

static int
wait_ms(const struct load_worker *worker)
{
	int64_t until_ns = worker->deadline_ns;

	if (worker->plan->pace_us > 0 && has_room(worker) && next_due_ns(worker) < until_ns) {
		until_ns = next_due_ns(worker);
	}
	int64_t left_ns = until_ns - bench_clock_now_ns();
	/* Rounded up: rounding down would spin through the last millisecond. */
	return left_ns <= 0 ? 0 : (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS);
}

static void
turn(struct load_worker *worker)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(worker->epoll_fd, events, EVENTS_MAX, wait_ms(worker));

	/*
	 * Sessions are opened only between batches: a session that ends in this batch is not used
	 * again before its last event is past.
	 */
	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr != NULL) {
			on_session(worker, events[i].data.ptr, events[i].events);
		}
	}
	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr == NULL) {
			on_control(worker);
		}
	}
}

static void
fail_what_is_left(struct load_worker *worker, const char *reason)
{
	for (uint64_t i = 0; i < worker->open_max; i++) {
		struct load_session *session = &worker->sessions[i];

		if (session->fd >= 0) {
			session->failed_reason = reason;
			end_session(worker, session, LOAD_FAILED);
		}
	}
	load_result_add_failure(worker->result, reason, worker->quota - worker->opened);
}

/* A reset of many sockets costs as much as opening them; it belongs to the client's time. */
static void
note_cpu(struct load_result *result)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	result->client_cpu_us = 1000000 * ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
				usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static bool
is_over(const struct load_worker *worker)
{
	return worker->is_abandoned || bench_clock_now_ns() >= worker->deadline_ns ||
	       (worker->opened == worker->quota && worker->open_count == 0);
}

static void
work(struct load_worker *worker)
{
	open_due_sessions(worker);
	tell_when_established(worker);
	while (!is_over(worker)) {
		turn(worker);
		open_due_sessions(worker);
		tell_when_established(worker);
	}
	fail_what_is_left(worker, worker->is_abandoned ? "abandoned" : "timeout");
	note_cpu(worker->result);
}

int
load_worker_run(const struct load_plan *plan, unsigned index, const int64_t *start_ns,
	int control_fd, struct load_result *result)
{
	struct load_worker worker = {
		.plan = plan, .result = result, .index = index, .control_fd = control_fd};
	char message = LOAD_MESSAGE_READY;
	int status = worker_init(&worker);

	if (status == 0 &&
		(write(control_fd, &message, 1) != 1 || read(control_fd, &message, 1) != 1)) {
		status = -EPIPE;
	}
	if (status == 0) {
		worker.start_ns = *start_ns;
		worker.deadline_ns = *start_ns + plan->timeout_ms * NS_PER_MS;
		work(&worker);
	}
	worker_fini(&worker);
	return status;
}
