/* One wake-up takes one client, then looks how many more wait: an accept that finds nothing costs
 * as much as a real one. */
#include "worker/acceptor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/net.h"
#include "worker/admission.h"
#include "worker/conn.h"
#include "worker/fairness.h"
#include "worker/ledger.h"
#include "worker/pause.h"
#include "worker/service.h"
#include "worker/settings.h"

#define FAILURES_MAX    8
#define LOG_INTERVAL_MS 10000
#define MEASURE_ALL_MAX 500 /* a second */
#define MEASURE_ONE_IN  8
#define RESCUE_MS       20 /* a client that waited so long while we slept had no wake-up */

uint32_t
acceptor_depth(const struct acceptor *acceptor)
{
	return acceptor->tells_depth ? net_listener_depth(acceptor->exclusive.fd) : 1;
}

/* --- failures --- */

static void
report_failure(const struct acceptor *acceptor, int error)
{
	static struct log_limit limit;
	uint64_t suppressed;

	if (log_limit_allows(&limit, LOG_INTERVAL_MS, &suppressed)) {
		log_warning(
			"listener %s: accept fails: %s (%llu times more since this was said last); "
			"clients wait in the accept queue, trying again in 100 ms%s",
			acceptor->settings->name, strerror(error), (unsigned long long)suppressed,
			error == ENFILE ? "; raise fs.file-max" : "");
	}
}

/* One failure may belong to the client that was to be accepted (accept(2)); a row of them is
 * trouble, and must not spin. */
static void
acceptor_failed_again(struct acceptor *acceptor, int error)
{
	if (++acceptor->failures >= FAILURES_MAX) {
		acceptor->failures = 0;
		report_failure(acceptor, error);
		pause_after_failure(acceptor, BOARD_PAUSE_TROUBLE);
	}
}

static void
acceptor_failed(struct acceptor *acceptor, int error)
{
	board_cell *stats = acceptor->service->slot->stats;

	if (error == EAGAIN) {
		stat_add(&stats[STAT_WORKER_empty_accepts], 1);
		return;
	}
	if (error == ECONNABORTED) {
		stat_add(&acceptor->settings->cells->stats[STAT_LISTENER_gone_in_queue], 1);
	} else if (error != EINTR) {
		stat_add(&stats[STAT_WORKER_accept_errors], 1);
	}
	switch (error) {
	case EMFILE:
		pause_after_failure(acceptor, BOARD_PAUSE_DESCRIPTORS);
		break;
	case ENFILE:
		report_failure(acceptor, error);
		pause_after_failure(acceptor, BOARD_PAUSE_DESCRIPTORS);
		break;
	case ENOMEM:
	case ENOBUFS:
	case EINVAL: /* somebody has shut the listener down; the master will heal it */
		report_failure(acceptor, error);
		pause_after_failure(acceptor, BOARD_PAUSE_TROUBLE);
		break;
	default:
		acceptor_failed_again(acceptor, error);
	}
}

/* --- taking clients --- */

/* A system call of a third of a microsecond: for every client while few come, for one in eight when
 * many do. */
static bool
is_measured(struct service *service)
{
	if (service->now_ms >= service->wait_sample_until_ms) {
		service->wait_sample_until_ms = service->now_ms + 1000;
		service->wait_sample_count = 0;
	}
	service->wait_sample_count++;
	return service->wait_sample_count <= MEASURE_ALL_MAX ||
	       service->wait_sample_count % MEASURE_ONE_IN == 0;
}

/* @return milliseconds in the accept queue; -1: not measured */
static int32_t
measure_wait(struct acceptor *acceptor, int fd)
{
	struct service *service = acceptor->service;
	struct net_accepted accepted;

	if (!is_measured(service) || net_accepted_info(fd, &accepted) != 0) {
		return -1;
	}
	histogram_add(&acceptor->settings->cells->queue_wait_ms, accepted.queue_wait_ms);
	if (acceptor->is_guarding && accepted.queue_wait_ms >= RESCUE_MS &&
		service->now_ms - acceptor->last_accept_ms >= SERVICE_GUARD_MS / 2) {
		stat_add(&service->slot->stats[STAT_WORKER_guard_rescues], 1);
	}
	return (int32_t)accepted.queue_wait_ms;
}

/* Everything that is to be known about a client before its first byte is learned here. */
static void
acceptor_admit(struct acceptor *acceptor, int fd, const union peer *peer)
{
	int32_t queue_wait_ms = measure_wait(acceptor, fd);

	acceptor->last_accept_ms = acceptor->service->now_ms;
	acceptor->failures = 0;
	if (conn_open(acceptor->settings, fd, peer, queue_wait_ms) != 0) {
		admission_give_back(acceptor->settings, 1);
		ledger_turn_away(acceptor->settings, peer, CLOSE_no_memory);
	}
}

static void
acceptor_turn_away(struct acceptor *acceptor, int fd, const union peer *peer)
{
	ledger_turn_away(acceptor->settings, peer, CLOSE_refused_limit);
	net_reset_on_close(fd);
	close(fd);
}

/* Accept up to `most` clients, each handled by `take`; a failure is dealt with.
 * @return how many were accepted */
static unsigned
accept_some(struct acceptor *acceptor, unsigned most,
	void (*take)(struct acceptor *acceptor, int fd, const union peer *peer), int *error)
{
	unsigned taken = 0;

	*error = 0;
	while (taken < most) {
		union peer peer;
		int fd;

		ledger_accept_begins(acceptor->settings->cells);
		fd = net_accept(acceptor->exclusive.fd, &peer);
		if (fd < 0) {
			ledger_accept_failed(acceptor->settings->cells);
			*error = -fd;
			break;
		}
		taken++;
		take(acceptor, fd, &peer);
	}
	return taken;
}

/* At a limit: turn away, or leave them in the queue, as long as it is not sure that all places are
 * taken for good. */
static unsigned
acceptor_on_limit(struct acceptor *acceptor, unsigned wanted)
{
	unsigned taken;
	int error;

	if (!acceptor->settings->refuses_at_limit || !admission_is_full(acceptor->settings)) {
		pause_begin(acceptor, BOARD_PAUSE_LIMIT);
		return 0;
	}
	taken = accept_some(acceptor, wanted, acceptor_turn_away, &error);
	if (error != 0) {
		acceptor_failed(acceptor, error);
	}
	return taken;
}

/* How many of `wanted` we may take without getting ahead of the others, who are counted as if we
 * had taken them all, unless the queue is deep. */
static unsigned
fair_share(const struct acceptor *acceptor, unsigned wanted, const struct census *census)
{
	uint64_t own = acceptor->service->open, open = census->open + wanted;
	uint64_t ceiling = fairness_ceiling(open, census->workers);

	if (own + wanted <= ceiling ||
		!pause_is_ahead(acceptor, own + wanted, open, census->workers)) {
		return wanted;
	}
	return own < ceiling ? (unsigned)(ceiling - own) : 0;
}

enum greed { FAIR, GREEDY };

/* Take up to `wanted` clients, with a place for each. Unused places are given back before anything
 * happens that might claim again. */
static unsigned
acceptor_take(struct acceptor *acceptor, unsigned wanted, enum greed greed)
{
	struct census census;
	unsigned granted = admission_claim(acceptor->settings, wanted, &census);
	unsigned share, taken;
	int error;

	acceptor->is_alone = census.serving <= 1;
	if (granted == 0) {
		return acceptor_on_limit(acceptor, wanted);
	}
	share = greed == GREEDY ? granted : fair_share(acceptor, granted, &census);
	taken = accept_some(acceptor, share, acceptor_admit, &error);
	admission_give_back(acceptor->settings, granted - taken);
	if (error != 0) {
		acceptor_failed(acceptor, error);
	}
	if (share < granted) {
		pause_begin(acceptor, BOARD_PAUSE_BALANCE);
	}
	return taken;
}

static unsigned
acceptor_take_fairly(struct acceptor *acceptor, unsigned wanted)
{
	int64_t descriptors = service_descriptors_left(acceptor->service);

	if (descriptors <= 0) {
		pause_begin(acceptor, BOARD_PAUSE_DESCRIPTORS);
		return 0;
	}
	return acceptor_take(acceptor, wanted < descriptors ? wanted : (unsigned)descriptors, FAIR);
}

/* Who serves alone is the next one anyhow. */
static void
acceptor_rotate(struct acceptor *acceptor)
{
	int error = acceptor->is_alone ? 0 : exclusive_rotate(&acceptor->exclusive);

	if (error != 0) {
		report_failure(acceptor, -error);
		pause_after_failure(acceptor, BOARD_PAUSE_TROUBLE);
	}
}

void
acceptor_serve(struct acceptor *acceptor)
{
	if (acceptor_take_fairly(acceptor, 1) > 0 && acceptor->pause == 0 &&
		acceptor->tells_depth) {
		unsigned more = fairness_more(acceptor_depth(acceptor));

		if (more > 0) {
			(void)acceptor_take_fairly(acceptor, more);
		}
	}
	if (acceptor->pause == 0) {
		acceptor_rotate(acceptor);
	}
}

void
acceptor_serve_one(struct acceptor *acceptor)
{
	struct census census;
	int error;

	if (acceptor_depth(acceptor) == 0 || admission_claim(acceptor->settings, 1, &census) == 0) {
		return;
	}
	if (accept_some(acceptor, 1, acceptor_admit, &error) == 0) {
		admission_give_back(acceptor->settings, 1);
		acceptor_failed(acceptor, error);
	}
}

void
acceptor_empty(struct acceptor *acceptor)
{
	unsigned waiting = acceptor_depth(acceptor);

	while (waiting > 0 && service_descriptors_left(acceptor->service) > 0 &&
		acceptor_take(acceptor, fairness_more(waiting), GREEDY) > 0) {
		waiting = acceptor_depth(acceptor);
	}
}

/* The kernel refused to register the socket, so libev stopped the watcher. */
static void
acceptor_on_event(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct acceptor *acceptor = container_of(watcher, struct acceptor, watcher);

	(void)loop;
	if ((events & EV_ERROR) != 0) {
		report_failure(acceptor, errno);
		pause_after_failure(acceptor, BOARD_PAUSE_TROUBLE);
		return;
	}
	acceptor_serve(acceptor);
}

/* --- birth and death --- */

static bool
is_tcp(int fd)
{
	int domain = AF_UNSPEC;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain != AF_UNIX;
}

static void
acceptor_read_limit(struct acceptor *acceptor)
{
	struct net_queue queue;

	if (acceptor->tells_depth && net_listener_sample(acceptor->exclusive.fd, &queue) == 0) {
		acceptor->queue_limit = queue.limit;
	}
}

int
acceptor_open(struct service *service, uint32_t number, int fd, struct settings *settings,
	struct acceptor **acceptor)
{
	struct acceptor *new = calloc(1, sizeof(*new));

	if (new == NULL || exclusive_mark(&new->exclusive, fd) != 0) {
		free(new);
		close(fd);
		return -ENOMEM;
	}
	new->service = service;
	new->number = number;
	new->settings = settings_hold(settings);
	new->tells_depth = is_tcp(fd);
	acceptor_read_limit(new);
	new->next = service->acceptors;
	service->acceptors = new;
	service->descriptors_used++;
	ev_io_init(&new->watcher, acceptor_on_event, fd, EV_READ);
	ev_set_priority(&new->watcher, EV_MAXPRI);
	ev_io_start(service->loop, &new->watcher);
	*acceptor = new;
	return 0;
}

void
acceptor_close(struct acceptor *acceptor)
{
	struct service *service = acceptor->service;
	struct acceptor **link = &service->acceptors;

	while (*link != acceptor) {
		link = &(*link)->next;
	}
	*link = acceptor->next;
	pause_forget(acceptor);
	ev_io_stop(service->loop, &acceptor->watcher);
	exclusive_unmark(&acceptor->exclusive);
	close(acceptor->watcher.fd);
	service->descriptors_used--;
	settings_release(&acceptor->settings);
	free(acceptor);
}

struct acceptor *
acceptor_find(const struct service *service, uint32_t number)
{
	struct acceptor *acceptor = service->acceptors;

	while (acceptor != NULL && acceptor->number != number) {
		acceptor = acceptor->next;
	}
	return acceptor;
}

void
acceptor_use(struct acceptor *acceptor, struct settings *settings)
{
	struct settings *before = acceptor->settings;

	acceptor->settings = settings_hold(settings);
	settings_release(&before);
}

/* --- all of them --- */

static void
acceptor_look(struct acceptor *acceptor)
{
	acceptor_read_limit(acceptor);
	if (acceptor->pause == 0 && acceptor_depth(acceptor) > 0) {
		acceptor->is_guarding = true;
		acceptor_serve(acceptor);
		acceptor->is_guarding = false;
	}
}

void
acceptors_look(struct service *service)
{
	for (struct acceptor *acceptor = service->acceptors; acceptor != NULL;
		acceptor = acceptor->next) {
		acceptor_look(acceptor);
	}
}

/* Our state on the board is draining by now. Of several workers that leave at once each says so
 * before it looks, so at least the last one sees that nobody is left. */
void
acceptors_leave(struct service *service)
{
	struct census census;

	atomic_thread_fence(memory_order_seq_cst);
	admission_look(service, -1, &census);
	while (service->acceptors != NULL) {
		struct acceptor *acceptor = service->acceptors;

		ev_io_stop(service->loop, &acceptor->watcher);
		exclusive_leave(&acceptor->exclusive);
		if (census.serving == 0) {
			acceptor_empty(acceptor);
		} else {
			acceptor_serve_one(acceptor);
		}
		acceptor_close(acceptor);
	}
}

void
acceptors_report(const struct service *service)
{
	unsigned proven = 0, listening = 0;

	for (const struct acceptor *acceptor = service->acceptors; acceptor != NULL;
		acceptor = acceptor->next) {
		if (acceptor->pause == 0) {
			listening++;
			proven += exclusive_is_proven(&acceptor->exclusive) ? 1 : 0;
		}
	}
	if (proven == listening) {
		log_info("wake-ups are exclusive on %u sockets", listening);
	} else {
		log_warning("wake-ups are exclusive on %u of %u sockets only: each client on the "
			    "others wakes every idle worker, which costs CPU time and nothing else",
			proven, listening);
	}
}
