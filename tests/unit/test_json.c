#include "common/json.h"

#include <math.h>
#include <string.h>

#include "common/defs.h"
#include "tests/unit/run.h"

static char *written;
static size_t written_len;
static FILE *stream;
static struct json json;

static void
begin(void)
{
	stream = open_memstream(&written, &written_len);
	json_init(&json, stream);
}

static const char *
finish(void)
{
	fclose(stream);
	return written;
}

START_TEST(nesting_gets_its_commas)
{
	begin();
	json_object_begin(&json, NULL);
	json_unsigned(&json, "a", 18446744073709551615u);
	json_array_begin(&json, "b");
	json_signed(&json, NULL, -1);
	json_bool(&json, NULL, true);
	json_object_begin(&json, NULL);
	json_object_end(&json);
	json_array_end(&json);
	json_null(&json, "c");
	json_object_end(&json);
	ck_assert_str_eq(finish(), "{\"a\":18446744073709551615,\"b\":[-1,true,{}],\"c\":null}\n");
	free(written);
}
END_TEST

static const struct {
	const char *bytes;
	const char *want;
} strings[] = {
	{"plain", "\"plain\""},
	{"quote\" back\\", "\"quote\\\" back\\\\\""},
	{"line\nbell\a\x7f", "\"line\\u000abell\\u0007\\u007f\""},
	{"\xc3\xa9", "\"\xc3\xa9\""},
	{"\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\""},
	{"\xff", "\"\\ufffd\""},
	{"\xc0\x80", "\"\\ufffd\\ufffd\""},
	{"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
	{"cut \xe2\x82", "\"cut \\ufffd\\ufffd\""},
	{"", "\"\""},
};

START_TEST(strings_are_escaped_and_always_valid)
{
	begin();
	json_string(&json, NULL, strings[_i].bytes);
	ck_assert_str_eq(finish(), strings[_i].want);
	free(written);
}
END_TEST

START_TEST(reals_that_are_no_numbers_become_null)
{
	begin();
	json_array_begin(&json, NULL);
	json_real(&json, NULL, 1.5);
	json_real(&json, NULL, (double)NAN);
	json_real(&json, NULL, (double)INFINITY);
	json_array_end(&json);
	ck_assert_str_eq(finish(), "[1.500,null,null]\n");
	free(written);
}
END_TEST

UNIT_TESTS("json", tcase_add_test(tests, nesting_gets_its_commas); tcase_add_loop_test(
	tests, strings_are_escaped_and_always_valid, 0, (int)ARRAY_LEN(strings));
	   tcase_add_test(tests, reals_that_are_no_numbers_become_null);)
