/* The one-screen status, the kernel's counters, all statistics by name, and the ring of events. */
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "common/log.h"
#include "common/table.h"
#include "common/text.h"
#include "monitor/health.h"
#include "monitor/reading.h"
#include "monitor/render.h"

/* --- status --- */

static enum table_colour
level_colour(enum health_level level)
{
	static const enum table_colour colours[] = {TABLE_GOOD, TABLE_WARN, TABLE_BAD};

	return colours[level];
}

static unsigned
serving(const struct reading *reading)
{
	unsigned count = 0;

	for (size_t i = 0; i < reading->worker_count; i++) {
		count += reading->workers[i].state == BOARD_WORKER_SERVING;
	}
	return count;
}

/* Workers that take no more clients: told to go, or of the program before an upgrade.
 * @return how many, and what they still have */
static unsigned
finishing(const struct reading *reading, uint64_t *connections)
{
	unsigned count = 0;

	*connections = 0;
	for (size_t i = 0; i < reading->worker_count; i++) {
		if (reading->workers[i].state == BOARD_WORKER_DRAINING) {
			*connections += reading->workers[i].stats[STAT_WORKER_open];
			count++;
		}
	}
	return count;
}

static void
json_status(const struct render *render, const struct health *health, FILE *stream)
{
	const struct reading *now = render->now;
	struct json json;
	uint64_t left;

	json_init(&json, stream);
	json_object_begin(&json, NULL);
	json_string(&json, "health", health_level_name(health->level));
	json_array_begin(&json, "findings");
	for (size_t i = 0; i < health->count; i++) {
		json_object_begin(&json, NULL);
		json_string(&json, "level", health_level_name(health->findings[i].level));
		json_string(&json, "text", health->findings[i].text);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_signed(&json, "uptime_seconds", reading_uptime_seconds(now));
	for (size_t i = 0; i < STAT_MASTER_COUNT; i++) {
		json_unsigned(&json, stat_row_of(STAT_SCOPE_MASTER, i)->name, now->master[i]);
	}
	json_unsigned(&json, "workers_serving", serving(now));
	json_unsigned(&json, "workers_finishing", finishing(now, &left));
	json_unsigned(&json, "open_in_finishing", left);
	json_unsigned(&json, "listeners", now->listener_count);
	json_unsigned(&json, "accepted", now->accepted);
	json_unsigned(&json, "open", now->open);
	json_unsigned(&json, "closed", now->closed);
	json_real(&json, "accepted_per_second",
		reading_rate(render->before, now, render->before->accepted, now->accepted));
	json_object_end(&json);
}

static void
print_verdict(const struct render *render, const struct health *health, FILE *stream)
{
	bool colour = render->with_colour;

	fprintf(stream, "acceptd is %s%s%s\n", table_colour_on(level_colour(health->level), colour),
		health_level_name(health->level), table_colour_off(colour));
	for (size_t i = 0; i < health->count; i++) {
		fprintf(stream, "  %s- %s%s\n",
			table_colour_on(level_colour(health->findings[i].level), colour),
			health->findings[i].text, table_colour_off(colour));
	}
}

static void
print_finishing(const struct reading *now, FILE *stream)
{
	uint64_t connections;
	unsigned workers = finishing(now, &connections);

	if (workers > 0) {
		fprintf(stream,
			"finishing: %u worker%s with %" PRIu64
			" connection%s of before an upgrade, or of a larger number of workers\n",
			workers, workers == 1 ? "" : "s", connections, connections == 1 ? "" : "s");
	}
}

int
render_status(const struct render *render, const struct health *health, FILE *stream)
{
	const struct reading *now = render->now;
	char uptime[64];
	struct text text;
	int error;

	if (render->form == RENDER_JSON) {
		json_status(render, health, stream);
		return 0;
	}
	text_init(&text, uptime, sizeof(uptime));
	text_add_span_ms(&text, reading_uptime_seconds(now) * 1000);
	print_verdict(render, health, stream);
	fprintf(stream,
		"up %s, configuration %" PRIu64 ", %u workers serving, %" PRIu64
		" crashes, %" PRIu64 " reloads (%" PRIu64 " refused)\n",
		uptime, now->master[STAT_MASTER_generation], serving(now),
		now->master[STAT_MASTER_worker_crashes], now->master[STAT_MASTER_reloads],
		now->master[STAT_MASTER_reloads_failed]);
	print_finishing(now, stream);
	fprintf(stream,
		"connections: %" PRIu64 " open, %" PRIu64 " accepted (%.1f per second), %" PRIu64
		" closed\n\n",
		now->open, now->accepted,
		reading_rate(render->before, now, render->before->accepted, now->accepted),
		now->closed);
	error = render_queue(render, stream);
	return error;
}

/* --- kernel --- */

static int
table_kernel(const struct render *render, FILE *stream)
{
	static const struct table_column columns[] = {
		{"counter", TABLE_LEFT},
		{"now", TABLE_RIGHT},
		{"since start", TABLE_RIGHT},
		{"per second", TABLE_RIGHT},
		{"what it is", TABLE_LEFT},
	};
	const struct reading *now = render->now;
	struct table *table = table_new(columns, ARRAY_LEN(columns));
	int error;

	if (table == NULL) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < STAT_KERNEL_COUNT; i++) {
		const struct stat_row *row = stat_row_of(STAT_SCOPE_KERNEL, i);

		table_cell(table, "%s", row->name);
		table_cell(table, "%" PRIu64, now->kernel[i]);
		table_cell(table, "%" PRId64, (int64_t)(now->kernel[i] - now->kernel_at_start[i]));
		table_cell(table, "%.1f",
			reading_rate(
				render->before, now, render->before->kernel[i], now->kernel[i]));
		table_cell(table, "%s", row->help);
	}
	error = table_print(table, stream, render->with_colour);
	table_free(&table);
	return error;
}

/* How many of the namespace's ListenDrops are acceptd's: at most what its listeners dropped,
 * because a listener's own count also moves for scanners and strays. */
struct drop_share {
	uint64_t all;
	uint64_t ours_at_most;
};

static struct drop_share
share_drops(const struct reading *now)
{
	struct drop_share share = {.all = now->kernel[STAT_KERNEL_ListenDrops] -
					  now->kernel_at_start[STAT_KERNEL_ListenDrops]};

	for (size_t i = 0; i < now->listener_count; i++) {
		share.ours_at_most += now->listeners[i].queue[STAT_QUEUE_dropped_segments];
	}
	if (share.ours_at_most > share.all) {
		share.ours_at_most = share.all;
	}
	return share;
}

int
render_kernel(const struct render *render, FILE *stream)
{
	const struct reading *now = render->now;
	struct drop_share share = share_drops(now);
	struct json json;

	if (render->form == RENDER_TEXT) {
		fprintf(stream,
			"counters of this network namespace: acceptd and every other program in "
			"it\n"
			"of %" PRIu64 " ListenDrops since acceptd's start, at most %" PRIu64
			" at its listeners, at least %" PRIu64 " elsewhere\n",
			share.all, share.ours_at_most, share.all - share.ours_at_most);
		return table_kernel(render, stream);
	}
	json_init(&json, stream);
	json_object_begin(&json, NULL);
	json_string(&json, "scope", "network namespace");
	json_bool(&json, "is_known", now->has_kernel);
	json_unsigned(&json, "listen_drops_since_start", share.all);
	json_unsigned(&json, "listen_drops_of_acceptd_at_most", share.ours_at_most);
	for (size_t i = 0; i < STAT_KERNEL_COUNT; i++) {
		json_object_begin(&json, stat_row_of(STAT_SCOPE_KERNEL, i)->name);
		json_unsigned(&json, "now", now->kernel[i]);
		json_signed(
			&json, "since_start", (int64_t)(now->kernel[i] - now->kernel_at_start[i]));
		json_real(&json, "per_second",
			reading_rate(
				render->before, now, render->before->kernel[i], now->kernel[i]));
		json_object_end(&json);
	}
	json_object_end(&json);
	return 0;
}

/* --- stats --- */

struct listing {
	const struct render *render;
	const char *pattern;
	FILE *stream;
	struct json json;
	bool is_any; /* something was listed */
};

static void
list_value(struct listing *listing, const char *name, uint64_t before, uint64_t now)
{
	double rate = reading_rate(listing->render->before, listing->render->now, before, now);

	if (listing->pattern != NULL && fnmatch(listing->pattern, name, 0) != 0) {
		return;
	}
	listing->is_any = true;
	if (listing->render->form == RENDER_JSON) {
		json_unsigned(&listing->json, name, now);
	} else {
		fprintf(listing->stream, "%-48s%-16" PRIu64 " %.1f\n", name, now, rate);
	}
}

static void
list_kernel(struct listing *listing)
{
	const struct reading *before = listing->render->before, *now = listing->render->now;

	for (size_t i = 0; i < STAT_KERNEL_COUNT; i++) {
		list_value(listing, stat_row_of(STAT_SCOPE_KERNEL, i)->name, before->kernel[i],
			now->kernel[i]);
	}
}

static void
list_listener(struct listing *listing, const struct reading_listener *now)
{
	static const struct reading_listener nothing;
	const struct reading_listener *before =
		reading_find_listener(listing->render->before, now->name);
	char name[128], key[RENDER_NAME_MAX];

	before = before == NULL ? &nothing : before;
	for (size_t i = 0; i < STAT_QUEUE_COUNT; i++) {
		(void)snprintf(
			name, sizeof(name), "listener.%s.%s", now->name, render_queue_name(i, key));
		list_value(listing, name, before->queue[i], now->queue[i]);
	}
	for (size_t i = 0; i < STAT_LISTENER_COUNT; i++) {
		(void)snprintf(name, sizeof(name), "listener.%s.%s", now->name,
			stat_row_of(STAT_SCOPE_LISTENER, i)->name);
		list_value(listing, name, before->sum.stats[i], now->sum.stats[i]);
	}
	for (size_t i = 0; i < CLOSE_COUNT; i++) {
		(void)snprintf(name, sizeof(name), "listener.%s.closed_%s", now->name,
			close_reason_name((enum close_reason)i));
		list_value(listing, name, before->sum.closed[i], now->sum.closed[i]);
	}
}

static void
list_worker(struct listing *listing, size_t at)
{
	const struct reading *before = listing->render->before;
	const struct reading_worker *now = &listing->render->now->workers[at];
	char name[128];

	for (size_t i = 0; i < STAT_WORKER_COUNT; i++) {
		(void)snprintf(name, sizeof(name), "worker.%d.%s", now->slot,
			stat_row_of(STAT_SCOPE_WORKER, i)->name);
		list_value(listing, name,
			at < before->worker_count ? before->workers[at].stats[i] : 0,
			now->stats[i]);
	}
}

static void
list_server(struct listing *listing, const struct reading_server *now)
{
	static const struct reading_server nothing;
	const struct reading_server *before =
		reading_find_server(listing->render->before, now->upstream, now->name);
	char name[256];

	before = before == NULL ? &nothing : before;
	for (size_t i = 0; i < STAT_SERVER_COUNT; i++) {
		(void)snprintf(name, sizeof(name), "server.%s/%s.%s", now->upstream, now->name,
			stat_row_of(STAT_SCOPE_SERVER, i)->name);
		list_value(listing, name, before->stats[i], now->stats[i]);
	}
}

int
render_stats(const struct render *render, const char *pattern, FILE *stream)
{
	struct listing listing = {.render = render, .pattern = pattern, .stream = stream};
	const struct reading *now = render->now;
	char name[64];

	json_init(&listing.json, stream);
	if (render->form == RENDER_JSON) {
		json_object_begin(&listing.json, NULL);
	}
	list_kernel(&listing);
	for (size_t i = 0; i < STAT_MASTER_COUNT; i++) {
		(void)snprintf(
			name, sizeof(name), "master.%s", stat_row_of(STAT_SCOPE_MASTER, i)->name);
		list_value(&listing, name, render->before->master[i], now->master[i]);
	}
	for (size_t i = 0; i < now->listener_count; i++) {
		list_listener(&listing, &now->listeners[i]);
	}
	for (size_t i = 0; i < now->server_count; i++) {
		list_server(&listing, &now->servers[i]);
	}
	for (size_t i = 0; i < now->worker_count; i++) {
		list_worker(&listing, i);
	}
	if (render->form == RENDER_JSON) {
		json_object_end(&listing.json);
	}
	return listing.is_any || render->form == RENDER_JSON ? 0 : -ENOENT;
}

/* --- events --- */

static const char *
event_level_name(int level)
{
	return level <= LOG_LEVEL_ERROR     ? "error"
	       : level == LOG_LEVEL_WARNING ? "warning"
	       : level == LOG_LEVEL_NOTICE  ? "notice"
					    : "info";
}

static void
event_time(const struct board_event *event, char buffer[32])
{
	time_t seconds = (time_t)(event->wall_ms / 1000);
	struct tm utc;

	(void)gmtime_r(&seconds, &utc);
	(void)strftime(buffer, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

static void
json_event(struct json *json, uint64_t number, const struct board_event *event)
{
	char when[32];

	event_time(event, when);
	json_object_begin(json, NULL);
	json_unsigned(json, "number", number);
	json_string(json, "time", when);
	json_signed(json, "time_ms", event->wall_ms);
	json_string(json, "level", event_level_name(event->level));
	json_string(json, "text", event->text);
	json_object_end(json);
}

static void
print_event(const struct render *render, const struct board_event *event, FILE *stream)
{
	enum table_colour colour = event->level <= LOG_LEVEL_ERROR     ? TABLE_BAD
				   : event->level == LOG_LEVEL_WARNING ? TABLE_WARN
								       : TABLE_PLAIN;
	char when[32];

	event_time(event, when);
	fprintf(stream, "%s %s%-7s%s %s\n", when, table_colour_on(colour, render->with_colour),
		event_level_name(event->level), table_colour_off(render->with_colour), event->text);
}

int
render_events(const struct render *render, const struct board *board, uint64_t after, FILE *stream)
{
	uint64_t last = render->now->last_event;
	uint64_t first = last >= BOARD_EVENTS ? last - BOARD_EVENTS + 1 : 1;
	struct board_event event;
	struct json json;

	json_init(&json, stream);
	if (render->form == RENDER_JSON) {
		json_array_begin(&json, NULL);
	}
	for (uint64_t number = after + 1 > first ? after + 1 : first; number <= last; number++) {
		if (board_read_event(board, number, &event) != 0) {
			continue; /* overwritten meanwhile */
		}
		if (render->form == RENDER_JSON) {
			json_event(&json, number, &event);
		} else {
			print_event(render, &event, stream);
		}
	}
	if (render->form == RENDER_JSON) {
		json_array_end(&json);
	}
	return 0;
}
