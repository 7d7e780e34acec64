/* What a worker was doing when it died: its own handler of fatal signals writes signal, stack and
 * the client in hand to the worker's slot on the board, where the master reads it after waitpid.
 * The signal then takes its course (status, core). */
#pragma once

#include <stddef.h>

#include "common/defs.h"

struct board_slot;
struct conn;

/** Handle SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT on a stack of their own. A sanitizer keeps
 *  those it explains better itself. @param slot  for the life of the process
 *  @return 0 or negative errno */
int crash_install(struct board_slot *slot) MUST_CHECK;

extern struct conn *volatile crash_conn;

/** The connection that is being served from here on. @return it */
static inline struct conn *
crash_hold(struct conn *conn)
{
	crash_conn = conn;
	return conn;
}

static inline void
crash_release(void)
{
	crash_conn = NULL;
}
