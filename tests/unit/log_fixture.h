/* For the tests of the log: a directory, standard errors of every kind, and what came out of them.
 * Every test is a process of its own (Check forks), so each begins with a log that nobody has used,
 * and may replace its standard error. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/unit/run.h"

#define READ_MAX (1 << 20)

static char directory[] = "/tmp/test_log.XXXXXX";
static char read_buffer[READ_MAX];

static UNUSED void
set_up(void)
{
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(chmod(directory, 0755), 0);
	/* What the log demands of its process. */
	ck_assert(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	ck_assert_int_eq(unsetenv("JOURNAL_STREAM"), 0);
}

static UNUSED void
tear_down(void)
{
	static const char *const names[] = {
		"log", "log.1", "link", "fifo", "socket", "sub/log", "sub", ""};
	char path[128];
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		(void)remove(path);
	}
}

/* The path of a name in the directory of this test; several of them live at a time. */
static UNUSED const char *
path_of(const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *path = paths[next++ % ARRAY_LEN(paths)];

	snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

static UNUSED void
become_stderr(int fd)
{
	ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	ck_assert_int_eq(close(fd), 0);
}

/* A pipe at the standard error. @return its end to read from, non-blocking */
static UNUSED int
pipe_at_stderr(void)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	become_stderr(ends[1]);
	return ends[0];
}

static UNUSED int
socket_at_stderr(int type)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, type, 0, ends), 0);
	ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	become_stderr(ends[1]);
	return ends[0];
}

/* All that is there to be read now. */
static UNUSED const char *
read_all(int fd)
{
	size_t len = 0;
	ssize_t got;

	while ((got = read(fd, read_buffer + len, READ_MAX - 1 - len)) > 0) {
		len += (size_t)got;
	}
	read_buffer[len] = '\0';
	return read_buffer;
}

static UNUSED const char *
read_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	(void)read_all(fd);
	close(fd);
	return read_buffer;
}

static UNUSED size_t
count_of(const char *text, const char *what)
{
	size_t count = 0;

	for (; (text = strstr(text, what)) != NULL; text += strlen(what)) {
		count++;
	}
	return count;
}

/* What follows "[PID]: " in the only line there is. */
static UNUSED const char *
only_sentence(char *text)
{
	char *sentence = strstr(text, "]: ");

	ck_assert_msg(sentence != NULL, "no line in '%s'", text);
	ck_assert_uint_eq(count_of(text, "\n"), 1);
	ck_assert_int_eq(text[strlen(text) - 1], '\n');
	text[strlen(text) - 1] = '\0';
	return sentence + 3;
}

/* One of equal lines: where one is not taken, the next is not either. */
static UNUSED void
log_wide_line(void)
{
	log_notice("%01000d", 1);
}

/* Wide lines until one is dropped. @return how many were taken */
static UNUSED uint64_t
fill(void)
{
	uint64_t taken = 0;

	while (log_dropped_lines() == 0) {
		log_wide_line();
		taken++;
		ck_assert_uint_lt(taken, 100000);
	}
	return taken - 1;
}

/* All that the reports in a text account for. A report is short: it may find room where the line
 * after it does not, so there may be several. */
static UNUSED uint64_t
reported_in(const char *text)
{
	uint64_t sum = 0, lines;

	while ((text = strstr(text, "log: ")) != NULL) {
		ck_assert_int_eq(sscanf(text, "log: %" SCNu64 " line", &lines), 1);
		sum += lines;
		text++;
	}
	return sum;
}

/* Fill what is behind `fd`, lose some lines, make room again: every lost line is accounted for
 * before the first that gets through again. */
static UNUSED void
check_losses(int fd, const char *reason)
{
	uint64_t taken = fill(), reported;
	const char *line;

	log_wide_line();
	log_wide_line();
	ck_assert_uint_eq(log_dropped_lines(), 3);
	reported = reported_in(read_all(fd));
	ck_assert_uint_eq(count_of(read_buffer, "000001\n"), taken);
	log_notice("alive");
	reported += reported_in(read_all(fd));
	ck_assert_uint_eq(reported, 3);
	ck_assert_ptr_nonnull(strstr(read_buffer, " warning acceptd["));
	ck_assert_ptr_nonnull(strstr(read_buffer, reason));
	line = strstr(read_buffer, ": alive\n");
	ck_assert_ptr_nonnull(line);
	ck_assert_ptr_nonnull(strstr(read_buffer, " dropped in "));
	ck_assert(line > strstr(read_buffer, " dropped in "));
	log_notice("again");
	ck_assert_ptr_null(strstr(read_all(fd), "dropped"));
	ck_assert_uint_eq(log_dropped_lines(), 3);
}
