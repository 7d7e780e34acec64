/* Latency and size buckets: add, merge, percentile. Pure.
 *
 * Log-linear: values below 8 have a bucket each, then every octave [2^n, 2^(n+1)) is cut into 8
 * equal parts. So every uint64 has a place in the same 496 buckets, and a value is known to 1/8 of
 * itself; what histogram_percentile tells, the middle of a bucket, is at most 1/16 (6.25 %) off.
 * The live form is a row of cells of the board with one writer; readers work on copies. */
#pragma once

#include <stdint.h>

#include "common/cell.h"
#include "common/defs.h"

#define HISTOGRAM_PARTS_LOG 3
#define HISTOGRAM_PARTS     (1 << HISTOGRAM_PARTS_LOG) /* of an octave */
#define HISTOGRAM_BUCKETS   ((64 - HISTOGRAM_PARTS_LOG + 1) * HISTOGRAM_PARTS)

/** Embed it where the writer may write; all zero is empty. 4 KB, of which memory is used where
 *  values fall. */
struct histogram {
	board_cell sum; /* of the values, modulo 2^64 */
	board_cell buckets[HISTOGRAM_BUCKETS];
};

struct histogram_copy {
	uint64_t sum;
	uint64_t count;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

/** The bucket of a value, 0 to HISTOGRAM_BUCKETS - 1. */
unsigned histogram_bucket_of(uint64_t value);
/** The smallest and the largest value of a bucket. */
uint64_t histogram_bucket_first(unsigned bucket);
uint64_t histogram_bucket_last(unsigned bucket);

/** Count one value; two stores. */
static inline void
histogram_add(struct histogram *histogram, uint64_t value)
{
	stat_add(&histogram->sum, value);
	stat_add(&histogram->buckets[histogram_bucket_of(value)], 1);
}

/** Add what a live histogram holds now to a copy (zeroed by the caller at first): a sum over slots,
 *  or over listeners. Its count is that of its buckets; `sum` may be one value ahead. */
void histogram_merge(struct histogram_copy *copy, const struct histogram *histogram);
/** Take an earlier copy of the same histograms off, which leaves what came between. */
void histogram_subtract(struct histogram_copy *copy, const struct histogram_copy *earlier);

/** The value that `percent` (0 to 100; clamped) of all values do not exceed, by the nearest rank,
 * to 1/16. 0 for an empty copy. */
uint64_t histogram_percentile(const struct histogram_copy *copy, double percent);
/** The mean, exact but for values that were so large that the sum went round. 0 when empty. */
double histogram_mean(const struct histogram_copy *copy);
