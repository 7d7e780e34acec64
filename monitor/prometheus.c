/* A metric's samples must stand together under its HELP and TYPE, so the rows are the outer loop.
 */
#include "monitor/prometheus.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "monitor/reading.h"

/* Listener names are [a-zA-Z_][a-zA-Z0-9_-]*, so no label value needs escaping. */

static const char *
kind_name(const struct stat_row *row)
{
	return row->kind == STAT_COUNTER ? "counter" : "gauge";
}

/* "acceptd_worker_accept_errors_total": lower case, the kernel's own names set apart by words. */
static void
metric_name(const struct stat_row *row, const char *scope, char *name, size_t size)
{
	char words[64];
	size_t used = 0;

	for (const char *at = row->name; *at != '\0' && used < sizeof(words) - 2; at++) {
		if (isupper((unsigned char)*at) && at > row->name &&
			(islower((unsigned char)at[-1]) || islower((unsigned char)at[1]))) {
			words[used++] = '_';
		}
		words[used++] = (char)tolower((unsigned char)*at);
	}
	words[used] = '\0';
	(void)snprintf(name, size, "acceptd_%s%s%s", scope, words,
		row->kind == STAT_COUNTER ? "_total" : "");
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
	char name[96];

	for (size_t i = 0; i < count; i++) {
		const struct stat_row *row = stat_row_of(scope, i);

		metric_name(row, prefix, name, sizeof(name));
		print_head(name, row, stream);
		fprintf(stream, "%s %" PRIu64 "\n", name, values[i]);
	}
}

static void
print_queues(const struct reading *reading, FILE *stream)
{
	char name[96];

	for (size_t i = 0; i < STAT_QUEUE_COUNT; i++) {
		const struct stat_row *row = stat_row_of(STAT_SCOPE_QUEUE, i);

		metric_name(row, "accept_queue_", name, sizeof(name));
		print_head(name, row, stream);
		for (size_t n = 0; n < reading->listener_count; n++) {
			fprintf(stream, "%s{listener=\"%s\"} %" PRIu64 "\n", name,
				reading->listeners[n].name, reading->listeners[n].queue[i]);
		}
	}
}

static void
print_listeners(const struct reading *reading, FILE *stream)
{
	char name[96];

	for (size_t i = 0; i < STAT_LISTENER_COUNT; i++) {
		const struct stat_row *row = stat_row_of(STAT_SCOPE_LISTENER, i);

		metric_name(row, "listener_", name, sizeof(name));
		print_head(name, row, stream);
		for (size_t n = 0; n < reading->listener_count; n++) {
			fprintf(stream, "%s{listener=\"%s\"} %" PRIu64 "\n", name,
				reading->listeners[n].name, reading->listeners[n].sum.stats[i]);
		}
	}
}

static void
print_closes(const struct reading *reading, FILE *stream)
{
	fputs("# HELP acceptd_listener_closed_total Connections ended, by reason; accepted = open "
	      "+ "
	      "sum of closed.\n# TYPE acceptd_listener_closed_total counter\n",
		stream);
	for (size_t n = 0; n < reading->listener_count; n++) {
		for (size_t i = 0; i < CLOSE_COUNT; i++) {
			fprintf(stream,
				"acceptd_listener_closed_total{listener=\"%s\",reason=\"%s\"} "
				"%" PRIu64 "\n",
				reading->listeners[n].name, close_reason_name((enum close_reason)i),
				reading->listeners[n].sum.closed[i]);
		}
	}
}

static void
print_workers(const struct reading *reading, FILE *stream)
{
	char name[96];

	for (size_t i = 0; i < STAT_WORKER_COUNT; i++) {
		const struct stat_row *row = stat_row_of(STAT_SCOPE_WORKER, i);

		metric_name(row, "worker_", name, sizeof(name));
		print_head(name, row, stream);
		for (size_t n = 0; n < reading->worker_count; n++) {
			fprintf(stream, "%s{worker=\"%d\"} %" PRIu64 "\n", name,
				reading->workers[n].slot, reading->workers[n].stats[i]);
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

void
prometheus_print(const struct reading *reading, FILE *stream)
{
	print_single(STAT_SCOPE_MASTER, "", reading->master, STAT_MASTER_COUNT, stream);
	print_queues(reading, stream);
	print_listeners(reading, stream);
	print_closes(reading, stream);
	print_workers(reading, stream);
	if (reading->has_kernel) {
		print_single(
			STAT_SCOPE_KERNEL, "kernel_", reading->kernel, STAT_KERNEL_COUNT, stream);
	}
}
