/*
 * What a run of the load client shall do, read from its command line. A mode is only a row of
 * defaults: every mode is "open sessions, exchange rounds of bytes on each, close".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/bench_address.h"

struct load_plan {
	const char *mode;
	const char *target_text;
	struct bench_address target;
	struct bench_address source; /* the first source address; len 0 = the kernel chooses */
	uint64_t session_count;      /* of all processes together, as all counts here */
	uint64_t open_max;           /* sessions that are open at the same time */
	uint64_t connecting_max;     /* connects under way at the same time */
	uint64_t rounds;
	uint64_t round_bytes;
	int64_t pace_us; /* one connect each so many microseconds; 0 = at once */
	int64_t timeout_ms;
	unsigned process_count;
	bool holds;       /* wait on the established sessions until the parent releases them */
	bool resets;      /* close with a reset, which leaves no TIME_WAIT */
	bool half_closes; /* shut the sending side after the last byte and wait for the end */
};

/* Reads the command line; on a mistake prints what is wrong and exits with status 2. */
struct load_plan load_plan_read(int argc, char **argv);

/* The part of `total` that process `index` of `process_count` takes. */
uint64_t load_plan_share(uint64_t total, unsigned process_count, unsigned index);

/* How many source addresses each process uses. */
uint32_t load_plan_sources_per_process(const struct load_plan *plan);
