/*
 * What a load process measures: counts, reasons of failure and latencies. A result is plain memory
 * without pointers, so that it can live in a mapping shared with the parent; each process writes
 * only its own and the parent adds them up when all have ended.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

#define LOAD_HISTOGRAM_BUCKETS 4352
#define LOAD_REASONS_MAX       24
#define LOAD_REASON_LEN_MAX    24

/* Buckets grow with the value: a percentile is off by less than one part in 128. */
struct load_histogram {
	uint64_t counts[LOAD_HISTOGRAM_BUCKETS];
	uint64_t total;
	int64_t max_ns;
};

struct load_reason {
	char name[LOAD_REASON_LEN_MAX];
	uint64_t count;
};

struct load_result {
	uint64_t sessions_ok;
	uint64_t sessions_failed;
	uint64_t sessions_established;
	uint64_t rounds_done;
	uint64_t bytes_checked;
	uint64_t connects_over_900ms;
	int64_t established_last_ns; /* when, on the clock of bench_clock; 0 = never */
	int64_t released_ns;         /* when held connections were let go; 0 = not held */
	int64_t finished_last_ns;
	int64_t client_cpu_us;
	struct load_histogram connect;
	struct load_histogram round_trip;
	struct load_histogram session;
	struct load_reason failed_reasons[LOAD_REASONS_MAX];
};

void load_histogram_add(struct load_histogram *histogram, int64_t value_ns);

/* The value below which `fraction` (0 to 1) of the values lie; 0 when there are none. */
int64_t load_histogram_percentile_ns(const struct load_histogram *histogram, double fraction);

/* Counts `count` failed sessions under `name`; the last row takes what finds no row of its own. */
void load_result_add_failure(struct load_result *result, const char *name, uint64_t count);

/* The name of a failure for an errno value, as "econnrefused". The buffer is the caller's. */
const char *load_reason_of_errno(int error, char name[LOAD_REASON_LEN_MAX]);

void load_result_merge(struct load_result *sum, const struct load_result *part);

/* Writes the measured fields as members of a JSON object, each preceded by a comma. */
void load_result_print_json(const struct load_result *result, int64_t start_ns, FILE *out);
