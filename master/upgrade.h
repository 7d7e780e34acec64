/* Another program takes the master's place (SIGUSR2, acceptctl upgrade): same process, same
 * children, same sockets. It is checked by a child first, and until it is executed nothing changes.
 * Then it starts workers of its own, and when they serve those of before finish what they have.
 *
 * All functions but the first accept that a master has no upgrade (NULL): in tests of its parts. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/defs.h"
#include "master/upgrade_probe.h"

struct heritage;
struct inherit;
struct master;

enum upgrade_stage {
	UPGRADE_IDLE,
	UPGRADE_CHECKING, /* the check runs */
	UPGRADE_DUE,      /* it may take over: as soon as the loop has ended */
	UPGRADE_SETTLING, /* we are the one that took over; our workers start */
};

struct upgrade {
	enum upgrade_stage stage;
	bool is_wanted; /* asked for while something else was going on */
	int program;    /* the next one, open; -1 */
	struct upgrade_probe probe;
	char before[64]; /* version of the program before us */
};

void upgrade_init(struct upgrade *upgrade, struct master *master);
void upgrade_close(struct master *master);

/** Upgrade now, or when the start or reload that is going on has ended and the queues of removed
 *  listeners are empty. @param who  asks, for the log */
void upgrade_request(struct master *master, const char *who);
/** What was going on has ended, or may have. */
void upgrade_if_wanted(struct master *master);
/** Between the request and the workers of the new program that serve. */
bool upgrade_is_going_on(const struct master *master);
/** The server stops: that goes first. */
void upgrade_cancel(struct master *master);
/** @return true if that was the check of an upgrade */
bool upgrade_reap(struct master *master, pid_t pid, int status);

/** The loop has ended for it. Executes the next program, or returns and everything is as before. */
void upgrade_execute(struct master *master);

/* --- in the program that takes over --- */

/** It cannot: the one before is executed again, with the same state.
 *  @return only if that is not possible either */
void upgrade_go_back(
	const struct inherit *inherit, const struct heritage *heritage, const char *reason);
/** After everything was taken over, before the loop: say so.
 *  @param returned  we are the one before again, because the other could not */
void upgrade_begin_life(struct master *master, const struct heritage *heritage, bool returned);
/** For fleet_apply: the new workers serve, or do not. */
void upgrade_on_settled(struct master *master, const char *failure);
