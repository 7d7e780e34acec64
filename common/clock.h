/* Monotonic and wall time; the only reader of the clocks. */
#pragma once

#include <stdint.h>
#include <time.h>

/** CLOCK_MONOTONIC: not moved by setting the clock, the same in all processes of the machine. */
int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);
/** CLOCK_REALTIME, for logs and reports only. */
struct timespec clock_wall(void);
/** CPU time that this process has used, all threads. */
int64_t clock_process_cpu_us(void);
