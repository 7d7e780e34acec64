/* Whether a worker hangs. A worker stamps each turn of its loop, ten times a second when idle. The
 * stamp alone would convict a starved worker, so what the kernel says of the process counts too:
 * its state and the CPU time that it got since. Pure.
 *
 * Measured: a stopped worker beside a living one goes unnoticed by new clients, while its own
 * connections are never answered; nothing but this finds it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define WATCHDOG_CHECK_MS 500 /* how often the master looks at least */

enum watchdog_verdict {
	WATCHDOG_WAIT,    /* no progress, but too early to say */
	WATCHDOG_STARVED, /* wants to run and gets no CPU: not its fault, spare it */
	WATCHDOG_DEAD,    /* has ended already */
	WATCHDOG_TRACED,  /* a debugger holds it: somebody's intention, spare it */
	WATCHDOG_HUNG,    /* stopped or blocked in the kernel */
	WATCHDOG_LOOPING, /* had the CPU and did not finish one turn */
};

struct watchdog {
	int64_t stamp_ms;    /* last one seen, the worker's own word */
	int64_t moved_ms;    /* when it last moved, by the master's patience */
	int64_t looked_ms;   /* when we last looked */
	int64_t cpu_then_ms; /* CPU time of the process at the first look into /proc since; -1: none
			      */
	unsigned blocked_looks; /* in a row that found it not running */
};

/* From /proc/PID/stat, proc_pid_stat(5). */
struct watchdog_sample {
	char state;     /* R running, S sleeping, D disk sleep, T stopped, t traced, Z dead … */
	int64_t cpu_ms; /* user and system time */
};

/** Begin to watch a process that has just been started. */
void watchdog_begin(struct watchdog *watchdog, int64_t stamp_ms, int64_t now_ms);
/** Note the stamp as it is now.
 *  @param age_ms  of the stamp by the monotonic clock
 *  @return true when it has not moved for WATCHDOG_CHECK_MS: worth a look into /proc */
bool watchdog_is_stale(struct watchdog *watchdog, int64_t stamp_ms, int64_t age_ms, int64_t now_ms);
/** Judge a stale worker. */
enum watchdog_verdict watchdog_judge(struct watchdog *watchdog,
	const struct watchdog_sample *sample, int64_t now_ms, int64_t hang_timeout_ms);
/** How long there has been no progress. */
int64_t watchdog_silence_ms(const struct watchdog *watchdog, int64_t now_ms);
/** CPU time got since the first look, as far as known. */
int64_t watchdog_cpu_ms(const struct watchdog *watchdog, const struct watchdog_sample *sample);
