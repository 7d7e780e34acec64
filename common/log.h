/* The only writer of logs: levels, sinks, rate limit. One event is one line; nothing here blocks:
 * a line that the sink does not take at once is dropped and counted, and the count is reported
 * with the next line that gets through: "log: 1234 lines dropped in 35 s (Broken pipe)".
 * A line is one write of at most 2 KiB; what is longer ends with " [cut]", what is not printable
 * is \xNN. All functions keep errno. The process must ignore SIGPIPE and SIGXFSZ: a pipe without a
 * reader and a file at its limit are then errors like others. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/defs.h"

struct fault;

/* error: someone must act; warning: degraded, going on; notice: life cycle;
 * info: on request; debug: developers. Values are those of syslog(3). */
enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

enum log_sink {
	LOG_STDERR, /* a terminal, a pipe, a file or the journal's stream socket */
	LOG_FILE,   /* opened by the master, append only */
	LOG_SYSLOG, /* datagrams to /dev/log, RFC 3164 form as glibc writes it */
};

/** What the configuration's `log` means: "stderr", "syslog", "syslog:/path/of/socket", or the
 *  absolute path of a file. @return 0, or -EINVAL with the sentence. */
int log_parse_target(
	const char *target, enum log_sink *sink, const char **path, struct fault *why) MUST_CHECK;

/** Open a target as the master does: a regular file of one name, with O_APPEND|O_NOFOLLOW, mode
 *  0640, or the syslog socket. The old target stays in use when this fails.
 *  Ordinary errors: -ELOOP (a symbolic link), -EMLINK (a hard link), -ENOTSUP (not a regular file),
 *  -EACCES, -ENOENT. For LOG_SYSLOG a missing daemon is no error: lines are dropped and counted
 *  until it comes. Before the first call lines go to the standard error. */
int log_open(const char *target, struct fault *why) MUST_CHECK;
/** Go on with what the program before in this process had opened for a target (-1: the standard
 *  error will do). Takes the descriptor over. @return 0, or -EINVAL when the target makes no sense
 */
int log_adopt(const char *target, int fd, struct fault *why) MUST_CHECK;
/** Open the same target again (SIGUSR1): a file, by its path; syslog is connected again on the same
 *  socket, which serves the children too. @return 0, or the errors of log_open */
int log_reopen(struct fault *why) MUST_CHECK;
/** To be called each second by the process that called log_open: opens a file anew that was moved
 *  or removed, connects to a syslog daemon that was restarted, at two system calls.
 *  @return true when log_descriptor has changed, so that the children need it again */
bool log_tend(void);

/** What a child needs to write to the same place: a borrowed descriptor, or -1 when its standard
 *  error will do. A pipe or terminal at the standard error has one too: the master may open it
 *  for itself, non-blocking, where the user of a worker may not. */
int log_descriptor(enum log_sink *sink);
/** Use a descriptor that the master sent (-1 only for LOG_STDERR); takes it over and closes the one
 *  before. */
void log_use_descriptor(enum log_sink sink, int fd);

/** Who speaks, put before each sentence: "master", "worker 2". Copied, at most 31 letters. */
void log_set_identity(const char *identity);
void log_set_level(enum log_level level);
enum log_level log_level_now(void);

void log_error(const char *format, ...) PRINTF_LIKE(1, 2);
void log_warning(const char *format, ...) PRINTF_LIKE(1, 2);
void log_notice(const char *format, ...) PRINTF_LIKE(1, 2);
void log_info(const char *format, ...) PRINTF_LIKE(1, 2);
void log_debug(const char *format, ...) PRINTF_LIKE(1, 2);
void log_at(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

/** Lines this process could not write since it began. */
uint64_t log_dropped_lines(void);

/** At most one line in `interval_ms` from the place that owns the limit. Zero-initialised, static
 *  or embedded. @param suppressed  how many were held back since the last one that was let
 *  through; untouched when this one is held back too */
struct log_limit {
	int64_t next_ms;
	uint64_t held_back;
};
bool log_limit_allows(struct log_limit *limit, int64_t interval_ms, uint64_t *suppressed);
/** The same at a given time. */
bool log_limit_allows_at(
	struct log_limit *limit, int64_t now_ms, int64_t interval_ms, uint64_t *suppressed);
