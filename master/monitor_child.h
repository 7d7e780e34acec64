/* The monitor as a child: started when there is a door to serve or a name to look up, replaced when
 * it ends, ended last. It is no worker: whatever becomes of it, nothing waits for it and nobody
 * else notices. All functions but the first accept that there is none (NULL). */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/defs.h"
#include "common/loop.h"
#include "master/backoff.h"
#include "master/patience.h"
#include "master/watchdog.h"

struct child_report;
struct fault;
struct master;

struct monitor_child {
	struct master *master;
	pid_t pid;   /* 0: none runs */
	int channel; /* -1: none, or lost */
	ev_io watcher;
	struct child_report *report;
	struct backoff backoff;
	struct loop_timer alarm; /* the next try, or the end of patience with one that is to go */
	int64_t born_ms;
	bool is_leaving;      /* it was told to end, or the server stops */
	bool is_old;          /* of the program before an upgrade */
	bool is_closing;      /* the server stops: none is started any more */
	bool is_behind;       /* what is in force changed while a commit was not answered */
	unsigned commits_due; /* answers that are still to come */
	struct patience patience;
	struct watchdog watchdog;
	int64_t looks_read; /* how often it had read all it was told */
	const char *ending; /* why the master killed it; NULL: it did not */
	void (*on_gone)(struct master *master);
};

/** @param monitor  zeroed; borrowed from here on
 *  Start the monitor if it has something to do; later again when it ends. */
int monitor_child_start(
	struct monitor_child *monitor, struct master *master, struct fault *why) MUST_CHECK;
/** The same in a program that takes over: one that runs goes on until monitor_child_renew.
 *  @param pid, channel, born_ms, is_leaving  as handed over; pid 0: none runs */
int monitor_child_take_over(struct monitor_child *monitor, struct master *master, pid_t pid,
	int channel, int64_t born_ms, bool is_leaving, struct fault *why) MUST_CHECK;
/** Replace one of the program before. */
void monitor_child_renew(struct monitor_child *monitor);
/** After a commit: tell it the configuration and the doors in force, start or end it. */
void monitor_child_apply(struct monitor_child *monitor);
void monitor_child_send_log(struct monitor_child *monitor);
/** Once a second: kill it if it stands still. */
void monitor_child_watch(struct monitor_child *monitor);

/** Send the answer to one of its requests. An answer for a monitor that is gone is dropped.
 *  @param status  0 or negative errno */
void monitor_child_answer(struct monitor_child *monitor, uint32_t id, int status, const char *text);
/** Send one worker's connections. @param fd  borrowed */
void monitor_child_send_rows(
	struct monitor_child *monitor, uint32_t id, int slot, uint64_t count, int fd);

/** @return true if that was the monitor; it is replaced unless it was to end */
bool monitor_child_reap(struct monitor_child *monitor, pid_t pid, int status);
/** End it: it may finish sending within a second. `on_gone` is called when it is gone, at once if
 *  none runs. */
void monitor_child_end(struct master *master, void (*on_gone)(struct master *master));
/** SIGKILL what is left, close, free. */
void monitor_child_close(struct monitor_child *monitor);
