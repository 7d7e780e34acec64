/* Decides who should run, who should stop, and when to try again. Pure: it sees the table, the
 * number wanted and the time, and says the next single step; the fleet takes it and asks again
 * until nothing is left to do. */
#pragma once

#include <stdint.h>

struct slots;

enum supervisor_verb {
	SUPERVISOR_NOTHING, /* until `again_ms` */
	SUPERVISOR_START,   /* a worker in this slot */
	SUPERVISOR_DRAIN,   /* a surplus worker, or one of the program before an upgrade */
	SUPERVISOR_KILL,    /* one whose time is over */
	SUPERVISOR_GIVE_UP, /* on a process that even SIGKILL does not end */
};

struct supervisor_step {
	enum supervisor_verb verb;
	int slot;
	const char *reason;
	int64_t again_ms; /* of NOTHING: when a deadline or a wait ends; INT64_MAX: never */
};

/** @param now_ms  the master's patience, as in deadlines and back-off */
struct supervisor_step supervisor_next(const struct slots *slots, unsigned wanted, int64_t now_ms);
