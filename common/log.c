/* The only writer of logs. One log per process: what is kept here is the place where lines go, and
 * the account of those that did not get there. */
#include "common/log.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log_line.h"
#include "common/log_output.h"
#include "common/text.h"

#define IDENTITY_MAX      32
#define SYSLOG_SOCKET     "/dev/log"
#define SYSLOG_PREFIX     "syslog:"
#define MOVED_INTERVAL_MS (60 * 1000)
#define NS_PER_MS         1000000
#define SOCKET_PATH_MAX   (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

static struct {
	enum log_level level;
	char identity[IDENTITY_MAX];
	enum log_sink sink;
	bool is_open; /* false: the standard error, not looked at yet */
	struct log_output output;
	char target[PATH_MAX + sizeof(SYSLOG_PREFIX)]; /* empty unless log_open was told one */

	uint64_t dropped_lines;
	struct {
		uint64_t lines;
		int64_t since_ms; /* monotonic */
		int error;        /* of the last one */
	} unreported;
} log_state = {
	.level = LOG_LEVEL_NOTICE,
	.identity = "acceptd",
	.sink = LOG_STDERR,
	.output = {.fd = STDERR_FILENO, .way = LOG_WAY_POLL},
};

/* The beginning of a wrong target, safe to be shown. */
struct shown {
	char text[128];
};

static struct shown
show(const char *string)
{
	struct shown shown;
	struct text text;

	text_init(&text, shown.text, sizeof(shown.text));
	text_add_escaped(&text, string, strlen(string));
	return shown;
}

static int
check_syslog_path(const char *path, struct fault *why)
{
	if (path[0] != '/') {
		return fault_say(why, EINVAL,
			"syslog socket '%s' is not an absolute path; allowed: 'syslog:/SOCKET', or "
			"'syslog' for " SYSLOG_SOCKET,
			show(path).text);
	}
	if (strlen(path) > SOCKET_PATH_MAX) {
		return fault_say(why, EINVAL,
			"path of the syslog socket has %zu bytes; allowed: at most %zu",
			strlen(path), SOCKET_PATH_MAX);
	}
	return 0;
}

int
log_parse_target(const char *target, enum log_sink *sink, const char **path, struct fault *why)
{
	const char *socket_path = SYSLOG_SOCKET;
	int error;

	if (strcmp(target, "stderr") == 0) {
		*sink = LOG_STDERR;
		*path = NULL;
		return 0;
	}
	if (target[0] == '/') {
		if (strlen(target) >= PATH_MAX) {
			return fault_say(why, EINVAL,
				"path of the log file has %zu bytes; allowed: at most %d",
				strlen(target), PATH_MAX - 1);
		}
		*sink = LOG_FILE;
		*path = target;
		return 0;
	}
	if (strncmp(target, SYSLOG_PREFIX, strlen(SYSLOG_PREFIX)) == 0) {
		socket_path = target + strlen(SYSLOG_PREFIX);
	} else if (strcmp(target, "syslog") != 0) {
		return fault_say(why, EINVAL,
			"'%s' is no place for a log; allowed: 'stderr', 'syslog', "
			"'syslog:/SOCKET', '/FILE'",
			show(target).text);
	}
	error = check_syslog_path(socket_path, why);
	if (error != 0) {
		return error;
	}
	*sink = LOG_SYSLOG;
	*path = socket_path;
	return 0;
}

static void
log_switch(enum log_sink sink, const struct log_output *output)
{
	struct log_output old = log_state.output;

	/* A crash in between writes to the old one: close last. */
	log_state.output = *output;
	log_state.sink = sink;
	log_state.is_open = true;
	log_output_close(&old);
	/* The zone is read from its file now; a worker may lose sight of the file later. */
	tzset();
}

int
log_open(const char *target, struct fault *why)
{
	struct log_output output;
	enum log_sink sink;
	const char *path;
	int error;

	error = log_parse_target(target, &sink, &path, why);
	if (error != 0) {
		return error;
	}
	if (sink == LOG_FILE) {
		error = log_output_open_file(path, &output, why);
	} else if (sink == LOG_SYSLOG) {
		error = log_output_open_syslog(path, &output, why);
	} else {
		log_output_open_stderr(&output);
	}
	if (error != 0) {
		return error;
	}
	log_switch(sink, &output);
	if (target != log_state.target) {
		strcpy(log_state.target, target);
	}
	return 0;
}

int
log_adopt(const char *target, int fd, struct fault *why)
{
	struct log_output output;
	enum log_sink sink;
	const char *path;
	int error;

	error = log_parse_target(target, &sink, &path, why);
	if (error != 0) {
		return error;
	}
	log_output_adopt(sink, fd, &output);
	if (sink == LOG_SYSLOG) {
		output.syslog.sun_family = AF_UNIX;
		strcpy(output.syslog.sun_path, path); /* its length was judged above */
	}
	log_switch(sink, &output);
	strcpy(log_state.target, target);
	return 0;
}

int
log_reopen(struct fault *why)
{
	int error;

	if (log_state.sink == LOG_STDERR) {
		return 0;
	}
	if (log_state.target[0] == '\0') {
		return fault_say(why, ENOTSUP, "the log is opened by the master, not here");
	}
	if (log_state.sink == LOG_FILE) {
		return log_open(log_state.target, why);
	}
	error = log_output_connect(&log_state.output);
	if (error != 0 && error != -ENOENT && error != -ECONNREFUSED) {
		return fault_set(why, -error, "cannot connect to syslog %s",
			log_state.output.syslog.sun_path);
	}
	return 0;
}

bool
log_tend(void)
{
	static struct log_limit limit;
	struct fault why;
	uint64_t suppressed;

	if (log_state.target[0] == '\0' || log_state.sink == LOG_STDERR) {
		return false;
	}
	if (log_state.sink == LOG_SYSLOG) {
		/* In vain until it is back: then for all who share the socket. */
		(void)!log_output_connect(&log_state.output);
		return false;
	}
	if (!log_output_has_moved(&log_state.output, log_state.target)) {
		return false;
	}
	if (log_open(log_state.target, &why) == 0) {
		log_notice("log: %s was moved or removed; opened it anew", log_state.target);
		return true;
	}
	if (log_limit_allows(&limit, MOVED_INTERVAL_MS, &suppressed)) {
		log_error("log: the file was moved or removed, and %s; going on in the old one, "
			  "which may have no name any more",
			why.text);
	}
	return false;
}

static void
log_ensure_open(void)
{
	if (!log_state.is_open) {
		log_output_open_stderr(&log_state.output);
		log_state.is_open = true;
	}
}

int
log_descriptor(enum log_sink *sink)
{
	log_ensure_open();
	*sink = log_state.sink;
	return log_state.output.is_own ? log_state.output.fd : -1;
}

void
log_use_descriptor(enum log_sink sink, int fd)
{
	struct log_output output;

	log_output_adopt(sink, fd, &output);
	log_switch(sink, &output);
	log_state.target[0] = '\0';
}

void
log_set_identity(const char *identity)
{
	struct text text;

	text_init(&text, log_state.identity, sizeof(log_state.identity));
	text_add_printable(&text, identity, strlen(identity));
}

void
log_set_level(enum log_level level)
{
	log_state.level = level;
}

enum log_level
log_level_now(void)
{
	return log_state.level;
}

uint64_t
log_dropped_lines(void)
{
	return log_state.dropped_lines;
}

static void
count_drop(int error)
{
	if (log_state.unreported.lines == 0) {
		log_state.unreported.since_ms = clock_monotonic_ms();
	}
	log_state.unreported.lines++;
	log_state.unreported.error = -error;
	log_state.dropped_lines++;
}

PRINTF_LIKE(2, 0)
static int
write_line_args(enum log_level level, const char *format, va_list args)
{
	struct timespec now = clock_wall();
	struct log_origin origin = {
		.millisecond = (int)(now.tv_nsec / NS_PER_MS),
		.pid = getpid(),
		.identity = log_state.identity,
	};
	char line[LOG_LINE_MAX];
	size_t len;

	if (log_state.output.style == LOG_STYLE_SYSLOG) {
		(void)localtime_r(&now.tv_sec, &origin.time);
	} else {
		(void)gmtime_r(&now.tv_sec, &origin.time);
	}
	len = log_line_write(line, log_state.output.style, &origin, level, format, args);
	return log_output_write(&log_state.output, line, len);
}

PRINTF_LIKE(2, 3)
static int
write_line(enum log_level level, const char *format, ...)
{
	va_list args;
	int error;

	va_start(args, format);
	error = write_line_args(level, format, args);
	va_end(args);
	return error;
}

/* Comes before the line that gets through, since that is when it happened. */
static int
report_drops(void)
{
	char span_buffer[64];
	struct text span;
	int error;

	if (log_state.unreported.lines == 0) {
		return 0;
	}
	text_init(&span, span_buffer, sizeof(span_buffer));
	text_add_span_ms(&span, clock_monotonic_ms() - log_state.unreported.since_ms);
	error = write_line(LOG_LEVEL_WARNING, "log: %ju line%s dropped in %s (%s)",
		(uintmax_t)log_state.unreported.lines, log_state.unreported.lines == 1 ? "" : "s",
		span_buffer, strerror(log_state.unreported.error));
	if (error == 0) {
		log_state.unreported.lines = 0;
	}
	return error;
}

/* A caller logs on its way to returning an error: its errno stays. */
PRINTF_LIKE(2, 0)
static void
log_args(enum log_level level, const char *format, va_list args)
{
	int saved_errno = errno;
	int error;

	if (level > log_state.level) {
		return;
	}
	log_ensure_open();
	error = report_drops();
	if (error == 0) {
		errno = saved_errno; /* for %m */
		error = write_line_args(level, format, args);
	}
	if (error != 0) {
		count_drop(error);
	}
	errno = saved_errno;
}

#define LOG_VERB(name, level)                                                                      \
	void log_##name(const char *format, ...)                                                   \
	{                                                                                          \
		va_list args;                                                                      \
                                                                                                   \
		va_start(args, format);                                                            \
		log_args(level, format, args);                                                     \
		va_end(args);                                                                      \
	}

LOG_VERB(error, LOG_LEVEL_ERROR)
LOG_VERB(warning, LOG_LEVEL_WARNING)
LOG_VERB(notice, LOG_LEVEL_NOTICE)
LOG_VERB(info, LOG_LEVEL_INFO)
LOG_VERB(debug, LOG_LEVEL_DEBUG)

void
log_at(enum log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_args(level, format, args);
	va_end(args);
}

bool
log_limit_allows_at(
	struct log_limit *limit, int64_t now_ms, int64_t interval_ms, uint64_t *suppressed)
{
	if (now_ms < limit->next_ms) {
		limit->held_back++;
		return false;
	}
	*suppressed = limit->held_back;
	limit->held_back = 0;
	limit->next_ms = now_ms + interval_ms;
	return true;
}

bool
log_limit_allows(struct log_limit *limit, int64_t interval_ms, uint64_t *suppressed)
{
	return log_limit_allows_at(limit, clock_monotonic_ms(), interval_ms, suppressed);
}
