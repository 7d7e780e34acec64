/* What the files of the fleet share: fleet (decisions carried out), fleet_talk (messages to and
 * from workers), fleet_watch (the watchdog's rounds), fleet_death (burial and explanation). */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/board.h"
#include "common/log.h"
#include "common/loop.h"
#include "master/cgroup.h"
#include "master/holdings.h"
#include "master/patience.h"
#include "master/slots.h"

#define FLEET_GRACE_MS   2000 /* between the last request and SIGKILL, and from there to STUCK */
#define FLEET_ENDING_MAX 96

struct child_report;
struct master;

/* What the fleet knows of one worker besides its slot. There is one for every slot from the start,
 * so that a restart needs no memory; pages of those never used cost none. */
struct fleet_worker {
	struct fleet *fleet;
	int slot;
	int channel; /* -1: none */
	int waker;   /* eventfd by which other workers wake who is in this slot; -1: none yet */
	ev_io watcher;

	uint64_t sent_generation; /* of the last COMMIT; 0: none */
	unsigned sent_workers;    /* number of workers that it was told with it */
	unsigned commits_due;     /* COMMITs that are not answered yet */
	unsigned releases_due;    /* RELEASEs likewise */
	bool has_refused;         /* the last COMMIT that it answered */

	bool is_leaving;               /* was asked to go: its end is no failure */
	char ending[FLEET_ENDING_MAX]; /* why the master ends it by force; "" : it does not */
	char complaint[512];           /* why it refused, in its own words */
	struct log_limit spared;       /* lines about a worker that the watchdog spares */
	struct backoff unborn; /* starts that failed since the last birth, for their lines */
};

struct fleet {
	struct master *master;
	struct slots slots;
	struct fleet_worker workers[BOARD_SLOTS];
	struct holdings holdings;
	struct child_report *reports;
	struct loop_timer alarm; /* the next turn */
	struct patience patience;

	unsigned wanted;
	bool is_stopping;
	int64_t stop_timeout_ms;
	void (*on_gone)(struct master *master);

	void (*on_settled)(struct master *master, const char *failure); /* NULL: nobody waits */
	unsigned settle_count;     /* workers that must be under the generation in force */
	char failure[1024];        /* why they will not be; "" : they may */
	uint64_t tried_generation; /* refused by all; one worker was replaced to try it anew */

	struct cgroup_place pids, memory;
	uint64_t oom_kills; /* of our control group, when last looked */
};

/* fleet */
/** The master's patience, now. */
int64_t fleet_now(struct fleet *fleet);
/** Take a turn as soon as the loop comes round: anything may have changed. */
void fleet_turn_soon(struct fleet *fleet);

/* fleet_worker: acts on one worker */
struct fleet_worker *fleet_worker_at(struct fleet *fleet, int slot);
struct slot *fleet_slot_of(const struct fleet_worker *worker);
/** Start a process in an empty slot; if that fails, the slot's back-off says when to try again. */
void fleet_give_birth(struct fleet_worker *worker);
/** Ask it to finish and go. @param timeout_ms  CHANNEL_NO_LIMIT: when its connections have ended
 *  @param reason  for the log */
void fleet_drain_worker(struct fleet_worker *worker, int64_t timeout_ms, const char *reason);
/** SIGABRT, so that it leaves a stack; SIGKILL follows after the grace. */
void fleet_abort_worker(struct fleet_worker *worker, const char *ending);
/** SIGKILL. @param ending  why; goes into the line about its end */
void fleet_kill_worker(struct fleet_worker *worker, const char *ending);
/** Say that SIGKILL does not end it, and do without its slot. */
void fleet_give_up(struct fleet_worker *worker, const char *reason);

/* fleet_talk: messages */
/** Make the channel and watch our end. @return the child's end, closed by the caller; or negative
 *  errno */
int fleet_talk_open(struct fleet_worker *worker) MUST_CHECK;
/** Watch our end of a channel that is open. */
void fleet_talk_listen(struct fleet_worker *worker);
/** Everything that a child needs to know to serve. */
void fleet_talk_brief_newborn(struct fleet_worker *worker);
/** The same for all who are behind the configuration in force or the number of workers. */
void fleet_talk_brief_all(struct fleet *fleet);
void fleet_talk_send_log(struct fleet_worker *worker);
void fleet_talk_nudge_all(struct fleet *fleet);
/** RELEASE for what was recalled. */
void fleet_talk_recall(struct fleet_worker *worker);
/** DRAIN. @return false when it cannot be told */
bool fleet_talk_drain(struct fleet_worker *worker, int64_t timeout_ms);
/** Hear what a dead worker had still said. */
void fleet_talk_hear_out(struct fleet_worker *worker);
void fleet_talk_close(struct fleet_worker *worker);

/* fleet_watch */
/** One round of the watchdog. @return when it wants to look again at the latest, by patience */
int64_t fleet_watch(struct fleet *fleet, int64_t now_ms);

/* fleet_death */
/** Note that a worker could not be started, and tell when the log deserves it. */
void fleet_death_unborn(struct fleet_worker *worker, int error, const char *attempt);
/** Jitter for the back-off. */
uint32_t fleet_dice(void);
