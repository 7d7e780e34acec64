#include "common/config_scan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/fault.h"
#include "common/text.h"
#include "tests/unit/run.h"

/* The tokens of a text as letters: n name, = equals, t text, i integer, f float, b bool, ? broken,
 * # junk, the brackets, ; separator, @ include, ! a fault before the token, . end. */
static const char *
spell(const char *text, char around, struct fault *last, int *line)
{
	static const char letters[] = {
		[TOKEN_END] = '.',
		[TOKEN_NAME] = 'n',
		[TOKEN_EQUALS] = '=',
		[TOKEN_TEXT] = 't',
		[TOKEN_INTEGER] = 'i',
		[TOKEN_FLOAT] = 'f',
		[TOKEN_BOOL] = 'b',
		[TOKEN_BROKEN] = '?',
		[TOKEN_JUNK] = '#',
		[TOKEN_SEPARATOR] = ';',
		[TOKEN_INCLUDE] = '@',
	};
	static char spelt[256];
	struct text out;
	struct scan scan;
	struct token token;

	text_init(&out, spelt, sizeof(spelt));
	scan_init(&scan, text, strlen(text), around);
	do {
		int result = scan_next(&scan, &token, last);

		ck_assert(result == 0 || result == -EINVAL);
		if (result < 0) {
			*line = token.line;
			text_add(&out, "!");
		}
		if (token.kind == TOKEN_OPEN || token.kind == TOKEN_CLOSE) {
			text_add(&out, "%c", *token.start);
		} else {
			text_add(&out, "%c", letters[token.kind]);
		}
	} while (token.kind != TOKEN_END);
	return spelt;
}

static const struct {
	const char *text;
	const char *spelt;
} good[] = {
	{"", "."},
	{" \t\r\n\f", "."},
	{"a = 5;", "n=i;."},
	{"a:5", "n=i."},
	{"a = -5, b = +5", "n=i;n=i."},
	{"a = 0x1F; b = 0XfL; c = 5L; d = 5LL", "n=i;n=i;n=i;n=i."},
	{"a = 1.5; b = .5; c = 1e3; d = -1.", "n=f;n=f;n=f;n=f."},
	{"a = true; b = FALSE;", "n=b;n=b;"
				 "."},
	{"a-b_c*9 = \"x\";", "n=t;."},
	{"a = \"x\" \"y\";", "n=tt;."},
	{"a = \"\\\\ \\\" \\n \\x41 # // /* ; }\";", "n=t;."},
	{"a = [ 1, 2 ];", "n=[i;i];."},
	{"a = ( { b = 1; }, ( 2 ) );", "n=({n=i;};(i));."},
	{"a = 1 # b = 2\n", "n=i."},
	{"a = 1 // b = 2", "n=i."},
	{"a = 1//b = 2", "n=i."},
	{"a /* b\n */ = 1/**/;", "n=i;."},
	{"@include \"x\"", "@."},
	{"  @include\t\"x\" ;\na = 1", "@n=i."},
	{"a = {\n@include \"x\"\n};", "n={@};."},
	{"a = 9223372036854775807; b = -9223372036854775808;", "n=i;n=i;."},
};

START_TEST(a_good_text_is_cut_into_its_words)
{
	struct fault why;
	int line = 0;

	ck_assert_str_eq(spell(good[_i].text, 0, &why, &line), good[_i].spelt);
}
END_TEST

static const struct {
	const char *text;
	const char *spelt;
	int line;
	const char *sentence;
} bad[] = {
	{"a = 9223372036854775808;", "n=!?;.", 1, "9223372036854775808 does not fit 64 bits"},
	{"a = -9223372036854775809;", "n=!?;.", 1, "does not fit 64 bits"},
	{"a = 0xFFFFFFFFFFFFFFFFL;", "n=!?;.", 1, "does not fit 64 bits"},
	{"a = 0644;", "n=!?;.", 1, "begins with 0"},
	{"a = -010;", "n=!?;.", 1, "begins with 0"},
	{"a =\n10m;", "n=!?;.", 2, "\"10m\""},
	{"a = b;", "n=!?;.", 1, "stand in quotes: \"b\""},
	{"a = /run/a:b.pid;", "n=!?;.", 1, "\"/run/a:b.pid\""},
	{"a = [ b, 1 ];", "n=[!?;i];.", 1, "\"b\""},
	{"a = 1e;", "n=!?;.", 1, "\"1e\""},
	{"10m = 1;", "!#=i;.", 1, "'10m' is not the name of a setting"},
	{"a = \"b\nc = 1;", "n=!?n=i;.", 1, "is not closed on its line"},
	{"a = \"b", "n=!?.", 1, "is not closed on its line"},
	{"a = \"\\q\"; b = 1", "n=!?;n=i.", 1, "unknown escape"},
	{"a = \"\\x00\";", "n=!?;.", 1, "unknown escape"},
	{"a = \"\\x4\";", "n=!?;.", 1, "unknown escape"},
	{"a = \"\\\"", "n=!?.", 1, "is not closed"},
	{"\n/* a\n\n", "!.", 2, "never ends"},
	{"a = {\n b = 1;\n", "n={n=i;!.", 3, "inside the '{' opened at line 1"},
	{"a = (\n {\n );\n b = 1;", "n=({!.", 3, "to close the '{' opened at line 2"},
	{"};", "!.", 1, "closes nothing"},
	{"a = 1 @include \"x\"", "n=i!#nt.", 1, "'@' cannot stand here"},
	{"@include x\na = 1", "!#n=i.", 1, "needs a path in quotes"},
	{"@include \"x\na = 1", "!#n=i.", 1, "not closed on its line"},
	{"a = 1 \x01\x01 b", "n=i!#.", 1, "byte 0x01"},
	{"\xc3\xa4 = 1", "!#.", 1, "byte 0xc3"},
};

START_TEST(a_mistake_is_told_where_it_is_and_scanning_goes_on)
{
	struct fault why = {0};
	int line = 0;

	ck_assert_str_eq(spell(bad[_i].text, 0, &why, &line), bad[_i].spelt);
	ck_assert_int_eq(line, bad[_i].line);
	ck_assert_msg(strstr(why.text, bad[_i].sentence) != NULL, "%s", why.text);
}
END_TEST

START_TEST(an_included_part_knows_in_which_bracket_it_stands)
{
	struct fault why;
	int line = 0;

	ck_assert_str_eq(spell("a = 1;", '{', &why, &line), "n=i;.");
	ck_assert_str_eq(spell("a, 1", '[', &why, &line), "!?;i.");
	ck_assert_str_eq(spell("{ a = 1; }, { }", '(', &why, &line), "{n=i;};{}.");
	ck_assert_str_eq(spell("}", '{', &why, &line), "!.");
}
END_TEST

START_TEST(brackets_have_a_depth)
{
	char text[2 * SCAN_DEPTH_MAX + 3] = "";
	char spelt[sizeof(text) + 1];
	struct fault why;
	int line = 0;

	memset(text, '(', SCAN_DEPTH_MAX);
	memset(text + SCAN_DEPTH_MAX, ')', SCAN_DEPTH_MAX);
	(void)snprintf(spelt, sizeof(spelt), "%s.", text);
	ck_assert_str_eq(spell(text, 0, &why, &line), spelt);

	memset(text, '(', SCAN_DEPTH_MAX + 1);
	text[SCAN_DEPTH_MAX + 1] = '\0';
	(void)snprintf(spelt, sizeof(spelt), "%.*s!.", SCAN_DEPTH_MAX, text);
	ck_assert_str_eq(spell(text, 0, &why, &line), spelt);
}
END_TEST

START_TEST(a_zero_byte_does_not_end_the_text_unseen)
{
	static const char text[] = "a = 1;\0b = 2;";
	struct scan scan;
	struct token token;
	struct fault why;
	int faults = 0;

	scan_init(&scan, text, sizeof(text) - 1, 0);
	do {
		faults += scan_next(&scan, &token, &why) < 0 ? 1 : 0;
	} while (token.kind != TOKEN_END);
	ck_assert_int_eq(faults, 1);
	ck_assert_ptr_nonnull(strstr(why.text, "byte 0x00"));
}
END_TEST

START_TEST(a_number_has_its_value)
{
	static const struct {
		const char *text;
		int64_t number;
	} numbers[] = {{"a=0", 0}, {"a=0L", 0}, {"a=-7", -7}, {"a=+7", 7},
		{"a=3000000000", 3000000000}, {"a=0xFFFFFFFF", 4294967295},
		{"a=9223372036854775807", INT64_MAX}, {"a=-9223372036854775808", INT64_MIN}};
	struct scan scan;
	struct token token = {0};
	struct fault why;

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		scan_init(&scan, numbers[i].text, strlen(numbers[i].text), 0);
		for (int word = 0; word < 3; word++) {
			ck_assert_int_eq(scan_next(&scan, &token, &why), 0);
		}
		ck_assert_int_eq(token.number, numbers[i].number);
	}
}
END_TEST

START_TEST(a_text_has_its_bytes)
{
	static const struct {
		const char *text, *bytes;
	} texts[] = {{"a=\"\"", ""}, {"a=\"x y\"", "x y"},
		{"a=\"\\\\\\\"\\a\\b\\f\\n\\r\\t\\v\"", "\\\"\a\b\f\n\r\t\v"},
		{"a=\"\\x41\\XfF1\"", "A\xff"
				      "1"},
		{"a=\"\xc3\xa4\"", "\xc3\xa4"}};
	struct scan scan;
	struct token token = {0};
	struct fault why;
	char *bytes;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		scan_init(&scan, texts[i].text, strlen(texts[i].text), 0);
		for (int word = 0; word < 3; word++) {
			ck_assert_int_eq(scan_next(&scan, &token, &why), 0);
		}
		bytes = scan_unescape(&token);
		ck_assert_str_eq(bytes, texts[i].bytes);
		free(bytes);
	}
}
END_TEST

UNIT_TESTS("config_scan",
	   tcase_add_loop_test(tests, a_good_text_is_cut_into_its_words, 0, ARRAY_LEN(good));
	   tcase_add_loop_test(
		   tests, a_mistake_is_told_where_it_is_and_scanning_goes_on, 0, ARRAY_LEN(bad));
	   tcase_add_test(tests, an_included_part_knows_in_which_bracket_it_stands);
	   tcase_add_test(tests, brackets_have_a_depth);
	   tcase_add_test(tests, a_zero_byte_does_not_end_the_text_unseen);
	   tcase_add_test(tests, a_number_has_its_value);
	   tcase_add_test(tests, a_text_has_its_bytes);)
