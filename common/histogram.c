/* A value's bucket is made of the position of its highest bit (the octave) and the three bits after
 * it (the part), so finding it takes no search and no floating point. */
#include "common/histogram.h"

#include <assert.h>

static_assert(HISTOGRAM_BUCKETS == 496, "the header says so");

unsigned
histogram_bucket_of(uint64_t value)
{
	unsigned octave;

	if (value < HISTOGRAM_PARTS) {
		return (unsigned)value;
	}
	octave = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_PARTS_LOG;
	/* The highest bit, still in place after the shift, counts for one group of parts. */
	return octave * HISTOGRAM_PARTS + (unsigned)(value >> octave);
}

uint64_t
histogram_bucket_first(unsigned bucket)
{
	unsigned octave;

	assert(bucket < HISTOGRAM_BUCKETS);
	if (bucket < HISTOGRAM_PARTS) {
		return bucket;
	}
	octave = bucket / HISTOGRAM_PARTS - 1;
	return (uint64_t)(bucket % HISTOGRAM_PARTS + HISTOGRAM_PARTS) << octave;
}

uint64_t
histogram_bucket_last(unsigned bucket)
{
	return bucket == HISTOGRAM_BUCKETS - 1 ? UINT64_MAX
					       : histogram_bucket_first(bucket + 1) - 1;
}

void
histogram_merge(struct histogram_copy *copy, const struct histogram *histogram)
{
	for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
		uint64_t count = stat_get(&histogram->buckets[bucket]);

		copy->buckets[bucket] += count;
		copy->count += count;
	}
	copy->sum += stat_get(&histogram->sum);
}

void
histogram_subtract(struct histogram_copy *copy, const struct histogram_copy *earlier)
{
	for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
		copy->buckets[bucket] -= earlier->buckets[bucket];
	}
	copy->count -= earlier->count;
	copy->sum -= earlier->sum;
}

/* The rank, from 1 to count, of the value looked for. */
static uint64_t
rank_of(uint64_t count, double percent)
{
	double wanted = (double)count * (percent / 100.0);
	uint64_t rank;

	if (!(wanted > 1.0)) { /* also what is no number */
		return 1;
	}
	if (wanted >= (double)count) {
		return count;
	}
	rank = (uint64_t)wanted;
	return (double)rank < wanted ? rank + 1 : rank;
}

uint64_t
histogram_percentile(const struct histogram_copy *copy, double percent)
{
	uint64_t rank = rank_of(copy->count, percent), seen = 0;

	for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
		seen += copy->buckets[bucket];
		if (seen >= rank) {
			uint64_t first = histogram_bucket_first(bucket);

			return first + (histogram_bucket_last(bucket) - first) / 2;
		}
	}
	return 0;
}

double
histogram_mean(const struct histogram_copy *copy)
{
	return copy->count == 0 ? 0.0 : (double)copy->sum / (double)copy->count;
}
