/* The one clock of the measuring tools: monotonic, the same in all processes of a machine. */
#pragma once

#include <stdint.h>
#include <time.h>

static inline int64_t
bench_clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
