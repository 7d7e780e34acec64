/* A turn of the loop: set the one timer to what is due next, sleep, wake up, read the clock, tell
 * the watchdog that we live, serve what is ready (accepts first), expire deadlines, and look at
 * queues and pauses when it is time. Any turn does for the guard, so a busy worker has few extra
 * ones. What is done once a turn is called by name here: watchers of libev's for it would cost more
 * than most of it does. */
#include "worker/service.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "common/log.h"
#include "worker/acceptor.h"
#include "worker/conn.h"
#include "worker/pause.h"
#include "worker/pipes.h"
#include "worker/upstream.h"

#define EXPIRE_MAX      256 /* per turn: thousands may expire together, others want to be served */
#define GUARD_EARLY_MS  (SERVICE_GUARD_MS / 2)
#define RESERVE_MIN     4
#define RESERVE_MAX     32
#define RESERVE_PART(n) ((n) / 8)

void
service_read_descriptor_limit(struct service *service)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		service->descriptor_limit =
			limit.rlim_cur == RLIM_INFINITY ? INT64_MAX : (int64_t)limit.rlim_cur;
	}
}

bool
service_is_leaving(const struct service *service)
{
	return atomic_load_explicit(&service->slot->state, memory_order_relaxed) ==
	       BOARD_WORKER_DRAINING;
}

int64_t
service_descriptors_left(const struct service *service)
{
	int64_t limit = service->descriptor_limit, reserve = RESERVE_PART(limit);

	reserve = reserve < RESERVE_MIN ? RESERVE_MIN : reserve;
	reserve = reserve > RESERVE_MAX ? RESERVE_MAX : reserve;
	return limit - reserve - service->descriptors_used;
}

/* libev calls it when it comes back from the kernel, before it calls any watcher. */
static void
service_on_awake(struct ev_loop *loop)
{
	struct service *service = ev_userdata(loop);
	int64_t now_us = clock_monotonic_us();

	service->now_ms = now_us / 1000;
	vitals_turn_begins(&service->vitals, now_us);
	service->turn++;
	atomic_store_explicit(&service->slot->progress_ms, service->now_ms, memory_order_relaxed);
	stat_add(&service->slot->stats[STAT_WORKER_turns], 1);
}

static bool
pauses_are_due(const struct service *service)
{
	return service->paused_acceptors > 0 &&
	       (service->now_ms >= service->next_tick_ms ||
		       service->closed != service->closed_at_review);
}

static void
show_log_losses(struct service *service)
{
	uint64_t dropped = log_dropped_lines();

	stat_add(&service->slot->stats[STAT_WORKER_log_lines_dropped],
		dropped - service->log_lines_dropped);
	service->log_lines_dropped = dropped;
}

static void
service_guard(struct service *service)
{
	show_log_losses(service);
	service_read_descriptor_limit(service);
	acceptors_look(service);
	upstreams_look(service);
	upstream_checks_look(service);
	(void)memory_look(&service->memory, service->open, service->now_ms);
	service->next_guard_ms = service->now_ms + SERVICE_GUARD_MS;
	service->alarm_ms = INT64_MAX; /* or it would ring for the look that has been early */
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t
service_next_ms(const struct service *service)
{
	int64_t next_ms = earlier(service->next_guard_ms, deadlines_next_ms(&service->deadlines));

	return service->paused_acceptors > 0 ? earlier(next_ms, service->next_tick_ms) : next_ms;
}

/* A timer that is early costs one turn in which nothing is due, one that is set anew each turn
 * costs every turn. The guard sets it anew each time, so a worker that has something to do now and
 * then is not woken for nothing in between. */
static void
set_alarm(struct service *service)
{
	int64_t next_ms = service_next_ms(service);

	if (next_ms < service->alarm_ms) {
		service->alarm_ms = next_ms;
		loop_timer_start(service->loop, &service->alarm,
			next_ms > service->now_ms ? next_ms - service->now_ms : 0);
	}
}

static void
service_on_alarm(struct ev_loop *loop, struct loop_timer *timer)
{
	struct service *service = container_of(timer, struct service, alarm);

	(void)loop;
	service->alarm_ms = INT64_MAX; /* a turn is all that was wanted */
}

static void
end_turn(struct service *service)
{
	(void)deadlines_expire(&service->deadlines, service->now_ms, EXPIRE_MAX);
	if (pauses_are_due(service)) {
		service->next_tick_ms = service->now_ms + pause_review(service);
	}
	if (service->now_ms >= service->next_guard_ms - GUARD_EARLY_MS) {
		service_guard(service);
	}
	session_log_flush(service);
	vitals_turn_ends(&service->vitals);
}

void
service_turn(struct service *service)
{
	set_alarm(service);
	ev_run(service->loop, EVRUN_ONCE);
	end_turn(service);
}

static void
start_loop(struct service *service)
{
	ev_set_userdata(service->loop, service);
	ev_set_loop_release_cb(service->loop, NULL, service_on_awake);
	loop_timer_init(&service->alarm, service_on_alarm);
	service->alarm_ms = INT64_MAX;
}

/* Numbers of connections are not given again in this slot. */
static uint32_t
count_accepted(const struct board_slot *slot)
{
	uint64_t count = 0;

	for (int i = 0; i < BOARD_LISTENERS; i++) {
		count += stat_get(&slot->listeners[i].stats[STAT_LISTENER_accepted]);
	}
	return (uint32_t)count;
}

int
service_init(struct service *service, const struct board *board, int slot, const char *identity,
	struct fault *why)
{
	memset(service, 0, sizeof(*service));
	service->board = *board;
	service->slot_index = slot;
	service->slot = &service->board.slots[slot];
	service->identity = identity;
	service->last_serial = count_accepted(service->slot);
	service->now_ms = clock_monotonic_ms();
	deadlines_init(&service->deadlines);
	service->loop = loop_new();
	service->scratch = malloc(SERVICE_SCRATCH_BYTES);
	service->reserve_fd = eventfd(0, EFD_CLOEXEC);
	service->vitals.statm = -1;
	wakers_init(&service->wakers);
	if (service->loop == NULL || service->scratch == NULL || service->reserve_fd < 0) {
		service_fini(service);
		return fault_say(
			why, ENOMEM, "cannot make the event loop: no memory or no descriptor left");
	}
	vitals_init(&service->vitals, service->slot);
	service_read_descriptor_limit(service);
	service->descriptors_used = descriptor_count_open();
	start_loop(service);
	return 0;
}

void
service_fini(struct service *service)
{
	assert(service->conns == NULL && service->acceptors == NULL);
	session_log_fini(service);
	pipes_fini(service);
	wakers_fini(service);
	deadlines_fini(&service->deadlines);
	if (service->loop != NULL) {
		ev_loop_destroy(service->loop);
		service->loop = NULL;
	}
	free(service->scratch);
	service->scratch = NULL;
	descriptor_close(&service->reserve_fd);
	vitals_fini(&service->vitals);
	board_detach(&service->board);
}
