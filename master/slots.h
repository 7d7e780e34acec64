/* What runs now: slot, pid, generation, state. Pure: whoever owns the table is told of each step
 * and logs it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/board.h"
#include "master/backoff.h"
#include "master/watchdog.h"

#define SLOTS_NO_DEADLINE INT64_MAX

enum slot_state {
	SLOT_EMPTY,    /* nobody; a failed start waits here for its time */
	SLOT_STARTING, /* born, has not said READY */
	SLOT_READY,    /* serving */
	SLOT_DRAINING, /* asked to finish and go */
	SLOT_ABORTING, /* hung: SIGABRT sent, for the stack */
	SLOT_KILLED,   /* SIGKILL sent */
	SLOT_STUCK,    /* survives SIGKILL in the kernel; its place is taken by another slot */
	SLOT_STATE_COUNT,
};

struct slot {
	enum slot_state state;
	pid_t pid;   /* 0 when EMPTY */
	bool is_old; /* of the program before an upgrade: it goes when enough new ones serve */
	uint64_t generation;    /* configuration that the worker has confirmed; 0: none yet */
	int64_t born_ms;        /* CLOCK_MONOTONIC, for reports */
	int64_t ready_ms;       /* the same; 0: never was */
	int64_t deadline_ms;    /* of the state, by the master's patience */
	struct backoff backoff; /* belongs to the slot, outlives its processes */
	struct watchdog watchdog;
};

struct slots {
	struct slot at[BOARD_SLOTS];
	unsigned used; /* highest slot ever used + 1 */
	void (*on_step)(void *context, int slot, enum slot_state from, enum slot_state to,
		const char *reason); /* may be NULL */
	void *context;
};

/** @param slots  zeroed memory; rows cost memory only once they are used */
void slots_init(struct slots *slots,
	void (*on_step)(void *context, int slot, enum slot_state from, enum slot_state to,
		const char *reason),
	void *context);
const char *slot_state_name(enum slot_state state);
bool slot_may_enter(enum slot_state from, enum slot_state to);

/** The one door between states; asserts that the step is legal. The deadline of the old state ends.
 *  @param reason  for the log: "reload", "crash"; borrowed for the call */
void slot_enter(struct slots *slots, int slot, enum slot_state state, const char *reason);
/** EMPTY to STARTING with a new process. */
void slot_begin(struct slots *slots, int slot, pid_t pid, int64_t born_ms);

/** @return the slot, or -1 */
int slots_find_by_pid(const struct slots *slots, pid_t pid);
unsigned slots_count(const struct slots *slots, enum slot_state state);
/** STARTING or READY. */
bool slot_is_working(const struct slot *slot);
/** Those that count towards the number wanted: working, and not old. */
unsigned slots_count_working(const struct slots *slots);
/** Of the program before an upgrade, and not asked to go yet. */
bool slot_is_outdated(const struct slot *slot);
unsigned slots_count_outdated(const struct slots *slots);
/** A process that takes messages: STARTING, READY or DRAINING. */
bool slot_is_live(const struct slot *slot);
/** A process is there, in whatever condition. */
bool slot_has_process(const struct slot *slot);
