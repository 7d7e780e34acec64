#include "common/config.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/run.h"

static struct findings findings;

static void
add(enum finding_kind kind, const char *file, int line, const char *sentence)
{
	const struct config_origin origin = {file, line};

	findings_add(&findings, kind, &origin, "%s", sentence);
}

static char *
print(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *stream = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(stream);
	findings_print(&findings, stream);
	ck_assert_int_eq(fclose(stream), 0);
	return text;
}

START_TEST(a_line_says_where_and_how_bad)
{
	char *text;

	add(FINDING_FILE, "a.conf", 3, "one");
	add(FINDING_WARNING, "a.conf", 4, "two");
	add(FINDING_WORLD, "a.conf", 0, "three");
	add(FINDING_FILE, NULL, 0, "four");
	findings_add(&findings, FINDING_WORLD, NULL, "%s %d", "five", 5);
	text = print();
	ck_assert_str_eq(text, "a.conf:3: error: one\n"
			       "a.conf:4: warning: two\n"
			       "a.conf: error: three\n"
			       "error: four\n"
			       "error: five 5\n");
	ck_assert_uint_eq(findings.errors, 2);
	ck_assert_uint_eq(findings.world_errors, 2);
	ck_assert_uint_eq(findings.warnings, 1);
	free(text);
}
END_TEST

START_TEST(what_comes_from_a_file_stays_on_one_line)
{
	add(FINDING_FILE, "a\nb.conf", 1, "\x1b[31m\n");
	ck_assert_str_eq(findings.items[0].text, "a\\x0ab.conf:1: error: \\x1b[31m\\x0a");
}
END_TEST

START_TEST(beyond_twenty_they_are_counted)
{
	char *text;

	for (int i = 0; i < 25; i++) {
		add(FINDING_FILE, "a.conf", i + 1, "x");
	}
	ck_assert_uint_eq(findings.errors, 25);
	ck_assert_uint_eq(findings.not_shown, 5);
	text = print();
	ck_assert_ptr_nonnull(strstr(text, "a.conf:20: error: x\nand 5 more\n"));
	ck_assert_ptr_null(strstr(text, "a.conf:21"));
	free(text);
}
END_TEST

START_TEST(a_warning_makes_room_for_an_error)
{
	add(FINDING_WARNING, "a.conf", 1, "first warning");
	add(FINDING_WARNING, "a.conf", 2, "second warning");
	for (int i = 0; i < FINDINGS_MAX; i++) {
		add(FINDING_FILE, "a.conf", 10 + i, "x");
	}
	ck_assert_uint_eq(findings.count, FINDINGS_MAX);
	ck_assert_uint_eq(findings.not_shown, 2);
	for (int i = 0; i < FINDINGS_MAX; i++) {
		ck_assert_int_eq(findings.items[i].kind, FINDING_FILE);
		ck_assert_int_eq(findings.items[i].line, 10 + i);
	}
	add(FINDING_WARNING, "a.conf", 1, "too late");
	ck_assert_uint_eq(findings.not_shown, 3);
	ck_assert_int_eq(findings.items[FINDINGS_MAX - 1].kind, FINDING_FILE);
}
END_TEST

START_TEST(each_file_is_told_from_its_first_line_to_its_last)
{
	static const struct {
		const char *file;
		int line;
	} given[] = {{"old", 9}, {"b", 5}, {"a", 7}, {"b", 2}, {NULL, 0}, {"a", 1}, {"b", 5},
		{"b", 3}, {NULL, 0}, {"a", 9}};
	static const struct {
		const char *text;
	} wanted[] = {{"old:9:"}, {"b:2:"}, {"b:3:"}, {"b:5:"}, {"b:5:"}, {"a:1:"}, {"a:7:"},
		{"a:9:"}, {"error"}, {"error"}};
	char sentence[2] = "0";

	for (size_t i = 0; i < ARRAY_LEN(given); i++) {
		sentence[0] = (char)('0' + i);
		add(FINDING_FILE, given[i].file, given[i].line, sentence);
	}
	findings_sort(&findings, 1);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		ck_assert_msg(strncmp(findings.items[i].text, wanted[i].text,
				      strlen(wanted[i].text)) == 0,
			"%zu: %s", i, findings.items[i].text);
	}
	/* of two on the same line the first one stays the first */
	ck_assert_str_eq(findings.items[3].text, "b:5: error: 1");
	ck_assert_str_eq(findings.items[4].text, "b:5: error: 6");
}
END_TEST

UNIT_TESTS("config_findings", tcase_add_test(tests, a_line_says_where_and_how_bad);
	   tcase_add_test(tests, what_comes_from_a_file_stays_on_one_line);
	   tcase_add_test(tests, beyond_twenty_they_are_counted);
	   tcase_add_test(tests, a_warning_makes_room_for_an_error);
	   tcase_add_test(tests, each_file_is_told_from_its_first_line_to_its_last);)
