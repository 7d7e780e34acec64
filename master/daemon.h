/* -d, the classic way: two forks, a session of its own, the root directory; and a pipe through
 * which the terminal's process learns whether the workers serve before it returns. */
#pragma once

#include "common/defs.h"

struct fault;

struct daemon {
	int report;   /* where to say how it went; -1: in the foreground, or said already */
	int terminal; /* the standard error that we were started with, until it went well or ill */
};

/** Go to the background. Returns only in the new process; the old one waits for daemon_report and
 *  exits with what it is told, or with 1 when the new process ends without a word. The standard
 *  streams lead to /dev/null from here on, so that no child keeps the caller's pipes open.
 *  @return 0 or negative errno, to be said as in the foreground */
int daemon_start(struct daemon *daemon, struct fault *why) MUST_CHECK;
/** Print an error for who waits for us. Does nothing in the foreground or after daemon_report. */
void daemon_say(const struct daemon *daemon, const char *sentence);
/** End the waiting process with `status`. Does nothing in the foreground or a second time. */
void daemon_report(struct daemon *daemon, int status);
/** Make sure that descriptors 0, 1 and 2 are open, so that no socket ever gets their numbers. */
int daemon_open_standard_streams(void) MUST_CHECK;
