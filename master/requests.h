/* What operators ask for through the monitor: reload, stop, drain and resume a listener, list and
 * kill connections. The monitor has checked who may; here is done and answered, once each. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/channel.h"
#include "common/defs.h"
#include "common/loop.h"

struct master;
struct upgrade_state;

#define REQUESTS_MAX 32 /* as many as the monitor has sessions */

struct request {
	uint32_t id;
	enum channel_command command;
	bool is_used;
	unsigned run;    /* RELOAD: the number of the reload that answers it */
	int slot;        /* KILL: of the connection's worker */
	uint32_t serial; /* KILL: of the connection */
};

/* One list at a time; others wait for their turn. */
struct request_list {
	uint32_t id;
	unsigned awaited; /* workers that have not answered; 0: none is made */
	unsigned silent;  /* that did not answer in time, or died */
	int *memory;      /* BOARD_SLOTS descriptors, -1: not awaited from that slot */
	struct loop_timer patience;
};

struct requests {
	struct master *master;
	struct request waiting[REQUESTS_MAX];
	struct request_list list;
	uint64_t cut_before; /* STOP: connections cut by a drain's end, so far */
};

/** @return 0 or -ENOMEM */
int requests_init(struct requests *requests, struct master *master) MUST_CHECK;
void requests_fini(struct requests *requests);

/** Do what the monitor asks; the answer comes at once or later. */
void requests_take(struct master *master, const struct channel_request *request);
/** The monitor is gone: nobody waits for answers any more. What was begun goes on. */
void requests_forget(struct master *master);

/** Reload number `run` has ended; `said` is what the log has of it. */
void requests_on_reload(struct master *master, unsigned run, bool is_good, const char *said);
/** The upgrade has ended; its words for those who asked. */
void requests_on_upgrade(struct master *master, int status, const char *said);
/** Our place is about to be taken: who waits for anything but the upgrade is sent away. */
void requests_dismiss(struct master *master);
/** Whoever asked the program before for the upgrade waits on. */
void requests_take_over(struct master *master, const struct upgrade_state *state);
/** All workers are gone. */
void requests_on_stopped(struct master *master);
/** A worker's answers. @return 0, or -EPROTO when it was not asked */
int requests_on_listed(struct master *master, int slot, const struct channel_listed *listed);
int requests_on_killed(struct master *master, int slot, const struct channel_kill *killed);
void requests_on_worker_gone(struct master *master, int slot);
