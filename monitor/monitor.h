/* The monitor process: unprivileged, read-only, serves the admin socket and the web address, and
 * looks up the names of back ends. It knows the board, the configuration in force and the readings
 * of the last minute; whatever is to be changed it asks the master for. Losing it costs nobody
 * anything. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/board.h"
#include "common/defs.h"
#include "common/log.h"
#include "common/loop.h"
#include "monitor/link.h"
#include "monitor/reading.h"

struct admin;
struct config;
struct fault;
struct resolver;
struct states;
struct web;

#define MONITOR_TENS 7 /* readings ten seconds apart: the oldest is 60 to 70 s old */

struct monitor {
	struct ev_loop *loop;
	struct board board;
	struct link link;      /* to the master */
	struct config *config; /* in force; NULL before the first COMMIT */
	uint64_t generation;
	uid_t master_uid; /* who started acceptd */
	struct admin *admin;
	struct web *web;
	struct resolver *resolver; /* NULL: no name is to be looked up */
	struct loop_timer second;
	struct loop_timer last_words; /* the end of patience with clients that do not read */
	bool is_ending;

	struct reading now;
	struct reading seconds[2]; /* the last two of the clock, `at_second` the newer */
	unsigned at_second;
	struct reading tens[MONITOR_TENS]; /* a ring, `at_ten` the newest */
	unsigned at_ten, ten_count;
	unsigned ticks;
	struct log_limit no_states;
	struct states *states; /* the last count; taken_ms 0: never */
};

/** A reading of this moment (at most 10 ms old). Borrowed until the next call. */
const struct reading *monitor_now(struct monitor *monitor);
/** Something was done: the next reading shows it. */
void monitor_forget_now(struct monitor *monitor);
/** One that is one to two seconds older, for rates; in the first second the first one. */
const struct reading *monitor_second_ago(const struct monitor *monitor);
/** One that is 60 to 70 seconds older, or the first, for what happened in the last minute. */
const struct reading *monitor_minute_ago(const struct monitor *monitor);

/** The sockets of each listener by state, at most a second old. @return NULL with a sentence */
const struct states *monitor_states(struct monitor *monitor, struct fault *why);

/** Of the link: a configuration is in force, the doors are here, the master is gone. */
void monitor_use_names(struct monitor *monitor);
void monitor_use_doors(struct monitor *monitor, int admin_fd, int web_fd);
void monitor_end(struct monitor *monitor, const char *reason);
/** A session has closed: when the monitor is ending, this may be the last. */
void monitor_look_for_end(struct monitor *monitor);
