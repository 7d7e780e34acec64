/* From serving to gone: what the signals and the clock ask of the master. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/loop.h"
#include "master/queue_watch.h"
#include "master/refusals_watch.h"
#include "master/signals.h"
#include "master/waits_watch.h"

struct master;

struct lifecycle {
	struct master *master;
	struct signals signals;
	struct loop_timer watch;    /* ten times a second */
	struct loop_timer second;   /* once a second */
	struct loop_timer watchdog; /* as often as the service manager wants a sign of life */
	struct loop_timer logs;     /* runs while the logs must not be opened again yet */
	bool logs_wanted;           /* asked for meanwhile */
	struct loop_timer stop;     /* while stopping: queues run empty, then patience runs out */
	int64_t drain_began_ms;     /* monotonic */
	struct queue_watch queue_watch;
	struct refusals_watch refusals_watch;
	struct waits_watch waits_watch;
	uint64_t dropped_before; /* log lines, by the programs before us */
	int exit_status;
	bool has_ended; /* nothing is left to do */
};

/** Start signals and timers. `master->lifecycle` is this one from here on. */
void lifecycle_start(struct lifecycle *lifecycle, struct master *master);
void lifecycle_close(struct lifecycle *lifecycle);

/** Tell the service manager that we serve, with a sentence for its status. */
void lifecycle_say_ready(struct master *master);
/** Take no new clients and end when those here have finished; when that is under way already, at
 *  once. @param reason  who or what asked */
void lifecycle_drain(struct master *master, const char *reason);
/** Open the logs now that were to be opened again in a moment. */
void lifecycle_settle_logs(struct master *master);
/** End at once, with this exit status of the process. */
void lifecycle_stop(struct master *master, int exit_status, const char *reason);
