/* Leaving to others is cheap, starving a queue is not: each reason is looked at again every 10 ms
 * while one lasts. While clients wait and only balance holds us back it is every 3 ms (measured,
 * 4000 connects at once, 16 workers: with 10 ms they take twice as long, with 1 ms the workers wake
 * up for one client at a time and use twice the CPU), and no client waits over 50 ms for its sake.
 */
#include "worker/pause.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/log.h"
#include "common/net.h"
#include "worker/acceptor.h"
#include "worker/admission.h"
#include "worker/fairness.h"
#include "worker/ledger.h"
#include "worker/service.h"
#include "worker/settings.h"

#define RETRY_MS        100
#define TICK_MS         10
#define TICK_WAITING_MS 3
#define PATIENCE_MS     50
#define GREED_MS        500
#define LOG_INTERVAL_MS 10000

static const struct {
	enum board_pause reason;
	enum stat_worker_index counter;
} counters[] = {
	{BOARD_PAUSE_BALANCE, STAT_WORKER_pauses_balance},
	{BOARD_PAUSE_LIMIT, STAT_WORKER_pauses_limit},
	{BOARD_PAUSE_DESCRIPTORS, STAT_WORKER_pauses_descriptors},
};

static void
show_pauses(struct service *service)
{
	unsigned reasons = 0;

	for (const struct acceptor *acceptor = service->acceptors; acceptor != NULL;
		acceptor = acceptor->next) {
		reasons |= acceptor->pause;
	}
	atomic_store_explicit(&service->slot->pause, reasons, memory_order_relaxed);
}

static void
count_pause(struct service *service, enum board_pause reason)
{
	for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
		if (counters[i].reason == reason) {
			stat_add(&service->slot->stats[counters[i].counter], 1);
		}
	}
}

static void
report_descriptors(const struct service *service)
{
	static struct log_limit limit;
	uint64_t suppressed;

	if (log_limit_allows(&limit, LOG_INTERVAL_MS, &suppressed)) {
		log_warning("fd limit %" PRId64 " reached in %s: %" PRId64
			    " descriptors in use, %" PRIu64 " connections; accepting pauses, new "
			    "clients wait in the accept queue; raise the limit of open files "
			    "(LimitNOFILE=, ulimit -Hn) or start more workers",
			service->descriptor_limit, service->identity, service->descriptors_used,
			service->open);
	}
}

void
pause_begin(struct acceptor *acceptor, enum board_pause reason)
{
	struct service *service = acceptor->service;
	bool was_listening = acceptor->pause == 0;

	if ((acceptor->pause & reason) != 0) {
		return;
	}
	acceptor->pause |= reason;
	count_pause(service, reason);
	show_pauses(service);
	if (reason == BOARD_PAUSE_DESCRIPTORS) {
		report_descriptors(service);
	}
	if (was_listening) {
		service->paused_acceptors++;
		service->next_tick_ms = service->now_ms + TICK_WAITING_MS;
		acceptor->waiting_since_ms = 0;
		ev_io_stop(service->loop, &acceptor->watcher);
		exclusive_leave(&acceptor->exclusive);
		acceptor_serve_one(acceptor);
	}
}

void
pause_after_failure(struct acceptor *acceptor, enum board_pause reason)
{
	acceptor->retry_ms = acceptor->service->now_ms + RETRY_MS;
	pause_begin(acceptor, reason);
}

/* ev_io_set makes libev register again even if it has not noticed that we left. */
static void
pause_end(struct acceptor *acceptor)
{
	struct service *service = acceptor->service;

	service->paused_acceptors--;
	ev_io_set(&acceptor->watcher, acceptor->exclusive.fd, EV_READ);
	ev_io_start(service->loop, &acceptor->watcher);
}

void
pause_forget(struct acceptor *acceptor)
{
	if (acceptor->pause != 0) {
		acceptor->pause = 0;
		acceptor->service->paused_acceptors--;
		show_pauses(acceptor->service);
	}
}

bool
pause_is_ahead(const struct acceptor *acceptor, uint64_t own, uint64_t open, unsigned workers)
{
	return own > fairness_ceiling(open, workers) &&
	       acceptor->service->now_ms >= acceptor->greedy_until_ms &&
	       !fairness_is_deep(acceptor_depth(acceptor), acceptor->queue_limit);
}

/* --- whether a reason has gone --- */

/* Whoever should take these clients does not: it hangs, or gets no CPU time. So take them all, and
 * those that follow. */
static bool
patience_is_over(struct acceptor *acceptor)
{
	int64_t now_ms = acceptor->service->now_ms;

	if (acceptor_depth(acceptor) == 0) {
		acceptor->waiting_since_ms = 0;
		return false;
	}
	if (acceptor->waiting_since_ms == 0) {
		acceptor->waiting_since_ms = now_ms;
	}
	if (now_ms - acceptor->waiting_since_ms < PATIENCE_MS) {
		return false;
	}
	acceptor->greedy_until_ms = now_ms + GREED_MS;
	return true;
}

static bool
balance_is_restored(struct acceptor *acceptor)
{
	struct census census;

	admission_look(acceptor->service, -1, &census);
	return !pause_is_ahead(acceptor, acceptor->service->open, census.open, census.workers) ||
	       patience_is_over(acceptor);
}

/* The kernel limits numbers, not counts: after the limit was lowered there may be few descriptors
 * and yet no free number. So ask for one. */
static bool
descriptors_are_free(const struct acceptor *acceptor)
{
	int probe;

	if (service_descriptors_left(acceptor->service) <= 0 ||
		acceptor->service->now_ms < acceptor->retry_ms) {
		return false;
	}
	probe = fcntl(acceptor->exclusive.fd, F_DUPFD_CLOEXEC, 0);
	if (probe < 0) {
		return false;
	}
	close(probe);
	return true;
}

static bool
trouble_is_over(const struct acceptor *acceptor)
{
	struct net_queue queue;

	return acceptor->service->now_ms >= acceptor->retry_ms &&
	       net_listener_sample(acceptor->exclusive.fd, &queue) == 0 && queue.is_listening;
}

/* Either there is a place again, or it is sure that there is none and clients are to be told. */
static bool
limit_is_decided(const struct settings *settings)
{
	return admission_has_room(settings) ||
	       (settings->refuses_at_limit && admission_is_full(settings));
}

static unsigned
reasons_gone(struct acceptor *acceptor)
{
	unsigned gone = 0, pause = acceptor->pause;

	if ((pause & BOARD_PAUSE_BALANCE) != 0 && balance_is_restored(acceptor)) {
		gone |= BOARD_PAUSE_BALANCE;
	}
	if ((pause & BOARD_PAUSE_LIMIT) != 0 && limit_is_decided(acceptor->settings)) {
		gone |= BOARD_PAUSE_LIMIT;
	}
	if ((pause & BOARD_PAUSE_DESCRIPTORS) != 0 && descriptors_are_free(acceptor)) {
		gone |= BOARD_PAUSE_DESCRIPTORS;
	}
	if ((pause & BOARD_PAUSE_TROUBLE) != 0 && trouble_is_over(acceptor)) {
		gone |= BOARD_PAUSE_TROUBLE;
	}
	return gone;
}

/* --- the last resort --- */

static bool
nobody_has_descriptors(const struct service *service)
{
	struct census census;

	admission_look(service, -1, &census);
	return census.serving > 0 && census.workers == 0;
}

/* With on_limit = refuse a client must not wait, so when no worker has a descriptor left the
 * reserve is given up for the moment in which the client is told. */
static void
shed_clients(struct acceptor *acceptor)
{
	struct service *service = acceptor->service;
	unsigned waiting = fairness_more(acceptor_depth(acceptor));

	while (waiting-- > 0) {
		union peer peer;
		int fd;

		close(service->reserve_fd);
		fd = net_accept(acceptor->exclusive.fd, &peer);
		if (fd >= 0) {
			ledger_turn_away(acceptor->settings, &peer, CLOSE_shed);
			stat_add(&service->slot->stats[STAT_WORKER_shed], 1);
			net_reset_on_close(fd);
			close(fd);
		}
		service->reserve_fd = eventfd(0, EFD_CLOEXEC);
		if (fd < 0 || service->reserve_fd < 0) {
			return;
		}
	}
}

static void
review_one(struct acceptor *acceptor)
{
	acceptor->pause &= ~reasons_gone(acceptor);
	if (acceptor->pause == 0) {
		pause_end(acceptor);
	} else if ((acceptor->pause & BOARD_PAUSE_DESCRIPTORS) != 0 &&
		   acceptor->settings->refuses_at_limit && acceptor->service->reserve_fd >= 0 &&
		   nobody_has_descriptors(acceptor->service)) {
		shed_clients(acceptor);
	}
}

static bool
balance_keeps_clients_waiting(const struct acceptor *acceptor)
{
	return acceptor->pause == BOARD_PAUSE_BALANCE && acceptor->waiting_since_ms != 0;
}

int64_t
pause_review(struct service *service)
{
	int64_t again_ms = TICK_MS;

	for (struct acceptor *acceptor = service->acceptors; acceptor != NULL;
		acceptor = acceptor->next) {
		if (acceptor->pause != 0) {
			review_one(acceptor);
		}
		if (balance_keeps_clients_waiting(acceptor)) {
			again_ms = TICK_WAITING_MS;
		}
	}
	service->closed_at_review = service->closed;
	show_pauses(service);
	return again_ms;
}
