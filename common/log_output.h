/* Where lines go: opens the sinks and writes without ever waiting. Knows nothing of levels or
 * sentences. The one exception to "never": a regular file waits for its disk. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

#include "common/defs.h"
#include "common/log.h"
#include "common/log_line.h"

struct fault;

/* How a write is kept from waiting. */
enum log_output_way {
	LOG_WAY_NONE,  /* nothing is open */
	LOG_WAY_WRITE, /* the descriptor is non-blocking, or a file */
	LOG_WAY_POLL,  /* it is shared with others and could not be opened anew: ask first */
	LOG_WAY_SEND,  /* a socket: MSG_DONTWAIT */
};

struct log_output {
	int fd;
	bool is_own; /* to be closed by us; otherwise it is the standard error */
	enum log_output_way way;
	enum log_style style;
	bool is_torn; /* the last line got in only in part: begin the next on a line of its own */
	struct sockaddr_un syslog; /* where to connect again; family 0 unless we opened it */
};

/** The standard error as it is: cannot fail, lines are refused when it is closed. */
void log_output_open_stderr(struct log_output *output);
/** @return 0 and *output, or the errors of log_open */
int log_output_open_file(const char *path, struct log_output *output, struct fault *why) MUST_CHECK;
int log_output_open_syslog(
	const char *path, struct log_output *output, struct fault *why) MUST_CHECK;
/** Take over a descriptor that another process opened (-1: the standard error). */
void log_output_adopt(enum log_sink sink, int fd, struct log_output *output);
/** Close what is our own. */
void log_output_close(struct log_output *output);

/** Connect again to a syslog daemon; the same socket, so that all who share it are served.
 *  @return 0, also for outputs that have none to connect to; negative errno */
int log_output_connect(struct log_output *output) MUST_CHECK;
/** True when `path` does not lead to the open file any more (removed, renamed, replaced). */
bool log_output_has_moved(const struct log_output *output, const char *path);

/** Write prepared lines, each with its line break.
 *  @param done  how many bytes of them got in; the next write begins on a line of its own
 *  @return 0, or a negative errno when that was not all */
int log_output_write_lines(
	struct log_output *output, const char *lines, size_t len, size_t *done) MUST_CHECK;
/** Write one line. @return 0, or a negative errno when it was not taken, or not all of it */
int log_output_write(struct log_output *output, const char *line, size_t len) MUST_CHECK;
