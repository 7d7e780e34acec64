/* One event as one line: what stands before the sentence, and what may stand in it. Pure. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include "common/defs.h"
#include "common/log.h"

#define LOG_LINE_MAX 2048 /* below PIPE_BUF: one write to a pipe is all or nothing (pipe(7)) */

enum log_style {
	LOG_STYLE_TIMED,   /* 2026-11-20T12:33:01.123Z notice master[812]: sentence */
	LOG_STYLE_JOURNAL, /* <5>master[812]: sentence; sd-daemon(3) */
	LOG_STYLE_SYSLOG,  /* <29>Nov 20 12:33:01 acceptd[812]: master: sentence; RFC 3164 */
};

/* Who speaks when. */
struct log_origin {
	struct tm time; /* UTC; for syslog the local time, which its readers expect */
	int millisecond;
	int pid;
	const char *identity;
};

/** Write a line with its line break (syslog: without; a datagram is a line). Whatever is not
 *  printable ASCII becomes \xNN; a line that is too long ends with " [cut]".
 *  @return its length, at most LOG_LINE_MAX; not terminated */
size_t log_line_write(char line[LOG_LINE_MAX], enum log_style style,
	const struct log_origin *origin, enum log_level level, const char *format, va_list args)
	PRINTF_LIKE(5, 0);

/** "error", "warning", "notice", "info" or "debug". */
const char *log_level_word(enum log_level level);
