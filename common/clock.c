/* The only reader of the clocks. Timeouts use the monotonic one, so setting the time of day moves
 * none. */
#include "common/clock.h"

static struct timespec
clock_read(clockid_t id)
{
	struct timespec now = {0};

	(void)clock_gettime(id, &now);
	return now;
}

static int64_t
timespec_us(struct timespec time)
{
	return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

int64_t
clock_monotonic_us(void)
{
	return timespec_us(clock_read(CLOCK_MONOTONIC));
}

int64_t
clock_monotonic_ms(void)
{
	return clock_monotonic_us() / 1000;
}

struct timespec
clock_wall(void)
{
	return clock_read(CLOCK_REALTIME);
}

int64_t
clock_process_cpu_us(void)
{
	return timespec_us(clock_read(CLOCK_PROCESS_CPUTIME_ID));
}
