/* Counts and latencies of the load client, their sums, and their JSON. */
#include "tests/bench/load_stats.h"

#include <errno.h>
#include <string.h>

#define SUB_BUCKET_BITS 7
#define SUB_BUCKETS     (1u << SUB_BUCKET_BITS)
#define NS_PER_US       1000

/* Values below SUB_BUCKETS have a bucket each; above, each power of two has SUB_BUCKETS of them. */
static unsigned
bucket_of(int64_t value_ns)
{
	uint64_t value = value_ns < 0 ? 0 : (uint64_t)value_ns;

	if (value < SUB_BUCKETS) {
		return (unsigned)value;
	}
	unsigned shift = 63u - (unsigned)__builtin_clzll(value) - SUB_BUCKET_BITS;
	unsigned bucket = (shift + 1) * SUB_BUCKETS + (unsigned)(value >> shift) - SUB_BUCKETS;
	return bucket < LOAD_HISTOGRAM_BUCKETS ? bucket : LOAD_HISTOGRAM_BUCKETS - 1;
}

static int64_t
bucket_middle_ns(unsigned bucket)
{
	if (bucket < SUB_BUCKETS) {
		return bucket;
	}
	unsigned shift = bucket / SUB_BUCKETS - 1;
	int64_t low = (int64_t)(SUB_BUCKETS + bucket % SUB_BUCKETS) << shift;
	return low + ((INT64_C(1) << shift) >> 1);
}

void
load_histogram_add(struct load_histogram *histogram, int64_t value_ns)
{
	histogram->counts[bucket_of(value_ns)]++;
	histogram->total++;
	if (value_ns > histogram->max_ns) {
		histogram->max_ns = value_ns;
	}
}

int64_t
load_histogram_percentile_ns(const struct load_histogram *histogram, double fraction)
{
	double rank = fraction * (double)histogram->total;
	uint64_t seen = 0;

	for (unsigned bucket = 0; bucket < LOAD_HISTOGRAM_BUCKETS; bucket++) {
		seen += histogram->counts[bucket];
		if (seen > 0 && (double)seen >= rank) {
			int64_t middle_ns = bucket_middle_ns(bucket);

			return middle_ns < histogram->max_ns ? middle_ns : histogram->max_ns;
		}
	}
	return 0;
}

static void
histogram_merge(struct load_histogram *sum, const struct load_histogram *part)
{
	for (unsigned bucket = 0; bucket < LOAD_HISTOGRAM_BUCKETS; bucket++) {
		sum->counts[bucket] += part->counts[bucket];
	}
	sum->total += part->total;
	if (part->max_ns > sum->max_ns) {
		sum->max_ns = part->max_ns;
	}
}

void
load_result_add_failure(struct load_result *result, const char *name, uint64_t count)
{
	struct load_reason *reason = result->failed_reasons;
	struct load_reason *last = &result->failed_reasons[LOAD_REASONS_MAX - 1];

	if (count == 0) {
		return;
	}
	while (reason < last && reason->count > 0 && strcmp(reason->name, name) != 0) {
		reason++;
	}
	snprintf(reason->name, sizeof(reason->name), "%s", reason == last ? "other" : name);
	reason->count += count;
	result->sessions_failed += count;
}

const char *
load_reason_of_errno(int error, char name[LOAD_REASON_LEN_MAX])
{
	static const struct {
		int error;
		const char *name;
	} known[] = {
		{ECONNREFUSED, "econnrefused"},
		{ECONNRESET, "econnreset"},
		{ECONNABORTED, "econnaborted"},
		{EPIPE, "epipe"},
		{ETIMEDOUT, "etimedout"},
		{EADDRNOTAVAIL, "eaddrnotavail"},
		{EADDRINUSE, "eaddrinuse"},
		{EHOSTUNREACH, "ehostunreach"},
		{ENETUNREACH, "enetunreach"},
		{EMFILE, "emfile"},
		{ENFILE, "enfile"},
		{ENOMEM, "enomem"},
		{ENOBUFS, "enobufs"},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].error == error) {
			return known[i].name;
		}
	}
	snprintf(name, LOAD_REASON_LEN_MAX, "errno_%d", error);
	return name;
}

static int64_t
later_of(int64_t one_ns, int64_t other_ns)
{
	return one_ns > other_ns ? one_ns : other_ns;
}

void
load_result_merge(struct load_result *sum, const struct load_result *part)
{
	sum->sessions_ok += part->sessions_ok;
	sum->sessions_established += part->sessions_established;
	sum->rounds_done += part->rounds_done;
	sum->bytes_checked += part->bytes_checked;
	sum->connects_over_900ms += part->connects_over_900ms;
	sum->client_cpu_us += part->client_cpu_us;
	sum->established_last_ns = later_of(sum->established_last_ns, part->established_last_ns);
	sum->released_ns = later_of(sum->released_ns, part->released_ns);
	sum->finished_last_ns = later_of(sum->finished_last_ns, part->finished_last_ns);
	histogram_merge(&sum->connect, &part->connect);
	histogram_merge(&sum->round_trip, &part->round_trip);
	histogram_merge(&sum->session, &part->session);
	for (unsigned i = 0; i < LOAD_REASONS_MAX; i++) {
		load_result_add_failure(
			sum, part->failed_reasons[i].name, part->failed_reasons[i].count);
	}
}

static void
print_latency(FILE *out, const char *name, const struct load_histogram *histogram)
{
	static const struct {
		const char *name;
		double fraction;
	} rows[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t value_ns = load_histogram_percentile_ns(histogram, rows[i].fraction);

		fprintf(out, ", \"%s_%s_us\": %.1f", name, rows[i].name,
			(double)value_ns / NS_PER_US);
	}
	fprintf(out, ", \"%s_max_us\": %.1f", name, (double)histogram->max_ns / NS_PER_US);
}

static long long
span_us(int64_t from_ns, int64_t to_ns)
{
	return to_ns > from_ns ? (long long)(to_ns - from_ns) / NS_PER_US : 0;
}

static void
print_reasons(FILE *out, const struct load_reason *reasons)
{
	const char *separator = "";

	fprintf(out, ", \"failed_reasons\": {");
	for (unsigned i = 0; i < LOAD_REASONS_MAX; i++) {
		if (reasons[i].count > 0) {
			fprintf(out, "%s\"%s\": %llu", separator, reasons[i].name,
				(unsigned long long)reasons[i].count);
			separator = ", ";
		}
	}
	fprintf(out, "}");
}

void
load_result_print_json(const struct load_result *result, int64_t start_ns, FILE *out)
{
	int64_t exchange_start_ns = result->released_ns > 0 ? result->released_ns : start_ns;

	fprintf(out, ", \"ok\": %llu, \"failed\": %llu", (unsigned long long)result->sessions_ok,
		(unsigned long long)result->sessions_failed);
	print_reasons(out, result->failed_reasons);
	fprintf(out, ", \"established\": %llu, \"round_trips\": %llu, \"bytes_checked\": %llu",
		(unsigned long long)result->sessions_established,
		(unsigned long long)result->rounds_done, (unsigned long long)result->bytes_checked);
	fprintf(out, ", \"elapsed_us\": %lld, \"established_us\": %lld, \"exchange_us\": %lld",
		span_us(start_ns, result->finished_last_ns),
		span_us(start_ns, result->established_last_ns),
		span_us(exchange_start_ns, result->finished_last_ns));
	fprintf(out, ", \"connects_over_900ms\": %llu, \"client_cpu_us\": %lld",
		(unsigned long long)result->connects_over_900ms, (long long)result->client_cpu_us);
	print_latency(out, "connect", &result->connect);
	print_latency(out, "round_trip", &result->round_trip);
	print_latency(out, "session", &result->session);
}
