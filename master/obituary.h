/* The end of a process in words: one line for an operator with cause, age, cost and what happens
 * next. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct text;

/* What the line is made of; strings are borrowed and may be NULL or "" where unknown. Strings that
 * the dead process wrote are escaped here. */
struct obituary {
	int slot;
	pid_t pid;
	int status; /* as waitpid(2) gives it */
	int64_t age_ms;
	uint64_t lost_connections;
	bool was_ready;        /* had served */
	bool died_of_memory;   /* the cgroup's count of OOM kills has moved */
	const char *memory;    /* how the limit is called: "memory limit 256M of cgroup /x" */
	const char *doing;     /* why the master was ending it: "drain timeout"; NULL: it was not */
	const char *complaint; /* what it said before: why it refused the configuration */
	const char *listener;  /* in hand when it crashed */
	const char *protocol;
	const char *peer;
	uint64_t fault_address; /* of SIGSEGV, SIGBUS, SIGILL, SIGFPE */
	bool has_fault_address;
	pid_t sender;          /* of one of these, which then is no fault; 0: nobody's */
	unsigned failures;     /* in a row */
	unsigned untold;       /* failures of this slot since its last line that were not told */
	int64_t restart_in_ms; /* 0: now; -1: no successor is wanted */
};

/** "killed by SIGSEGV (core dumped)", "exited with status 3". */
void obituary_add_cause(struct text *text, int status);
/** The whole sentence, beginning with "worker 2 (pid 812) ". */
void obituary_write(struct text *text, const struct obituary *obituary);
/** "SIGKILL"; "signal 62" for one without a name. @param space  for the latter */
const char *obituary_signal_name(int signal, char space[16]);
