/* Tables and JSON of listeners, workers and the accept queues. */
#include "monitor/render.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/json.h"
#include "common/table.h"
#include "common/text.h"
#include "monitor/reading.h"
#include "monitor/waits.h"

#define BAR_MAX 40

static double
rate_of(const struct render *render, uint64_t before, uint64_t now)
{
	return reading_rate(render->before, render->now, before, now);
}

static double
accept_rate(const struct render *render, const struct reading_listener *listener)
{
	const struct reading_listener *before =
		reading_find_listener(render->before, listener->name);

	return before == NULL ? 0
			      : rate_of(render, before->sum.stats[STAT_LISTENER_accepted],
					listener->sum.stats[STAT_LISTENER_accepted]);
}

static int
table_finish(struct table *table, const struct render *render, FILE *stream)
{
	int error = table_print(table, stream, render->with_colour);

	table_free(&table);
	return error;
}

#define HUMAN_MAX 16

/* Two or three figures, as "1.2 MiB". */
static void
human_bytes(uint64_t bytes, char buffer[HUMAN_MAX])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1000.0 && unit + 1 < ARRAY_LEN(units)) {
		value /= 1024.0;
		unit++;
	}
	(void)snprintf(buffer, HUMAN_MAX, unit > 0 && value < 10.0 ? "%.1f %s" : "%.0f %s", value,
		units[unit]);
}

/* --- listeners --- */

const char *
render_queue_name(size_t index, char buffer[RENDER_NAME_MAX])
{
	bool is_of_queue = index != STAT_QUEUE_dropped_segments && index != STAT_QUEUE_drained;

	(void)snprintf(buffer, RENDER_NAME_MAX, "%s%s", is_of_queue ? "queue_" : "",
		stat_row_of(STAT_SCOPE_QUEUE, index)->name);
	return buffer;
}

/* How many were measured stands beside accepted: the percentiles are of those. */
static void
json_queue_wait(
	struct json *json, const struct render *render, const struct reading_listener *listener)
{
	struct histogram_copy copy;

	if (render->board == NULL) {
		return;
	}
	waits_of_listener(render->board, listener->index, &copy);
	json_unsigned(json, "queue_wait_measured", copy.count);
	json_unsigned(json, "queue_wait_p50_ms", histogram_percentile(&copy, 50));
	json_unsigned(json, "queue_wait_p90_ms", histogram_percentile(&copy, 90));
	json_unsigned(json, "queue_wait_p99_ms", histogram_percentile(&copy, 99));
	json_unsigned(json, "queue_wait_longest_ms", histogram_percentile(&copy, 100));
}

static void
table_queue_wait(
	struct table *table, const struct render *render, const struct reading_listener *listener)
{
	uint64_t accepted = listener->sum.stats[STAT_LISTENER_accepted];
	struct histogram_copy copy = {0};

	if (render->board != NULL) {
		waits_of_listener(render->board, listener->index, &copy);
	}
	if (copy.count == 0) {
		table_cell(table, "-");
		table_cell(table, "-");
		table_cell(table, "-");
		return;
	}
	table_cell(table, "%" PRIu64 " ms", histogram_percentile(&copy, 50));
	table_cell(table, "%" PRIu64 " ms", histogram_percentile(&copy, 99));
	table_cell(table, "%.0f %%",
		accepted > copy.count ? 100.0 * (double)copy.count / (double)accepted : 100.0);
}

static void
json_listener(
	struct json *json, const struct render *render, const struct reading_listener *listener)
{
	char key[RENDER_NAME_MAX];

	json_object_begin(json, NULL);
	json_string(json, "name", listener->name);
	for (size_t i = 0; i < STAT_QUEUE_COUNT; i++) {
		json_unsigned(json, render_queue_name(i, key), listener->queue[i]);
	}
	for (size_t i = 0; i < STAT_LISTENER_COUNT; i++) {
		json_unsigned(
			json, stat_row_of(STAT_SCOPE_LISTENER, i)->name, listener->sum.stats[i]);
	}
	json_real(json, "accepted_per_second", accept_rate(render, listener));
	json_queue_wait(json, render, listener);
	json_object_begin(json, "closed");
	for (size_t i = 0; i < CLOSE_COUNT; i++) {
		json_unsigned(
			json, close_reason_name((enum close_reason)i), listener->sum.closed[i]);
	}
	json_object_end(json);
	json_object_end(json);
}

static enum table_colour
depth_colour(const uint64_t queue[STAT_QUEUE_COUNT])
{
	uint64_t depth = queue[STAT_QUEUE_depth], limit = queue[STAT_QUEUE_limit];

	if (limit > 0 && depth > limit) {
		return TABLE_BAD;
	}
	return limit > 0 && depth > limit / 2 ? TABLE_WARN : TABLE_PLAIN;
}

static void
table_listener(
	struct table *table, const struct render *render, const struct reading_listener *listener)
{
	char sizes[2][HUMAN_MAX];
	static const enum stat_listener_index bytes[] = {
		STAT_LISTENER_received_bytes, STAT_LISTENER_sent_bytes};

	for (size_t i = 0; i < ARRAY_LEN(bytes); i++) {
		human_bytes(listener->sum.stats[bytes[i]], sizes[i]);
	}
	table_cell(table, "%s", listener->name);
	table_cell_coloured(table, depth_colour(listener->queue), "%" PRIu64,
		listener->queue[STAT_QUEUE_depth]);
	table_cell(table, "%" PRIu64, listener->queue[STAT_QUEUE_limit]);
	table_cell(table, "%" PRIu64, listener->queue[STAT_QUEUE_peak]);
	table_cell_coloured(table,
		listener->queue[STAT_QUEUE_dropped_segments] > 0 ? TABLE_WARN : TABLE_PLAIN,
		"%" PRIu64, listener->queue[STAT_QUEUE_dropped_segments]);
	table_cell(table, "%" PRIu64, listener->sum.stats[STAT_LISTENER_open]);
	table_cell(table, "%" PRIu64, listener->sum.stats[STAT_LISTENER_accepted]);
	table_cell(table, "%.1f", accept_rate(render, listener));
	table_queue_wait(table, render, listener);
	table_cell(table, "%s", sizes[0]);
	table_cell(table, "%s", sizes[1]);
}

int
render_listeners(const struct render *render, FILE *stream)
{
	static const struct table_column columns[] = {
		{"listener", TABLE_LEFT},
		{"queue", TABLE_RIGHT},
		{"limit", TABLE_RIGHT},
		{"peak", TABLE_RIGHT},
		{"dropped segments", TABLE_RIGHT},
		{"open", TABLE_RIGHT},
		{"accepted", TABLE_RIGHT},
		{"per second", TABLE_RIGHT},
		{"wait p50", TABLE_RIGHT},
		{"wait p99", TABLE_RIGHT},
		{"measured", TABLE_RIGHT},
		{"received", TABLE_RIGHT},
		{"sent", TABLE_RIGHT},
	};
	struct table *table;
	struct json json;

	if (render->form == RENDER_JSON) {
		json_init(&json, stream);
		json_array_begin(&json, NULL);
		for (size_t i = 0; i < render->now->listener_count; i++) {
			json_listener(&json, render, &render->now->listeners[i]);
		}
		json_array_end(&json);
		return 0;
	}
	table = table_new(columns, ARRAY_LEN(columns));
	if (table == NULL) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < render->now->listener_count; i++) {
		table_listener(table, render, &render->now->listeners[i]);
	}
	return table_finish(table, render, stream);
}

/* --- workers --- */

/* Per cent of one processor in the last minute: workers publish it once a second. */
static double
cpu_percent(const struct render *render, const struct reading_worker *worker)
{
	const struct reading_worker *before = reading_find_worker(render->minute_ago, worker->slot);

	return before == NULL ? 0
			      : reading_rate(render->minute_ago, render->now,
					before->stats[STAT_WORKER_cpu_us],
					worker->stats[STAT_WORKER_cpu_us]) /
					10000.0;
}

static uint64_t
turn_percentile(const struct render *render, const struct reading_worker *worker, double percent)
{
	struct histogram_copy copy;

	if (render->board == NULL) {
		return 0;
	}
	waits_of_worker(render->board, worker->slot, &copy);
	return histogram_percentile(&copy, percent);
}

static void
json_worker(struct json *json, const struct render *render, const struct reading_worker *worker)
{
	char pause[READING_PAUSE_MAX], crash[READING_CRASH_MAX];

	json_object_begin(json, NULL);
	json_signed(json, "worker", worker->slot);
	json_signed(json, "pid", worker->pid);
	json_string(json, "state", reading_state_name(worker->state));
	json_string(json, "pause", reading_pause_names(worker->pause, pause));
	json_unsigned(json, "generation", worker->generation);
	json_signed(json, "silent_ms", worker->silent_ms);
	json_unsigned(json, "accepted", worker->accepted);
	for (size_t i = 0; i < STAT_WORKER_COUNT; i++) {
		json_unsigned(json, stat_row_of(STAT_SCOPE_WORKER, i)->name, worker->stats[i]);
	}
	json_real(json, "cpu_percent", cpu_percent(render, worker));
	if (render->board != NULL) {
		json_unsigned(json, "turn_p50_us", turn_percentile(render, worker, 50));
		json_unsigned(json, "turn_p99_us", turn_percentile(render, worker, 99));
	}
	json_signed(json, "last_crash_seconds", worker->last_crash_seconds);
	json_string(json, "last_crash", reading_crash_name(worker, crash));
	json_object_end(json);
}

/* "SIGSEGV 2 m 3 s ago" */
static void
table_crash(struct table *table, const struct render *render, const struct reading_worker *worker)
{
	int64_t age_seconds = render->now->wall_seconds - worker->last_crash_seconds;
	char name[READING_CRASH_MAX], span[64];
	struct text text;

	if (worker->last_crash_seconds == 0) {
		table_cell(table, "-");
		return;
	}
	text_init(&text, span, sizeof(span));
	text_add_span_ms(&text, age_seconds > 0 ? age_seconds * 1000 : 0);
	table_cell(table, "%s %s ago", reading_crash_name(worker, name), span);
}

static void
table_vitals(struct table *table, const struct render *render, const struct reading_worker *worker)
{
	char memory[HUMAN_MAX];

	human_bytes(worker->stats[STAT_WORKER_resident_bytes], memory);
	table_cell(table, "%.1f", cpu_percent(render, worker));
	table_cell(table, "%s", memory);
	table_cell(table, "%.2f ms", (double)turn_percentile(render, worker, 99) / 1000.0);
	table_cell(table, "%.2f ms", (double)worker->stats[STAT_WORKER_longest_turn_us] / 1000.0);
}

static void
table_worker(struct table *table, const struct render *render, const struct reading_worker *worker)
{
	char pause[READING_PAUSE_MAX];
	bool is_serving = worker->state == BOARD_WORKER_SERVING;

	table_cell(table, "%d", worker->slot);
	table_cell(table, "%d", worker->pid);
	table_cell_coloured(table, is_serving ? TABLE_GOOD : TABLE_WARN, "%s",
		reading_state_name(worker->state));
	table_cell(table, "%" PRIu64, worker->stats[STAT_WORKER_open]);
	table_cell(table, "%" PRIu64, worker->accepted);
	table_cell(table, "%" PRIu64, worker->stats[STAT_WORKER_empty_accepts]);
	table_vitals(table, render, worker);
	table_cell(table, "%" PRIu64, worker->stats[STAT_WORKER_starts]);
	table_crash(table, render, worker);
	table_cell(table, "%" PRIu64, worker->generation);
	table_cell(table, "%s", reading_pause_names(worker->pause, pause));
}

int
render_workers(const struct render *render, FILE *stream)
{
	static const struct table_column columns[] = {
		{"worker", TABLE_RIGHT},
		{"pid", TABLE_RIGHT},
		{"state", TABLE_LEFT},
		{"open", TABLE_RIGHT},
		{"accepted", TABLE_RIGHT},
		{"empty accepts", TABLE_RIGHT},
		{"CPU %", TABLE_RIGHT},
		{"memory", TABLE_RIGHT},
		{"turn p99", TABLE_RIGHT},
		{"longest turn", TABLE_RIGHT},
		{"starts", TABLE_RIGHT},
		{"last crash", TABLE_LEFT},
		{"generation", TABLE_RIGHT},
		{"pauses now", TABLE_LEFT},
	};
	struct table *table;
	struct json json;

	if (render->form == RENDER_JSON) {
		json_init(&json, stream);
		json_array_begin(&json, NULL);
		for (size_t i = 0; i < render->now->worker_count; i++) {
			json_worker(&json, render, &render->now->workers[i]);
		}
		json_array_end(&json);
		return 0;
	}
	table = table_new(columns, ARRAY_LEN(columns));
	if (table == NULL) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < render->now->worker_count; i++) {
		table_worker(table, render, &render->now->workers[i]);
	}
	return table_finish(table, render, stream);
}

/* --- queue --- */

/* The board's is a second old and may not know yet what waits now. */
static uint64_t
minute_peak(const uint64_t queue[STAT_QUEUE_COUNT])
{
	uint64_t peak = queue[STAT_QUEUE_peak_minute], depth = queue[STAT_QUEUE_depth];

	return peak > depth ? peak : depth;
}

/* '#' for what waits now, '|' where the peak of the last minute was. */
static void
draw_bar(char bar[BAR_MAX + 1], uint64_t depth, uint64_t peak, uint64_t limit)
{
	uint64_t room = limit + 1; /* a queue of limit L holds L + 1 */
	uint64_t filled = depth >= room ? BAR_MAX : depth * BAR_MAX / room;
	uint64_t mark = peak >= room ? BAR_MAX - 1 : peak * BAR_MAX / room;

	memset(bar, '.', BAR_MAX);
	memset(bar, '#', depth > 0 && filled == 0 ? 1 : (size_t)filled);
	if (peak > 0) {
		bar[mark] = '|';
	}
	bar[BAR_MAX] = '\0';
}

int
render_queue(const struct render *render, FILE *stream)
{
	static const struct table_column columns[] = {
		{"listener", TABLE_LEFT},
		{"accept queue", TABLE_LEFT},
		{"now", TABLE_RIGHT},
		{"limit", TABLE_RIGHT},
		{"minute's peak", TABLE_RIGHT},
		{"peak", TABLE_RIGHT},
		{"dropped segments", TABLE_RIGHT},
		{"accepted per second", TABLE_RIGHT},
	};
	char bar[BAR_MAX + 1];
	struct table *table;

	if (render->form == RENDER_JSON) {
		return render_listeners(render, stream);
	}
	table = table_new(columns, ARRAY_LEN(columns));
	if (table == NULL) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < render->now->listener_count; i++) {
		const struct reading_listener *listener = &render->now->listeners[i];
		const uint64_t *queue = listener->queue;

		draw_bar(bar, queue[STAT_QUEUE_depth], minute_peak(queue), queue[STAT_QUEUE_limit]);
		table_cell(table, "%s", listener->name);
		table_cell_coloured(table, depth_colour(queue), "%s", bar);
		table_cell(table, "%" PRIu64, queue[STAT_QUEUE_depth]);
		table_cell(table, "%" PRIu64, queue[STAT_QUEUE_limit]);
		table_cell(table, "%" PRIu64, minute_peak(queue));
		table_cell(table, "%" PRIu64, queue[STAT_QUEUE_peak]);
		table_cell(table, "%" PRIu64, queue[STAT_QUEUE_dropped_segments]);
		table_cell(table, "%.1f", accept_rate(render, listener));
	}
	return table_finish(table, render, stream);
}
