#include "common/log_line.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/run.h"

static const struct log_origin origin = {
	.time = {.tm_year = 126,
		.tm_mon = 10,
		.tm_mday = 2,
		.tm_hour = 3,
		.tm_min = 4,
		.tm_sec = 5},
	.millisecond = 7,
	.pid = 812,
	.identity = "worker 2",
};

/* A line with a terminating zero, for comparison. */
PRINTF_LIKE(4, 5)
static size_t
write_line(char line[LOG_LINE_MAX + 1], enum log_style style, enum log_level level,
	const char *format, ...)
{
	va_list args;
	size_t len;

	va_start(args, format);
	len = log_line_write(line, style, &origin, level, format, args);
	va_end(args);
	ck_assert_uint_le(len, LOG_LINE_MAX);
	line[len] = '\0';
	return len;
}

static const struct {
	enum log_style style;
	enum log_level level;
	const char *line;
} lines[] = {
	{LOG_STYLE_TIMED, LOG_LEVEL_ERROR, "2026-11-02T03:04:05.007Z error worker 2[812]: x=1\n"},
	{LOG_STYLE_TIMED, LOG_LEVEL_WARNING,
		"2026-11-02T03:04:05.007Z warning worker 2[812]: x=1\n"},
	{LOG_STYLE_TIMED, LOG_LEVEL_NOTICE, "2026-11-02T03:04:05.007Z notice worker 2[812]: x=1\n"},
	{LOG_STYLE_TIMED, LOG_LEVEL_INFO, "2026-11-02T03:04:05.007Z info worker 2[812]: x=1\n"},
	{LOG_STYLE_TIMED, LOG_LEVEL_DEBUG, "2026-11-02T03:04:05.007Z debug worker 2[812]: x=1\n"},
	{LOG_STYLE_JOURNAL, LOG_LEVEL_ERROR, "<3>worker 2[812]: x=1\n"},
	{LOG_STYLE_JOURNAL, LOG_LEVEL_DEBUG, "<7>worker 2[812]: x=1\n"},
	{LOG_STYLE_SYSLOG, LOG_LEVEL_ERROR, "<27>Nov  2 03:04:05 acceptd[812]: worker 2: x=1"},
	{LOG_STYLE_SYSLOG, LOG_LEVEL_NOTICE, "<29>Nov  2 03:04:05 acceptd[812]: worker 2: x=1"},
};

START_TEST(a_line_says_when_and_how_grave_and_who)
{
	char line[LOG_LINE_MAX + 1];

	write_line(line, lines[_i].style, lines[_i].level, "x=%d", 1);
	ck_assert_str_eq(line, lines[_i].line);
}
END_TEST

/* One row for each value of a byte but zero, which ends a string. */
START_TEST(a_line_is_one_line_whatever_its_arguments_hold)
{
	unsigned char byte = (unsigned char)_i;
	char line[LOG_LINE_MAX + 1], want[64];
	bool is_printable = byte >= 0x20 && byte <= 0x7e;

	if (is_printable) {
		snprintf(want, sizeof(want), "<5>worker 2[812]: a%cz\n", byte);
	} else {
		snprintf(want, sizeof(want), "<5>worker 2[812]: a\\x%02xz\n", byte);
	}
	write_line(line, LOG_STYLE_JOURNAL, LOG_LEVEL_NOTICE, "a%cz", byte);
	ck_assert_str_eq(line, want);
}
END_TEST

static const enum log_style styles[] = {LOG_STYLE_TIMED, LOG_STYLE_JOURNAL, LOG_STYLE_SYSLOG};

START_TEST(a_line_that_is_too_long_is_cut_visibly)
{
	static const char *const fillers[] = {"x", "\n"};
	const char *end = styles[_i] == LOG_STYLE_SYSLOG ? " [cut]" : " [cut]\n";
	char line[LOG_LINE_MAX + 1];
	char sentence[3 * LOG_LINE_MAX];
	size_t i, len;

	for (i = 0; i < ARRAY_LEN(fillers); i++) {
		memset(sentence, fillers[i][0], sizeof(sentence) - 1);
		sentence[sizeof(sentence) - 1] = '\0';
		len = write_line(line, styles[_i], LOG_LEVEL_NOTICE, "%s", sentence);
		ck_assert_uint_ge(len, LOG_LINE_MAX - 8);
		ck_assert_str_eq(line + len - strlen(end), end);
		ck_assert_ptr_eq(strpbrk(line, "\n"),
			styles[_i] == LOG_STYLE_SYSLOG ? NULL : line + len - 1);
	}
}
END_TEST

START_TEST(only_what_does_not_fit_is_cut)
{
	char line[LOG_LINE_MAX + 1];
	size_t widest = 0, width;

	for (width = LOG_LINE_MAX - 100; width < LOG_LINE_MAX + 100; width++) {
		write_line(line, styles[_i], LOG_LEVEL_NOTICE, "%*s", (int)width, "x");
		if (strstr(line, " [cut]") == NULL) {
			ck_assert_ptr_nonnull(strchr(line, 'x'));
			ck_assert(widest == 0 || widest == width - 1);
			widest = width;
		}
	}
	ck_assert_uint_gt(widest, LOG_LINE_MAX - 80);
	ck_assert_uint_lt(widest, LOG_LINE_MAX);
}
END_TEST

START_TEST(an_unknown_level_has_a_word_too)
{
	ck_assert_str_eq(log_level_word((enum log_level)99), "unknown");
}
END_TEST

UNIT_TESTS("log_line",
	   tcase_add_loop_test(tests, a_line_says_when_and_how_grave_and_who, 0, ARRAY_LEN(lines));
	   tcase_add_loop_test(tests, a_line_is_one_line_whatever_its_arguments_hold, 1, 256);
	   tcase_add_loop_test(tests, a_line_that_is_too_long_is_cut_visibly, 0, ARRAY_LEN(styles));
	   tcase_add_loop_test(tests, only_what_does_not_fit_is_cut, 0, ARRAY_LEN(styles));
	   tcase_add_test(tests, an_unknown_level_has_a_word_too);)
