/* A metric's samples must stand together under its HELP and TYPE, so the rows are the outer loop.
 *
 * A value of a row in microseconds is printed in seconds, and its name says so. The histograms
 * count whole milliseconds and microseconds, cut off: what was counted as 7 took less than 8. So a
 * bound at a power of two is exact, being an edge of the board's buckets too. */
#include "monitor/prometheus.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "common/board.h"
#include "common/histogram.h"
#include "monitor/reading.h"
#include "monitor/states.h"
#include "monitor/waits.h"

#define NAME_MAX_LEN 96

/* A histogram of the board, as it is shown. */
struct distribution {
	const char *name, *help, *label;
	int first, last; /* bounds from 2^first to 2^last of its units */
	double units_in_second;
};

static const struct distribution queue_wait = {
	.name = "acceptd_accept_queue_wait_seconds",
	.help = "How long clients waited in the accept queue, of those that were measured; when "
		"many come, that is a part of all. When it grows the workers do not keep up.",
	.label = "listener",
	.first = 0, /* 1 ms to 65.5 s */
	.last = 16,
	.units_in_second = 1e3,
};

static const struct distribution turn_time = {
	.name = "acceptd_worker_turn_seconds",
	.help = "How long turns of the event loop took; a handler that computes or blocks makes "
		"others wait for so long.",
	.label = "worker",
	.first = 4, /* 16 us to 16.8 s */
	.last = 24,
	.units_in_second = 1e6,
};

/* The configuration allows letters, digits, '_' and '-' in the name of a listener, but a label
 * value is right whatever is in it. */
static void
print_label(const char *value, FILE *stream)
{
	for (; *value != '\0'; value++) {
		if (*value == '\\' || *value == '"') {
			fputc('\\', stream);
		}
		if (*value == '\n') {
			fputs("\\n", stream);
		} else {
			fputc(*value, stream);
		}
	}
}

static const char *
kind_name(const struct stat_row *row)
{
	return row->kind == STAT_COUNTER ? "counter" : "gauge";
}

/* The name without its unit where that is not a base unit. */
static size_t
base_len(const struct stat_row *row)
{
	size_t len = strlen(row->name);

	return row->unit == STAT_MICROSECONDS ? len - strlen("_us") : len;
}

/* "acceptd_worker_cpu_seconds_total": lower case, the kernel's own names set apart by words. */
static void
metric_name(const struct stat_row *row, const char *scope, char *name, size_t size)
{
	char words[64];
	size_t used = 0;

	for (const char *at = row->name; at < row->name + base_len(row) && used < sizeof(words) - 2;
		at++) {
		if (isupper((unsigned char)*at) && at > row->name &&
			(islower((unsigned char)at[-1]) || islower((unsigned char)at[1]))) {
			words[used++] = '_';
		}
		words[used++] = (char)tolower((unsigned char)*at);
	}
	words[used] = '\0';
	(void)snprintf(name, size, "acceptd_%s%s%s%s", scope, words,
		row->unit == STAT_MICROSECONDS ? "_seconds" : "",
		row->kind == STAT_COUNTER ? "_total" : "");
}

static void
print_value(const struct stat_row *row, uint64_t value, FILE *stream)
{
	if (row->unit == STAT_MICROSECONDS) {
		fprintf(stream, " %" PRIu64 ".%06" PRIu64 "\n", value / 1000000, value % 1000000);
	} else {
		fprintf(stream, " %" PRIu64 "\n", value);
	}
}

static void
print_labelled(const char *name, const char *label, const char *label_value, FILE *stream)
{
	fprintf(stream, "%s{%s=\"", name, label);
	print_label(label_value, stream);
	fputs("\"}", stream);
}

static void
print_head(const char *name, const struct stat_row *row, FILE *stream)
{
	fprintf(stream, "# HELP %s %s\n# TYPE %s %s\n", name, row->help, name, kind_name(row));
}

static void
print_single(enum stat_scope scope, const char *prefix, const uint64_t *values, size_t count,
	FILE *stream)
{
	char name[NAME_MAX_LEN];

	for (size_t i = 0; i < count; i++) {
		const struct stat_row *row = stat_row_of(scope, i);

		metric_name(row, prefix, name, sizeof(name));
		print_head(name, row, stream);
		fputs(name, stream);
		print_value(row, values[i], stream);
	}
}

static void
print_queues(const struct reading *reading, FILE *stream)
{
	char name[NAME_MAX_LEN];

	for (size_t i = 0; i < STAT_QUEUE_COUNT; i++) {
		const struct stat_row *row = stat_row_of(STAT_SCOPE_QUEUE, i);

		metric_name(row, "accept_queue_", name, sizeof(name));
		print_head(name, row, stream);
		for (size_t n = 0; n < reading->listener_count; n++) {
			print_labelled(name, "listener", reading->listeners[n].name, stream);
			print_value(row, reading->listeners[n].queue[i], stream);
		}
	}
}

static void
print_server_labels(const char *name, const struct reading_server *server, FILE *stream)
{
	fprintf(stream, "%s{upstream=\"", name);
	print_label(server->upstream, stream);
	fputs("\",server=\"", stream);
	print_label(server->name, stream);
	fputs("\"} ", stream);
}

static void
print_server(const char *name, const struct reading_server *server, uint64_t value, FILE *stream)
{
	print_server_labels(name, server, stream);
	fprintf(stream, "%" PRIu64 "\n", value);
}

/* Of a server on another host the kernel shows no queue. */
enum server_gauge { OF_ALL, OF_THOSE_WITH_A_QUEUE };

static void
print_server_gauge(const struct reading *reading, const char *name, const char *help, size_t offset,
	enum server_gauge kind, FILE *stream)
{
	fprintf(stream, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
	for (size_t i = 0; i < reading->server_count; i++) {
		const struct reading_server *server = &reading->servers[i];

		if (kind == OF_ALL || server->has_queue) {
			print_server(name, server,
				*(const uint64_t *)((const char *)server + offset), stream);
		}
	}
}

static void
print_servers_up(const struct reading *reading, FILE *stream)
{
	fputs("# HELP acceptd_server_up 1 while the server of the upstream is up.\n"
	      "# TYPE acceptd_server_up gauge\n",
		stream);
	for (size_t i = 0; i < reading->server_count; i++) {
		const struct reading_server *server = &reading->servers[i];

		if (server->place == 0 || server->place_state != BOARD_PLACE_LEAVING) {
			print_server("acceptd_server_up", server,
				server->is_up && reading_is_open(server) ? 1 : 0, stream);
		}
	}
}

static void
print_oldest_waits(const struct reading *reading, FILE *stream)
{
	static const char name[] = "acceptd_server_oldest_wait_seconds";

	fprintf(stream,
		"# HELP %s How long the first of the clients that wait for a place at any server "
		"of the upstream has waited; 0: nobody waits.\n# TYPE %s gauge\n",
		name, name);
	for (size_t i = 0; i < reading->server_count; i++) {
		print_server_labels(name, &reading->servers[i], stream);
		fprintf(stream, "%.3f\n", (double)reading->servers[i].oldest_wait_ms / 1000.0);
	}
}

/* Of the first place of each name. */
static void
print_lookups(const struct reading *reading, FILE *stream)
{
	static const char head[] =
		"# HELP acceptd_server_lookup_failing 1 while the name of the server cannot be "
		"looked up; the last answer holds.\n"
		"# TYPE acceptd_server_lookup_failing gauge\n";
	bool has_head = false;

	for (size_t i = 0; i < reading->server_count; i++) {
		const struct reading_server *server = &reading->servers[i];

		if (server->place == 1 && server->is_configured) {
			fputs(has_head ? "" : head, stream);
			has_head = true;
			print_server("acceptd_server_lookup_failing", server,
				server->lookup.state == BOARD_LOOKUP_FAILING ? 1 : 0, stream);
		}
	}
}

static void
print_servers(const struct reading *reading, FILE *stream)
{
	char name[NAME_MAX_LEN];

	if (reading->server_count == 0) {
		return;
	}
	print_servers_up(reading, stream);
	print_lookups(reading, stream);
	print_server_gauge(reading, "acceptd_server_open",
		"Places taken at the server: sessions that connect or are connected.",
		offsetof(struct reading_server, held), OF_ALL, stream);
	print_server_gauge(reading, "acceptd_server_unproven",
		"Of these, without a byte from the server yet: perhaps in its accept queue.",
		offsetof(struct reading_server, unproven), OF_ALL, stream);
	print_server_gauge(reading, "acceptd_server_settled",
		"The same for longer than settle_time: in its accept queue if that is so deep.",
		offsetof(struct reading_server, settled), OF_ALL, stream);
	print_server_gauge(reading, "acceptd_server_waiting",
		"Clients that wait for a place at any server of the upstream.",
		offsetof(struct reading_server, waiting), OF_ALL, stream);
	print_oldest_waits(reading, stream);
	print_server_gauge(reading, "acceptd_server_backlog",
		"Declared length of its accept queue; 0: none is.",
		offsetof(struct reading_server, backlog), OF_ALL, stream);
	print_server_gauge(reading, "acceptd_server_queue_depth",
		"Connections in the accept queue of a server on this host.",
		offsetof(struct reading_server, queue_depth), OF_THOSE_WITH_A_QUEUE, stream);
	print_server_gauge(reading, "acceptd_server_queue_limit",
		"Length of that queue as the kernel applies it; declare it as backlog.",
		offsetof(struct reading_server, queue_limit), OF_THOSE_WITH_A_QUEUE, stream);
	print_server_gauge(reading, "acceptd_server_queue_dropped_segments",
		"Segments the kernel dropped at that listener since it was opened.",
		offsetof(struct reading_server, queue_dropped_segments), OF_THOSE_WITH_A_QUEUE,
		stream);
	for (size_t i = 0; i < STAT_SERVER_COUNT; i++) {
		const struct stat_row *row = stat_row_of(STAT_SCOPE_SERVER, i);

		metric_name(row, "server_", name, sizeof(name));
		print_head(name, row, stream);
		for (size_t n = 0; n < reading->server_count; n++) {
			print_server(
				name, &reading->servers[n], reading->servers[n].stats[i], stream);
		}
	}
}

static void
print_listeners(const struct reading *reading, FILE *stream)
{
	char name[NAME_MAX_LEN];

	for (size_t i = 0; i < STAT_LISTENER_COUNT; i++) {
		const struct stat_row *row = stat_row_of(STAT_SCOPE_LISTENER, i);

		metric_name(row, "listener_", name, sizeof(name));
		print_head(name, row, stream);
		for (size_t n = 0; n < reading->listener_count; n++) {
			print_labelled(name, "listener", reading->listeners[n].name, stream);
			print_value(row, reading->listeners[n].sum.stats[i], stream);
		}
	}
}

static void
print_closes(const struct reading *reading, FILE *stream)
{
	fputs("# HELP acceptd_listener_closed_total Connections ended, by reason; accepted = open "
	      "+ sum of closed.\n# TYPE acceptd_listener_closed_total counter\n",
		stream);
	for (size_t n = 0; n < reading->listener_count; n++) {
		for (size_t i = 0; i < CLOSE_COUNT; i++) {
			fputs("acceptd_listener_closed_total{listener=\"", stream);
			print_label(reading->listeners[n].name, stream);
			fprintf(stream, "\",reason=\"%s\"} %" PRIu64 "\n",
				close_reason_name((enum close_reason)i),
				reading->listeners[n].sum.closed[i]);
		}
	}
}

static void
print_workers(const struct reading *reading, FILE *stream)
{
	char name[NAME_MAX_LEN];

	for (size_t i = 0; i < STAT_WORKER_COUNT; i++) {
		const struct stat_row *row = stat_row_of(STAT_SCOPE_WORKER, i);

		metric_name(row, "worker_", name, sizeof(name));
		print_head(name, row, stream);
		for (size_t n = 0; n < reading->worker_count; n++) {
			fprintf(stream, "%s{worker=\"%d\"}", name, reading->workers[n].slot);
			print_value(row, reading->workers[n].stats[i], stream);
		}
	}
	fputs("# HELP acceptd_worker_serving 1 while a worker serves in the slot.\n"
	      "# TYPE acceptd_worker_serving gauge\n",
		stream);
	for (size_t n = 0; n < reading->worker_count; n++) {
		fprintf(stream, "acceptd_worker_serving{worker=\"%d\"} %d\n",
			reading->workers[n].slot,
			reading->workers[n].state == BOARD_WORKER_SERVING);
	}
}

/* --- histograms --- */

static void
print_distribution_head(const struct distribution *of, FILE *stream)
{
	fprintf(stream, "# HELP %s %s\n# TYPE %s histogram\n", of->name, of->help, of->name);
}

static void
print_bound(const struct distribution *of, const char *label_value, FILE *stream)
{
	fprintf(stream, "%s_bucket{%s=\"", of->name, of->label);
	print_label(label_value, stream);
	fputs("\",le=\"", stream);
}

static void
print_suffixed(
	const struct distribution *of, const char *suffix, const char *label_value, FILE *stream)
{
	char name[NAME_MAX_LEN];

	(void)snprintf(name, sizeof(name), "%s%s", of->name, suffix);
	print_labelled(name, of->label, label_value, stream);
}

static void
print_distribution(const struct distribution *of, const char *label_value,
	const struct histogram_copy *copy, FILE *stream)
{
	uint64_t count = 0;
	unsigned bucket = 0;

	for (int power = of->first; power <= of->last; power++) {
		uint64_t bound = UINT64_C(1) << power;

		while (histogram_bucket_first(bucket) < bound) {
			count += copy->buckets[bucket++];
		}
		print_bound(of, label_value, stream);
		fprintf(stream, "%.9g\"} %" PRIu64 "\n", (double)bound / of->units_in_second,
			count);
	}
	print_bound(of, label_value, stream);
	fprintf(stream, "+Inf\"} %" PRIu64 "\n", copy->count);
	print_suffixed(of, "_sum", label_value, stream);
	fprintf(stream, " %.9g\n", (double)copy->sum / of->units_in_second);
	print_suffixed(of, "_count", label_value, stream);
	fprintf(stream, " %" PRIu64 "\n", copy->count);
}

static void
print_distributions(const struct reading *reading, const struct board *board, FILE *stream)
{
	struct histogram_copy copy;
	char worker[16];

	print_distribution_head(&queue_wait, stream);
	for (size_t i = 0; i < reading->listener_count; i++) {
		waits_of_listener(board, reading->listeners[i].index, &copy);
		print_distribution(&queue_wait, reading->listeners[i].name, &copy, stream);
	}
	print_distribution_head(&turn_time, stream);
	for (size_t i = 0; i < reading->worker_count; i++) {
		waits_of_worker(board, reading->workers[i].slot, &copy);
		(void)snprintf(worker, sizeof(worker), "%d", reading->workers[i].slot);
		print_distribution(&turn_time, worker, &copy, stream);
	}
}

void
prometheus_print(const struct reading *reading, const struct board *board, FILE *stream)
{
	print_servers(reading, stream);
	print_single(STAT_SCOPE_MASTER, "", reading->master, STAT_MASTER_COUNT, stream);
	print_queues(reading, stream);
	print_listeners(reading, stream);
	print_closes(reading, stream);
	print_workers(reading, stream);
	print_distributions(reading, board, stream);
	if (reading->has_kernel) {
		print_single(
			STAT_SCOPE_KERNEL, "kernel_", reading->kernel, STAT_KERNEL_COUNT, stream);
	}
}

void
prometheus_print_states(const struct states *states, int64_t age_ms, FILE *stream)
{
	static const char name[] = "acceptd_listener_sockets";

	fprintf(stream,
		"# HELP %s_age_seconds How old the count of sockets is: up to a second, more "
		"where there are so many that counting takes long.\n# TYPE %s_age_seconds "
		"gauge\n%s_age_seconds %" PRId64 ".%03" PRId64 "\n",
		name, name, name, age_ms / 1000, age_ms % 1000);
	fprintf(stream,
		"# HELP %s TCP sockets of the listener by state, without those that are 0; many in "
		"CLOSE_WAIT: a handler forgets to close.\n# TYPE %s gauge\n",
		name, name);
	for (size_t i = 0; i < states->count; i++) {
		for (int state = SOCK_DIAG_ESTABLISHED; state < SOCK_DIAG_NEW_SYN_RECV; state++) {
			if (states->rows[i].counts[state] == 0) {
				continue;
			}
			fprintf(stream, "%s{listener=\"", name);
			print_label(states->rows[i].name, stream);
			fprintf(stream, "\",state=\"%s\"} %" PRIu64 "\n",
				sock_diag_state_name((enum sock_diag_state)state),
				states->rows[i].counts[state]);
		}
	}
}
