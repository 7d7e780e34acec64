#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/fault.h"
#include "tests/unit/log_fixture.h"
#include "tests/unit/run.h"

START_TEST(a_line_has_the_time_of_the_day_in_utc)
{
	int fd = pipe_at_stderr();
	struct tm tm = {0};
	time_t before = time(NULL), written;
	int milliseconds, pid;

	setenv("TZ", "XYZ-7", 1);
	log_set_identity("worker 2");
	log_notice("listener %s: %d", "web", 80);
	ck_assert_int_eq(sscanf(read_all(fd), "%d-%d-%dT%d:%d:%d.%3dZ notice worker 2[%d]: ",
				 &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
				 &tm.tm_sec, &milliseconds, &pid),
		8);
	tm.tm_year -= 1900;
	tm.tm_mon--;
	written = timegm(&tm);
	ck_assert_int_ge(written, before);
	ck_assert_int_le(written, time(NULL) + 1);
	ck_assert_int_eq(pid, getpid());
	ck_assert_str_eq(only_sentence(read_buffer), "listener web: 80");
}
END_TEST

START_TEST(what_is_less_grave_than_the_level_is_not_written)
{
	static const char *const words[] = {
		" error ", " warning ", " notice ", " info ", " debug "};
	enum log_level level = (enum log_level)(_i + LOG_LEVEL_ERROR);
	int fd = pipe_at_stderr();
	size_t i;

	log_set_level(level);
	ck_assert_int_eq(log_level_now(), level);
	log_error("x");
	log_warning("x");
	log_notice("x");
	log_info("x");
	log_debug("x");
	(void)read_all(fd);
	for (i = 0; i < ARRAY_LEN(words); i++) {
		ck_assert_uint_eq(count_of(read_buffer, words[i]), i <= (size_t)_i);
	}
	ck_assert_uint_eq(log_dropped_lines(), 0);
}
END_TEST

START_TEST(notice_is_the_level_unless_told_otherwise)
{
	int fd = pipe_at_stderr();

	log_at(LOG_LEVEL_INFO, "no");
	log_at(LOG_LEVEL_NOTICE, "yes");
	(void)read_all(fd);
	ck_assert_str_eq(only_sentence(read_buffer), "yes");
}
END_TEST

START_TEST(an_identity_is_escaped_and_cut)
{
	int fd = pipe_at_stderr();

	log_set_identity("evil\n[1]: 4567890123456789012345678901234567890");
	log_notice("x");
	(void)read_all(fd);
	ck_assert_uint_eq(count_of(read_buffer, "\n"), 1);
	ck_assert_ptr_nonnull(strstr(read_buffer, " evil\\x0a[1]: 456789012345678901["));
}
END_TEST

START_TEST(a_caller_keeps_its_errno)
{
	int fd = pipe_at_stderr();

	errno = ENOTSUP;
	log_notice("%m");
	ck_assert_int_eq(errno, ENOTSUP);
	close(fd);
	log_notice("dropped");
	ck_assert_int_eq(errno, ENOTSUP);
	ck_assert_uint_eq(log_dropped_lines(), 1);
}
END_TEST

START_TEST(one_line_is_one_write)
{
	int fd = socket_at_stderr(SOCK_SEQPACKET);
	char line[8192];
	ssize_t len;

	log_notice("%05000d", 0);
	log_notice("b\nc");
	len = recv(fd, line, sizeof(line), 0);
	ck_assert_int_le(len, 2048);
	ck_assert_int_ge(len, 2040);
	ck_assert_int_eq(memcmp(line + len - 7, " [cut]\n", 7), 0);
	len = recv(fd, line, sizeof(line), 0);
	ck_assert_int_eq(memcmp(line + len - 9, ": b\\x0ac\n", 9), 0);
	ck_assert_int_eq(recv(fd, line, sizeof(line), 0), -1);
}
END_TEST

static const struct {
	const char *target;
	int result;
	enum log_sink sink;
	const char *path; /* or a part of the sentence */
} targets[] = {
	{"stderr", 0, LOG_STDERR, NULL},
	{"syslog", 0, LOG_SYSLOG, "/dev/log"},
	{"syslog:/run/log.sock", 0, LOG_SYSLOG, "/run/log.sock"},
	{"/var/log/acceptd.log", 0, LOG_FILE, "/var/log/acceptd.log"},
	{"", -EINVAL, LOG_STDERR, "'' is no place for a log; allowed: 'stderr', 'syslog', "},
	{"stdout", -EINVAL, LOG_STDERR, "'stdout' is no place for a log"},
	{"acceptd.log", -EINVAL, LOG_STDERR, "'acceptd.log' is no place for a log"},
	{"Stderr", -EINVAL, LOG_STDERR, "'Stderr' is no place for a log"},
	{"\033[2J", -EINVAL, LOG_STDERR, "'\\x1b[2J' is no place for a log"},
	{"syslog:", -EINVAL, LOG_STDERR, "syslog socket '' is not an absolute path"},
	{"syslog:local0", -EINVAL, LOG_STDERR, "syslog socket 'local0' is not an absolute path"},
	{"syslog:/2345678901234567890123456789012345678901234567890123456789012345678901234567890"
	 "1234567890123456789012345678",
		-EINVAL, LOG_STDERR, "has 108 bytes; allowed: at most 107"},
};

START_TEST(a_target_is_one_of_four_forms)
{
	enum log_sink sink = (enum log_sink)99;
	const char *path = "untouched";
	struct fault why;

	ck_assert_int_eq(
		log_parse_target(targets[_i].target, &sink, &path, &why), targets[_i].result);
	if (targets[_i].result != 0) {
		ck_assert_msg(strstr(why.text, targets[_i].path) != NULL, "%s", why.text);
		ck_assert_int_eq(sink, 99);
		ck_assert_str_eq(path, "untouched");
		return;
	}
	ck_assert_int_eq(sink, targets[_i].sink);
	if (targets[_i].path == NULL) {
		ck_assert_ptr_null(path);
	} else {
		ck_assert_str_eq(path, targets[_i].path);
	}
}
END_TEST

START_TEST(a_path_that_is_too_long_is_refused)
{
	char target[8192];
	enum log_sink sink;
	const char *path;
	struct fault why;

	memset(target, '/', sizeof(target) - 1);
	target[sizeof(target) - 1] = '\0';
	ck_assert_int_eq(log_parse_target(target, &sink, &path, &why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why.text, "has 8191 bytes; allowed: at most 4095"));
}
END_TEST

/* Calls in their order on one limit of 1000 ms. */
static const struct {
	int64_t now_ms;
	bool is_allowed;
	uint64_t suppressed;
} calls[] = {
	{0, true, 0},
	{0, false, 0},
	{999, false, 0},
	{1000, true, 2},
	{1001, false, 0},
	{5000, true, 1},
	{5999, false, 0},
	{6000, true, 1},
	{7000, true, 0},
};

START_TEST(a_limit_lets_one_line_through_in_its_interval_and_counts_the_others)
{
	struct log_limit limit = {0};
	uint64_t suppressed;
	size_t i;

	for (i = 0; i < ARRAY_LEN(calls); i++) {
		suppressed = 4711;
		ck_assert_int_eq(log_limit_allows_at(&limit, calls[i].now_ms, 1000, &suppressed),
			calls[i].is_allowed);
		ck_assert_uint_eq(suppressed, calls[i].is_allowed ? calls[i].suppressed : 4711);
	}
}
END_TEST

START_TEST(a_limit_takes_its_time_from_the_clock)
{
	struct log_limit limit = {0};
	uint64_t suppressed = 4711;

	ck_assert(log_limit_allows(&limit, 3600 * 1000, &suppressed));
	ck_assert_uint_eq(suppressed, 0);
	ck_assert(!log_limit_allows(&limit, 3600 * 1000, &suppressed));
	ck_assert_uint_eq(limit.held_back, 1);
	limit.next_ms = 0;
	ck_assert(log_limit_allows(&limit, 0, &suppressed));
	ck_assert_uint_eq(suppressed, 1);
}
END_TEST

UNIT_TESTS("log", tcase_add_checked_fixture(tests, set_up, tear_down);
	   tcase_add_test(tests, a_line_has_the_time_of_the_day_in_utc);
	   tcase_add_loop_test(tests, what_is_less_grave_than_the_level_is_not_written, 0, 5);
	   tcase_add_test(tests, notice_is_the_level_unless_told_otherwise);
	   tcase_add_test(tests, an_identity_is_escaped_and_cut);
	   tcase_add_test(tests, a_caller_keeps_its_errno);
	   tcase_add_test(tests, one_line_is_one_write);
	   tcase_add_loop_test(tests, a_target_is_one_of_four_forms, 0, ARRAY_LEN(targets));
	   tcase_add_test(tests, a_path_that_is_too_long_is_refused); tcase_add_test(
		   tests, a_limit_lets_one_line_through_in_its_interval_and_counts_the_others);
	   tcase_add_test(tests, a_limit_takes_its_time_from_the_clock);)
