/* Each judge looks at one thing and adds at most one finding for it (one for each listener or
 * worker). */
#include "monitor/health.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "monitor/reading.h"

#define SILENT_WORKER_MS 2000
/* A queue above this part of its limit is near overflow. */
#define DEEP_QUEUE_PART 2
#define STRANGERS_MIN   10 /* fewer are a scanner on a quiet day */

static void health_add(struct health *health, enum health_level level, const char *format, ...)
	PRINTF_LIKE(3, 4);

static void
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

static uint64_t
grown(uint64_t before, uint64_t now)
{
	return now > before ? now - before : 0;
}

static void
judge_workers(const struct reading *now, struct health *health)
{
	unsigned serving = 0, expected = 0;

	for (size_t i = 0; i < now->worker_count; i++) {
		const struct reading_worker *worker = &now->workers[i];

		serving += worker->state == BOARD_WORKER_SERVING;
		expected += worker->state != BOARD_WORKER_EMPTY || worker->pid > 0;
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
			"no worker serves: clients wait in the accept queues; see the last events "
			"for "
			"why they do not start");
	} else if (serving < expected) {
		health_add(health, HEALTH_WARNING, "%u of %u workers serve", serving, expected);
	}
}

static void
judge_overflow(const struct reading_listener *before, const struct reading_listener *now,
	struct health *health)
{
	uint64_t dropped = grown(before == NULL ? 0 : before->queue[STAT_QUEUE_dropped_segments],
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
	uint64_t accepted = grown(
		before->sum.stats[STAT_LISTENER_accepted], now->sum.stats[STAT_LISTENER_accepted]);
	uint64_t strangers =
		grown(before->sum.closed[CLOSE_untrusted], now->sum.closed[CLOSE_untrusted]);
	uint64_t faults =
		grown(before->sum.closed[CLOSE_proxy_header], now->sum.closed[CLOSE_proxy_header]) +
		grown(before->sum.closed[CLOSE_proxy_timeout],
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
			"%u workers do not accept because their descriptors are used up; raise the "
			"limit "
			"of open files (systemd: LimitNOFILE) or the number of workers",
			descriptors);
	}
	if (limit > 0) {
		health_add(health, HEALTH_WARNING,
			"%u workers do not accept because max_connections is reached; clients wait "
			"in the "
			"accept queue",
			limit);
	}
}

static void
judge_master(const struct reading *before, const struct reading *now, struct health *health)
{
	static const struct {
		enum stat_master_index stat;
		const char *text;
	} rows[] = {
		{STAT_MASTER_worker_crashes,
			"workers crashed in the last minute; see acceptctl events"},
		{STAT_MASTER_worker_hangs, "workers hung in the last minute; see acceptctl events"},
		{STAT_MASTER_fork_failures, "times a worker could not be started in the last "
					    "minute; see acceptctl events"},
		{STAT_MASTER_reloads_failed,
			"reloads were refused in the last minute; nothing changed; see the log"},
		{STAT_MASTER_listeners_healed, "listeners were shut down by somebody and healed in "
					       "the last minute; suspect a "
					       "hostile worker"},
	};
	uint64_t count;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		count = grown(before->master[rows[i].stat], now->master[rows[i].stat]);
		if (count > 0) {
			health_add(health, HEALTH_WARNING, "%" PRIu64 " %s", count, rows[i].text);
		}
	}
}

/* --- back ends --- */

static bool
is_serving(const struct reading_server *server)
{
	return server->is_configured && reading_is_open(server) && server->is_up &&
	       !server->is_drained && server->weight > 0;
}

/* @return whether it is the first row of its upstream, which then is judged with it */
static bool
is_first_of_upstream(const struct reading *now, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (now->servers[i].is_configured &&
			strcmp(now->servers[i].upstream, now->servers[index].upstream) == 0) {
			return false;
		}
	}
	return true;
}

/* No server left is an outage for its clients. */
static void
judge_upstream(const struct reading *now, const struct reading_server *first, struct health *health)
{
	char span_buffer[64];
	struct text span;

	for (size_t i = 0; i < now->server_count; i++) {
		if (strcmp(now->servers[i].upstream, first->upstream) == 0 &&
			is_serving(&now->servers[i])) {
			return;
		}
	}
	text_init(&span, span_buffer, sizeof(span_buffer));
	text_add_span_ms(&span, first->oldest_wait_ms);
	health_add(health, HEALTH_BAD,
		"upstream %s: no server takes clients, every one is down or drained; %" PRIu64
		" wait, the first for %s; see acceptctl upstreams for the reasons",
		first->upstream, first->waiting, span_buffer);
}

static void
judge_lookup(const struct reading_server *first, struct health *health)
{
	char span_buffer[64];
	struct text span;

	if (first->place == 1 && first->lookup.state == BOARD_LOOKUP_FAILING) {
		text_init(&span, span_buffer, sizeof(span_buffer));
		text_add_span_ms(&span, first->lookup.failing_ms);
		health_add(health, HEALTH_WARNING,
			"upstream %s: %s cannot be looked up for %s, the last answer holds; the "
			"log says which DNS servers were asked",
			first->upstream, first->asked, span_buffer);
	}
}

static void
judge_server(const struct reading_server *before, const struct reading_server *now,
	struct health *health)
{
	uint64_t retries = grown(before == NULL ? 0 : before->stats[STAT_SERVER_syn_retries],
		now->stats[STAT_SERVER_syn_retries]);
	uint64_t no_port = grown(before == NULL ? 0 : before->stats[STAT_SERVER_no_port],
		now->stats[STAT_SERVER_no_port]);
	char span_buffer[64];
	struct text span;

	if (!reading_is_open(now)) {
		return;
	}
	if (!now->is_up) {
		text_init(&span, span_buffer, sizeof(span_buffer));
		text_add_span_ms(&span, now->since_ms);
		health_add(health, HEALTH_WARNING, "back end %s/%s is down for %s: %s",
			now->upstream, now->name, span_buffer, board_cause_words(now->cause));
	} else if (no_port > 0) {
		health_add(health, HEALTH_WARNING,
			"back end %s/%s: no local port was left for %" PRIu64
			" connects in the last minute; see acceptctl events for what to do",
			now->upstream, now->name, no_port);
	} else if (retries > 0 || (now->has_queue && now->queue_depth > now->queue_limit)) {
		health_add(health, HEALTH_WARNING,
			"back end %s/%s: its accept queue overflows, %" PRIu64
			" SYNs had to be sent again in the last minute; see acceptctl events for "
			"what to do",
			now->upstream, now->name, retries);
	} else if (now->has_queue && now->backlog > now->queue_limit) {
		health_add(health, HEALTH_WARNING,
			"back end %s/%s: backlog = %" PRIu64
			" is declared, but its accept queue holds %" PRIu64
			": pacing cannot protect it; declare that, or raise it there",
			now->upstream, now->name, now->backlog, now->queue_limit);
	}
}

static void
judge_back_ends(const struct reading *before, const struct reading *now, struct health *health)
{
	for (size_t i = 0; i < now->server_count; i++) {
		const struct reading_server *server = &now->servers[i];

		if (server->is_configured) {
			if (is_first_of_upstream(now, i)) {
				judge_upstream(now, server, health);
			}
			judge_lookup(server, health);
			judge_server(reading_find_server(before, server->upstream, server->name),
				server, health);
		}
	}
}

static void
judge_session_log(const struct reading *before, const struct reading *now, struct health *health)
{
	uint64_t dropped = 0;

	for (size_t i = 0; i < now->worker_count; i++) {
		const struct reading_worker *worker = &now->workers[i];
		const struct reading_worker *earlier = reading_find_worker(before, worker->slot);

		dropped += grown(
			earlier == NULL ? 0 : earlier->stats[STAT_WORKER_session_lines_dropped],
			worker->stats[STAT_WORKER_session_lines_dropped]);
	}
	if (dropped > 0) {
		health_add(health, HEALTH_WARNING,
			"%" PRIu64 " lines of the session log were lost in the last minute; make "
			"room on its disk",
			dropped);
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
	judge_back_ends(before, now, health);
	judge_session_log(before, now, health);
	judge_master(before, now, health);
}
