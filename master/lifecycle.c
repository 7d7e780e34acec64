/* What the signals and the clock ask of the master. */
#include "master/lifecycle.h"

#include <stdlib.h>

#include "common/board.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/text.h"
#include "master/backend_queues.h"
#include "master/backends.h"
#include "master/fleet.h"
#include "master/listeners.h"
#include "master/listeners_watch.h"
#include "master/master.h"
#include "master/monitor_child.h"
#include "master/reload.h"
#include "master/requests.h"
#include "master/upgrade.h"

#define WATCH_PERIOD_MS  100
#define SECOND_PERIOD_MS 1000
#define REOPEN_PERIOD_MS 100
#define STATUS_MAX       128

/* Emptying the queues before the workers go: looked at every 20 ms; at least 100 ms, in which the
 * handshakes under way can end; at most 2 s, for workers that are full take nobody. */
#define EMPTYING_PERIOD_MS 20
#define EMPTYING_MIN_MS    100
#define EMPTYING_MAX_MS    2000

/* "At once": workers close their connections and count them; who has not after this is killed. */
#define AT_ONCE_MS 500

static void
lifecycle_on_watch(struct ev_loop *loop, struct loop_timer *timer)
{
	struct master *master = container_of(timer, struct lifecycle, watch)->master;
	int64_t before_ms = clock_monotonic_ms();

	(void)loop;
	listeners_watch(master);
	queue_watch_look(master, before_ms);
}

/* Files that somebody moved or removed without telling us, a syslog daemon that was restarted. */
static void
lifecycle_tend_logs(struct master *master)
{
	bool has_changed = log_tend();

	has_changed = session_file_tend(&master->session_file, master->config->session_log) ||
		      has_changed;
	if (has_changed) {
		fleet_send_log(master->fleet);
		monitor_child_send_log(master->monitor);
	}
}

static void
lifecycle_on_second(struct ev_loop *loop, struct loop_timer *timer)
{
	struct lifecycle *lifecycle = container_of(timer, struct lifecycle, second);
	struct master *master = lifecycle->master;

	(void)loop;
	/* Later on we shut them ourselves. */
	if (master->state == MASTER_SERVING && listeners_heal(master)) {
		reload_reopen(master);
	}
	queue_watch_second(master);
	refusals_watch_second(&lifecycle->refusals_watch, master);
	backend_queues_look(master);
	backends_watch(master);
	waits_watch_second(&lifecycle->waits_watch, master, clock_monotonic_ms());
	notify_retry(&master->notify);
	lifecycle_tend_logs(master);
	monitor_child_watch(master->monitor);
	upgrade_if_wanted(master);
	stat_set(&master->board.writable->stats[STAT_MASTER_log_lines_dropped],
		lifecycle->dropped_before + log_dropped_lines());
}

static void
lifecycle_on_watchdog(struct ev_loop *loop, struct loop_timer *timer)
{
	(void)loop;
	notify_alive(&container_of(timer, struct lifecycle, watchdog)->master->notify);
}

void
lifecycle_say_ready(struct master *master)
{
	char status[STATUS_MAX];

	(void)snprintf(status, sizeof(status), "Serving: %u workers, configuration %llu%s",
		fleet_serving(master->fleet), (unsigned long long)master->generation,
		master->reload->was_refused ? "; the last reload was refused, see the log" : "");
	notify_ready(&master->notify, status);
}

static void
lifecycle_on_end(struct master *master)
{
	master->lifecycle->has_ended = true;
	ev_break(master->loop, EVBREAK_ALL);
}

/* The monitor goes last: it has to tell those who asked that the workers are gone. */
static void
lifecycle_on_gone(struct master *master)
{
	loop_timer_stop(master->loop, &master->lifecycle->stop);
	requests_on_stopped(master);
	monitor_child_end(master, lifecycle_on_end);
}

static int64_t
lifecycle_drained_ms(const struct lifecycle *lifecycle)
{
	return clock_monotonic_ms() - lifecycle->drain_began_ms;
}

/* The queues are empty, or it makes no sense to wait for that any longer. The workers close their
 * listening sockets when they are told to drain; with ours closed too, clients are refused at once
 * instead of waiting for an answer, and another server can have the port while connections finish.
 */
static void
lifecycle_drain_workers(struct lifecycle *lifecycle)
{
	struct master *master = lifecycle->master;
	int64_t left = master->config->drain_timeout_ms - lifecycle_drained_ms(lifecycle);

	loop_timer_stop(master->loop, &lifecycle->stop);
	fleet_drain(master->fleet, left > 0 ? left : 0, lifecycle_on_gone);
	listeners_close_all(master->listeners);
}

static void
lifecycle_on_emptying(struct lifecycle *lifecycle)
{
	struct master *master = lifecycle->master;
	int64_t waited = lifecycle_drained_ms(lifecycle);
	uint64_t waiting = listeners_count_waiting(master->listeners);

	if (waiting > 0 && waited < EMPTYING_MAX_MS && waited < master->config->drain_timeout_ms) {
		return;
	}
	if (waiting > 0) {
		master_event(master, LOG_LEVEL_WARNING,
			"%llu clients still wait in the queues and will be reset: the workers did "
			"not "
			"take them in %lld ms",
			(unsigned long long)waiting, (long long)waited);
	} else if (waited < EMPTYING_MIN_MS && waited < master->config->drain_timeout_ms) {
		return;
	}
	lifecycle_drain_workers(lifecycle);
}

static void
lifecycle_on_stop(struct ev_loop *loop, struct loop_timer *timer)
{
	struct lifecycle *lifecycle = container_of(timer, struct lifecycle, stop);

	(void)loop;
	if (lifecycle->master->state == MASTER_DRAINING) {
		lifecycle_on_emptying(lifecycle);
	} else {
		fleet_kill(lifecycle->master->fleet);
	}
}

void
lifecycle_stop(struct master *master, int exit_status, const char *reason)
{
	struct lifecycle *lifecycle = master->lifecycle;

	if (master->state == MASTER_STOPPING) {
		fleet_kill(master->fleet);
		return;
	}
	upgrade_cancel(master);
	master_event(master, LOG_LEVEL_NOTICE, "%s: stopping at once", reason);
	master_enter(master, MASTER_STOPPING, reason);
	lifecycle->exit_status = exit_status;
	notify_stopping(&master->notify, "Stopping");
	listeners_shut_out(master->listeners);
	loop_timer_start(master->loop, &lifecycle->stop, AT_ONCE_MS);
	fleet_drain(master->fleet, 0, lifecycle_on_gone);
}

void
lifecycle_drain(struct master *master, const char *reason)
{
	struct lifecycle *lifecycle = master->lifecycle;
	struct text text;
	char patience[32];

	if (master->state != MASTER_SERVING) {
		lifecycle_stop(master, EXIT_SUCCESS, reason);
		return;
	}
	upgrade_cancel(master);
	text_init(&text, patience, sizeof(patience));
	text_add_duration_ms(&text, master->config->drain_timeout_ms);
	master_event(master, LOG_LEVEL_NOTICE,
		"%s: taking no new clients; connections may finish within %s", reason, patience);
	master_enter(master, MASTER_DRAINING, reason);
	lifecycle->drain_began_ms = clock_monotonic_ms();
	notify_stopping(&master->notify, "Finishing connections");
	listeners_shut_out(master->listeners);
	loop_timer_repeat(master->loop, &lifecycle->stop, EMPTYING_PERIOD_MS);
}

static void
lifecycle_drain_by_signal(struct master *master)
{
	lifecycle_drain(master, master->state > MASTER_SERVING ? "second SIGTERM" : "SIGTERM");
}

static void
lifecycle_stop_by_signal(struct master *master)
{
	lifecycle_stop(master, EXIT_SUCCESS, "SIGINT or SIGQUIT");
}

static void
lifecycle_say_old_log(struct master *master, const struct fault *why)
{
	master_event(master, LOG_LEVEL_ERROR,
		"SIGUSR1: cannot open the log again: %s; writing to the old one", why->text);
}

static void
lifecycle_reopen_logs_now(struct master *master)
{
	bool is_log_open, is_session_log_open;
	struct fault why;

	loop_timer_start(master->loop, &master->lifecycle->logs, REOPEN_PERIOD_MS);
	is_log_open = log_reopen(&why) == 0;
	if (!is_log_open) {
		lifecycle_say_old_log(master, &why);
	}
	is_session_log_open =
		session_file_reopen(&master->session_file, master->config->session_log, &why) == 0;
	if (!is_session_log_open) {
		lifecycle_say_old_log(master, &why);
	}
	fleet_send_log(master->fleet);
	monitor_child_send_log(master->monitor);
	if (is_log_open && is_session_log_open) {
		master_event(master, LOG_LEVEL_NOTICE, "SIGUSR1: log opened again");
	}
}

/* A storm of requests must not fill the channels of the workers: one at once, the rest as one. */
static void
lifecycle_reopen_logs(struct master *master)
{
	struct lifecycle *lifecycle = master->lifecycle;

	if (ev_is_active(&lifecycle->logs.watcher)) {
		lifecycle->logs_wanted = true;
		return;
	}
	lifecycle_reopen_logs_now(master);
}

void
lifecycle_settle_logs(struct master *master)
{
	if (master->lifecycle->logs_wanted) {
		master->lifecycle->logs_wanted = false;
		lifecycle_reopen_logs_now(master);
	}
}

static void
lifecycle_on_logs(struct ev_loop *loop, struct loop_timer *timer)
{
	struct lifecycle *lifecycle = container_of(timer, struct lifecycle, logs);

	(void)loop;
	lifecycle_settle_logs(lifecycle->master);
}

static void
lifecycle_upgrade(struct master *master)
{
	upgrade_request(master, "SIGUSR2");
}

static void
lifecycle_add_workers(struct master *master, int more, const char *signal_name)
{
	unsigned count = fleet_wanted(master->fleet);

	if (master->state != MASTER_SERVING || (more < 0 && count <= 1) ||
		(more > 0 && count >= BOARD_SLOTS)) {
		master_event(master, LOG_LEVEL_WARNING,
			"%s: staying with %u workers (1 to %d, while serving)", signal_name, count,
			BOARD_SLOTS);
		return;
	}
	count = (unsigned)((int)count + more);
	master_event(master, LOG_LEVEL_NOTICE,
		"%s: %u workers from now on, until the configuration says another number",
		signal_name, count);
	fleet_resize(master->fleet, count);
}

static void
lifecycle_add_worker(struct master *master)
{
	lifecycle_add_workers(master, 1, "SIGTTIN");
}

static void
lifecycle_drop_worker(struct master *master)
{
	lifecycle_add_workers(master, -1, "SIGTTOU");
}

static void
lifecycle_reap(struct master *master)
{
	if (master->fleet != NULL) {
		fleet_reap(master->fleet);
	}
}

void
lifecycle_start(struct lifecycle *lifecycle, struct master *master)
{
	static const struct signals_actions actions = {
		.reload = reload_request,
		.drain = lifecycle_drain_by_signal,
		.stop = lifecycle_stop_by_signal,
		.reopen_logs = lifecycle_reopen_logs,
		.upgrade = lifecycle_upgrade,
		.reap = lifecycle_reap,
		.add_worker = lifecycle_add_worker,
		.drop_worker = lifecycle_drop_worker,
	};

	lifecycle->master = master;
	lifecycle->exit_status = EXIT_SUCCESS;
	master->lifecycle = lifecycle;
	master->queue_watch = &lifecycle->queue_watch;
	queue_watch_start(master);
	refusals_watch_start(&lifecycle->refusals_watch, master);
	backends_watch_start(&master->board);
	lifecycle->dropped_before =
		stat_get(&master->board.master->stats[STAT_MASTER_log_lines_dropped]);
	listeners_watch(master); /* who asks from the first moment on is shown real limits */
	loop_timer_init(&lifecycle->watch, lifecycle_on_watch);
	loop_timer_init(&lifecycle->second, lifecycle_on_second);
	loop_timer_init(&lifecycle->watchdog, lifecycle_on_watchdog);
	loop_timer_init(&lifecycle->logs, lifecycle_on_logs);
	loop_timer_init(&lifecycle->stop, lifecycle_on_stop);
	signals_start(&lifecycle->signals, master->loop, master, &actions);
	loop_timer_repeat(master->loop, &lifecycle->watch, WATCH_PERIOD_MS);
	loop_timer_repeat(master->loop, &lifecycle->second, SECOND_PERIOD_MS);
	if (master->notify.watchdog_ms > 0) {
		loop_timer_repeat(master->loop, &lifecycle->watchdog, master->notify.watchdog_ms);
	}
}

void
lifecycle_close(struct lifecycle *lifecycle)
{
	struct ev_loop *loop = lifecycle->master->loop;

	loop_timer_stop(loop, &lifecycle->watch);
	loop_timer_stop(loop, &lifecycle->second);
	loop_timer_stop(loop, &lifecycle->watchdog);
	loop_timer_stop(loop, &lifecycle->logs);
	loop_timer_stop(loop, &lifecycle->stop);
	signals_stop(&lifecycle->signals, loop);
}
