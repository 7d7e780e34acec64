/* Each judge looks at one thing and adds at most one finding for it (one for each listener or
 * worker). */
#include "monitor/health.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "monitor/health_private.h"
#include "monitor/reading.h"

#define SILENT_WORKER_MS 2000
/* A queue above this part of its limit is near overflow. */
#define DEEP_QUEUE_PART 2
#define STRANGERS_MIN   10 /* fewer are a scanner on a quiet day */

void
health_add(struct health *health, enum health_level level, const char *format, ...)
{
	struct health_finding *finding;
	va_list args;

	if (level > health->level) {
		health->level = level;
	}
	if (health->count == HEALTH_FINDINGS_MAX) {
		return;
	}
	finding = &health->findings[health->count++];
	finding->level = level;
	va_start(args, format);
	(void)vsnprintf(finding->text, sizeof(finding->text), format, args);
	va_end(args);
}

const char *
health_level_name(enum health_level level)
{
	static const char *const names[] = {
		[HEALTH_GOOD] = "well", [HEALTH_WARNING] = "degraded", [HEALTH_BAD] = "ill"};

	return names[level];
}

static void
judge_workers(const struct reading *now, struct health *health)
{
	unsigned serving = 0, expected = 0;

	for (size_t i = 0; i < now->worker_count; i++) {
		const struct reading_worker *worker = &now->workers[i];

		serving += worker->state == BOARD_WORKER_SERVING;
		/* One that finishes, after an upgrade perhaps for days, is as it should be. */
		expected += worker->state != BOARD_WORKER_DRAINING &&
			    (worker->state != BOARD_WORKER_EMPTY || worker->pid > 0);
		if (worker->state == BOARD_WORKER_SERVING && worker->silent_ms > SILENT_WORKER_MS) {
			health_add(health, HEALTH_WARNING,
				"worker %d (pid %d) has made no progress for %.1f s; the master "
				"replaces "
				"it when it hangs",
				worker->slot, worker->pid, (double)worker->silent_ms / 1000.0);
		}
	}
	if (serving == 0) {
		health_add(health, HEALTH_BAD,
			"no worker serves: clients wait in the accept queues; see acceptctl events "
			"for why they do not start");
	} else if (serving < expected) {
		health_add(health, HEALTH_WARNING, "%u of %u workers serve", serving, expected);
	}
}

static void
judge_overflow(const struct reading_listener *before, const struct reading_listener *now,
	struct health *health)
{
	uint64_t dropped =
		health_grown(before == NULL ? 0 : before->queue[STAT_QUEUE_dropped_segments],
			now->queue[STAT_QUEUE_dropped_segments]);
	uint64_t depth = now->queue[STAT_QUEUE_depth], limit = now->queue[STAT_QUEUE_limit];

	if (now->queue[STAT_QUEUE_drained] != 0) {
		health_add(health, HEALTH_WARNING,
			"listener %s is drained: new clients are kept out until acceptctl resume "
			"%s",
			now->name, now->name);
	} else if (limit > 0 && depth > limit) {
		health_add(health, HEALTH_BAD,
			"listener %s: the accept queue is full (%" PRIu64 " of %" PRIu64
			"): new clients are delayed by a second or more; see acceptctl workers for "
			"who "
			"is busy, or raise the backlog",
			now->name, depth, limit);
	} else if (before != NULL && dropped > 0) {
		health_add(health, HEALTH_WARNING,
			"listener %s: the kernel dropped %" PRIu64
			" segments in the last minute; see acceptctl events for the cause",
			now->name, dropped);
	} else if (limit > 0 && depth > limit / DEEP_QUEUE_PART) {
		health_add(health, HEALTH_WARNING,
			"listener %s: the accept queue is more than half full (%" PRIu64
			" of %" PRIu64 ")",
			now->name, depth, limit);
	}
}

/* A load balancer that accept_proxy does not understand, or does not know, is an outage for those
 * behind it. Some strangers at a public address are not: only when nobody else came. */
static void
judge_senders(const struct reading_listener *before, const struct reading_listener *now,
	struct health *health)
{
	uint64_t accepted = health_grown(
		before->sum.stats[STAT_LISTENER_accepted], now->sum.stats[STAT_LISTENER_accepted]);
	uint64_t strangers =
		health_grown(before->sum.closed[CLOSE_untrusted], now->sum.closed[CLOSE_untrusted]);
	uint64_t faults = health_grown(before->sum.closed[CLOSE_proxy_header],
				  now->sum.closed[CLOSE_proxy_header]) +
			  health_grown(before->sum.closed[CLOSE_proxy_timeout],
				  now->sum.closed[CLOSE_proxy_timeout]);

	if (faults > 0) {
		health_add(health, HEALTH_WARNING,
			"listener %s: connections from trusted senders without a good PROXY header "
			"in the last minute: %" PRIu64 "; the log says whose",
			now->name, faults);
	} else if (strangers >= STRANGERS_MIN && strangers >= accepted) {
		health_add(health, HEALTH_WARNING,
			"listener %s: all %" PRIu64
			" clients of the last minute were reset because "
			"they are not in trusted; if they are load balancers of yours, add them",
			now->name, strangers);
	}
}

/* Ends of clients that came and were not served, which are the service's trouble and not theirs.
 * Those at limits by source are as wanted. */
static void
judge_refused(const struct reading_listener *before, const struct reading_listener *now,
	struct health *health)
{
	static const enum close_reason reasons[] = {CLOSE_refused_limit, CLOSE_queue_timeout,
		CLOSE_queue_full, CLOSE_no_server, CLOSE_no_address, CLOSE_connect_refused,
		CLOSE_connect_timeout, CLOSE_connect_failed, CLOSE_no_memory, CLOSE_shed};
	char buffer[256];
	struct text text;
	uint64_t all = 0;

	text_init(&text, buffer, sizeof(buffer));
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		uint64_t count =
			health_grown(before->sum.closed[reasons[i]], now->sum.closed[reasons[i]]);

		if (count > 0) {
			text_add(&text, "%s%s %" PRIu64, all > 0 ? ", " : "",
				close_reason_name(reasons[i]), count);
			all += count;
		}
	}
	if (all > 0) {
		health_add(health, HEALTH_WARNING,
			"listener %s: clients refused in the last minute: %s; see acceptctl events",
			now->name, buffer);
	}
}

static void
judge_listeners(const struct reading *before, const struct reading *now, struct health *health)
{
	for (size_t i = 0; i < now->listener_count; i++) {
		const struct reading_listener *listener = &now->listeners[i];
		const struct reading_listener *earlier =
			reading_find_listener(before, listener->name);
		uint64_t limit = listener->queue[STAT_QUEUE_limit];
		uint64_t asked = listener->queue[STAT_QUEUE_asked];

		if (limit > 0 && limit < asked) {
			health_add(health, HEALTH_WARNING,
				"listener %s: effective backlog %" PRIu64 " instead of %" PRIu64
				"; run: sysctl -w net.core.somaxconn=%" PRIu64
				", then acceptctl reload",
				listener->name, limit, asked, asked);
		}
		judge_overflow(earlier, listener, health);
		if (earlier != NULL) {
			judge_senders(earlier, listener, health);
			judge_refused(earlier, listener, health);
		}
	}
}

static void
judge_pauses(const struct reading *now, struct health *health)
{
	unsigned descriptors = 0, limit = 0;

	for (size_t i = 0; i < now->worker_count; i++) {
		descriptors += (now->workers[i].pause & BOARD_PAUSE_DESCRIPTORS) != 0;
		limit += (now->workers[i].pause & BOARD_PAUSE_LIMIT) != 0;
	}
	if (descriptors > 0) {
		health_add(health, HEALTH_BAD,
			"workers that do not accept because their descriptors are used up: %u; "
			"raise the limit of open files (systemd: LimitNOFILE) or the number of "
			"workers",
			descriptors);
	}
	if (limit > 0) {
		health_add(health, HEALTH_WARNING,
			"workers that do not accept because max_connections is reached: %u; "
			"clients wait in the accept queue; raise it if the machine bears more "
			"(acceptctl doctor)",
			limit);
	}
}

static void
judge_master(const struct reading *before, const struct reading *now, struct health *health)
{
	static const struct {
		enum stat_master_index stat;
		const char *what, *cure;
	} rows[] = {
		{STAT_MASTER_worker_crashes, "workers that crashed", "see acceptctl events"},
		{STAT_MASTER_worker_hangs, "workers that hung", "see acceptctl events"},
		{STAT_MASTER_fork_failures, "times that a worker could not be started",
			"see acceptctl events"},
		{STAT_MASTER_reloads_failed, "reloads that were refused",
			"nothing changed; see acceptctl events, or acceptd -t for all errors"},
		{STAT_MASTER_upgrades_failed, "upgrades that failed",
			"clients are served; see acceptctl events"},
		{STAT_MASTER_listeners_healed,
			"listeners that somebody shut down and the master opened again",
			"suspect a hostile worker"},
	};
	uint64_t count;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		count = health_grown(before->master[rows[i].stat], now->master[rows[i].stat]);
		if (count > 0) {
			health_add(health, HEALTH_WARNING, "%s in the last minute: %" PRIu64 "; %s",
				rows[i].what, count, rows[i].cure);
		}
	}
}

/* Of all workers. */
static uint64_t
lines_lost(const struct reading *before, const struct reading *now, enum stat_worker_index stat)
{
	uint64_t lost = 0;

	for (size_t i = 0; i < now->worker_count; i++) {
		const struct reading_worker *worker = &now->workers[i];
		const struct reading_worker *earlier = reading_find_worker(before, worker->slot);

		lost += health_grown(
			earlier == NULL ? 0 : earlier->stats[stat], worker->stats[stat]);
	}
	return lost;
}

static void
judge_logs(const struct reading *before, const struct reading *now, struct health *health)
{
	uint64_t sessions = lines_lost(before, now, STAT_WORKER_session_lines_dropped);
	uint64_t lines = lines_lost(before, now, STAT_WORKER_log_lines_dropped) +
			 health_grown(before->master[STAT_MASTER_log_lines_dropped],
				 now->master[STAT_MASTER_log_lines_dropped]);

	if (sessions > 0) {
		health_add(health, HEALTH_WARNING,
			"lines of the session log lost in the last minute: %" PRIu64
			"; make room on its disk",
			sessions);
	}
	if (lines > 0) {
		health_add(health, HEALTH_WARNING,
			"lines of the log lost in the last minute: %" PRIu64
			"; make room on its disk, or look at the syslog daemon; acceptctl events "
			"has what the master said",
			lines);
	}
}

void
health_judge(const struct reading *before, const struct reading *now, struct health *health)
{
	health->level = HEALTH_GOOD;
	health->count = 0;
	judge_workers(now, health);
	judge_pauses(now, health);
	judge_listeners(before, now, health);
	health_judge_upstreams(before, now, health);
	judge_logs(before, now, health);
	judge_master(before, now, health);
}
