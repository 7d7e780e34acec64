#include "common/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/run.h"

#define UNTOUCHED INT64_C(-4711)

START_TEST(a_text_grows_to_its_last_byte_and_then_says_that_it_is_cut)
{
	char buffer[8];
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	ck_assert_str_eq(buffer, "");
	text_add(&text, "%s", "1234");
	text_add(&text, "%d", 567);
	ck_assert_str_eq(buffer, "1234567");
	ck_assert(!text.is_cut);
	text_add(&text, "8");
	ck_assert_str_eq(buffer, "1234567");
	ck_assert(text.is_cut);
	ck_assert_uint_eq(text.len, 7);
}
END_TEST

START_TEST(nothing_follows_a_cut)
{
	char buffer[8];
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	text_add(&text, "12345");
	text_add_escaped(&text, "\n", 1); /* four bytes where two are left */
	ck_assert(text.is_cut);
	text_add(&text, "6");
	text_add_escaped(&text, "7", 1);
	ck_assert_str_eq(buffer, "12345");
}
END_TEST

START_TEST(a_text_of_one_byte_holds_nothing)
{
	char buffer[2] = {'x', 'x'};
	struct text text;

	text_init(&text, buffer, 1);
	text_add(&text, "a");
	text_add_escaped(&text, "a", 1);
	ck_assert_str_eq(buffer, "");
	ck_assert_int_eq(buffer[1], 'x');
	ck_assert(text.is_cut);
}
END_TEST

/* One row for each value of a byte. */
START_TEST(every_byte_is_either_printable_or_escaped)
{
	unsigned char byte = (unsigned char)_i;
	bool is_printable = byte >= 0x20 && byte <= 0x7e;
	char escape[8], plain[2] = {(char)byte, '\0'};
	char buffer[8];
	struct text text;

	snprintf(escape, sizeof(escape), "\\x%02x", (unsigned)byte);
	text_init(&text, buffer, sizeof(buffer));
	text_add_escaped(&text, &byte, 1);
	ck_assert_str_eq(buffer, is_printable && byte != '\\' && byte != '"' ? plain : escape);
	text_init(&text, buffer, sizeof(buffer));
	text_add_printable(&text, &byte, 1);
	ck_assert_str_eq(buffer, is_printable ? plain : escape);
}
END_TEST

START_TEST(an_escape_is_never_cut_in_two)
{
	char buffer[16];
	struct text text;
	size_t size;

	for (size = 1; size <= sizeof(buffer); size++) {
		text_init(&text, buffer, size);
		text_add_escaped(&text, "\r\n\033\0", 4);
		ck_assert_uint_eq(text.len % 4, 0);
		ck_assert_uint_eq(text.len, (size - 1) / 4 * 4);
		ck_assert_uint_eq(strlen(buffer), text.len);
		ck_assert(text.is_cut);
	}
}
END_TEST

static const struct {
	const char *string;
	int result;
	int64_t number;
} numbers[] = {
	{"0", 0, 0}, {"-0", 0, 0}, {"7", 0, 7}, {"-7", 0, -7}, {"0010", 0, 10}, {"65535", 0, 65535},
	{"9223372036854775807", 0, INT64_MAX}, {"-9223372036854775807", 0, -INT64_MAX},
	{"-9223372036854775808", 0, INT64_MIN}, {"-009223372036854775808", 0, INT64_MIN},
	{"9223372036854775808", -ERANGE, 0}, {"-9223372036854775809", -ERANGE, 0},
	{"18446744073709551616", -ERANGE, 0}, {"18446744073709551617", -ERANGE, 0},
	{"99999999999999999999999999999999999999", -ERANGE, 0}, {"", -EINVAL, 0}, {"-", -EINVAL, 0},
	{"--1", -EINVAL, 0}, {"+1", -EINVAL, 0}, {" 1", -EINVAL, 0}, {"1 ", -EINVAL, 0},
	{"1\n", -EINVAL, 0}, {"0x10", -EINVAL, 0}, {"1e3", -EINVAL, 0}, {"1.5", -EINVAL, 0},
	{"1,000", -EINVAL, 0}, {"10k", -EINVAL, 0}, {"auto", -EINVAL, 0},
	{"99999999999999999999x", -EINVAL, 0},
	{"\xd9\xa3", -EINVAL, 0}, /* a digit, but an Arabic one */
};

START_TEST(a_number_is_digits_and_nothing_else)
{
	int64_t number = UNTOUCHED;

	ck_assert_int_eq(text_parse_number(numbers[_i].string, &number), numbers[_i].result);
	ck_assert_int_eq(number, numbers[_i].result == 0 ? numbers[_i].number : UNTOUCHED);
}
END_TEST

static const struct {
	const char *string;
	int result;
	int64_t duration_ms;
	const char *error; /* for a person */
} durations[] = {
	{"0", 0, 0, NULL},
	{"000", 0, 0, NULL},
	{"0s", 0, 0, NULL},
	{"250ms", 0, 250, NULL},
	{"30s", 0, 30000, NULL},
	{"10m", 0, 600000, NULL},
	{"2h", 0, 7200000, NULL},
	{"1d", 0, 86400000, NULL},
	{"9223372036854775807ms", 0, INT64_MAX, NULL},
	{"9223372036854775s", 0, INT64_C(9223372036854775000), NULL},
	{"9223372036854776s", -ERANGE, 0, "the value is too large; allowed: ms s m h d"},
	{"9223372036854775808ms", -ERANGE, 0, "the value is too large; allowed: ms s m h d"},
	{"106751991168d", -ERANGE, 0, "the value is too large; allowed: ms s m h d"},
	{"5x", -EINVAL, 0, "unknown unit 'x'; allowed: ms s m h d"},
	{"5M", -EINVAL, 0, "unknown unit 'M'; allowed: ms s m h d"},
	{"5sec", -EINVAL, 0, "unknown unit 'sec'; allowed: ms s m h d"},
	{"5 s", -EINVAL, 0, "unknown unit ' s'; allowed: ms s m h d"},
	{"1h30m", -EINVAL, 0, "unknown unit 'h30m'; allowed: ms s m h d"},
	{"1.5s", -EINVAL, 0, "unknown unit '.5s'; allowed: ms s m h d"},
	{"5s\n", -EINVAL, 0, "unknown unit 's\\x0a'; allowed: ms s m h d"},
	{"99999999999999999999x", -EINVAL, 0, "unknown unit 'x'; allowed: ms s m h d"},
	{"30", -EINVAL, 0, "the unit is missing; allowed: ms s m h d"},
	{"99999999999999999999", -EINVAL, 0, "the unit is missing; allowed: ms s m h d"},
	{"-5s", -EINVAL, 0, "negative value; allowed: ms s m h d"},
	{"-0", -EINVAL, 0, "negative value; allowed: ms s m h d"},
	{"", -EINVAL, 0, "'' does not begin with a number; allowed: ms s m h d"},
	{"s", -EINVAL, 0, "'s' does not begin with a number; allowed: ms s m h d"},
	{"+5s", -EINVAL, 0, "'+5s' does not begin with a number; allowed: ms s m h d"},
	{" 5s", -EINVAL, 0, "' 5s' does not begin with a number; allowed: ms s m h d"},
	{"\033[2J", -EINVAL, 0, "'\\x1b[2J' does not begin with a number; allowed: ms s m h d"},
};

START_TEST(a_duration_is_one_number_and_one_unit)
{
	int64_t duration_ms = UNTOUCHED;
	char buffer[128];
	struct text text;

	ck_assert_int_eq(
		text_parse_duration_ms(durations[_i].string, &duration_ms), durations[_i].result);
	if (durations[_i].error == NULL) {
		ck_assert_int_eq(duration_ms, durations[_i].duration_ms);
		return;
	}
	ck_assert_int_eq(duration_ms, UNTOUCHED);
	text_init(&text, buffer, sizeof(buffer));
	text_add_duration_error(&text, durations[_i].string);
	ck_assert_str_eq(buffer, durations[_i].error);
}
END_TEST

static const struct {
	const char *string;
	int result;
	int64_t bytes;
	const char *error;
} sizes[] = {
	{"0", 0, 0, NULL},
	{"0K", 0, 0, NULL},
	{"512", 0, 512, NULL},
	{"512B", 0, 512, NULL},
	{"64K", 0, 65536, NULL},
	{"64KB", 0, 65536, NULL},
	{"64KiB", 0, 65536, NULL},
	{"1M", 0, 1048576, NULL},
	{"2G", 0, INT64_C(2147483648), NULL},
	{"1T", 0, INT64_C(1099511627776), NULL},
	{"1TiB", 0, INT64_C(1099511627776), NULL},
	{"9223372036854775807", 0, INT64_MAX, NULL},
	{"8388607T", 0, INT64_C(8388607) << 40, NULL},
	{"8388608T", -ERANGE, 0, "the value is too large; allowed: B K M G T"},
	{"9223372036854775808", -ERANGE, 0, "the value is too large; allowed: B K M G T"},
	{"64k", -EINVAL, 0, "unknown unit 'k'; allowed: B K M G T"},
	{"512iB", -EINVAL, 0, "unknown unit 'iB'; allowed: B K M G T"},
	{"64Ki", -EINVAL, 0, "unknown unit 'Ki'; allowed: B K M G T"},
	{"64KBB", -EINVAL, 0, "unknown unit 'KBB'; allowed: B K M G T"},
	{"64 K", -EINVAL, 0, "unknown unit ' K'; allowed: B K M G T"},
	{"64Kbit", -EINVAL, 0, "unknown unit 'Kbit'; allowed: B K M G T"},
	{"1.5M", -EINVAL, 0, "unknown unit '.5M'; allowed: B K M G T"},
	{"-1", -EINVAL, 0, "negative value; allowed: B K M G T"},
	{"K", -EINVAL, 0, "'K' does not begin with a number; allowed: B K M G T"},
	{"", -EINVAL, 0, "'' does not begin with a number; allowed: B K M G T"},
};

START_TEST(a_size_is_one_number_and_a_power_of_1024)
{
	int64_t bytes = UNTOUCHED;
	char buffer[128];
	struct text text;

	ck_assert_int_eq(text_parse_size(sizes[_i].string, &bytes), sizes[_i].result);
	if (sizes[_i].error == NULL) {
		ck_assert_int_eq(bytes, sizes[_i].bytes);
		return;
	}
	ck_assert_int_eq(bytes, UNTOUCHED);
	text_init(&text, buffer, sizeof(buffer));
	text_add_size_error(&text, sizes[_i].string);
	ck_assert_str_eq(buffer, sizes[_i].error);
}
END_TEST

static const struct {
	int64_t value;
	const char *duration, *size;
} printed[] = {
	{0, "0", "0"},
	{1, "1ms", "1"},
	{1000, "1s", "1000"},
	{1024, "1024ms", "1K"},
	{1536, "1536ms", "1536"},
	{65536, "65536ms", "64K"},
	{60000, "1m", "60000"},
	{90000, "90s", "90000"},
	{600000, "10m", "600000"},
	{3600000, "1h", "3600000"},
	{5400000, "90m", "5400000"},
	{86400000, "1d", "84375K"},
	{90000000, "25h", "90000000"},
	{INT64_C(1) << 62, "4611686018427387904ms", "4194304T"},
	{INT64_MAX, "9223372036854775807ms", "9223372036854775807"},
};

START_TEST(a_value_is_printed_in_its_shortest_exact_form)
{
	char buffer[64];
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	text_add_duration_ms(&text, printed[_i].value);
	ck_assert_str_eq(buffer, printed[_i].duration);
	text_init(&text, buffer, sizeof(buffer));
	text_add_size(&text, printed[_i].value);
	ck_assert_str_eq(buffer, printed[_i].size);
}
END_TEST

static void
round_trip(int64_t value)
{
	char buffer[64];
	struct text text;
	int64_t again = UNTOUCHED;

	text_init(&text, buffer, sizeof(buffer));
	text_add_duration_ms(&text, value);
	ck_assert_int_eq(text_parse_duration_ms(buffer, &again), 0);
	ck_assert_msg(again == value, "%" PRId64 " became %s", value, buffer);
	text_init(&text, buffer, sizeof(buffer));
	text_add_size(&text, value);
	ck_assert_int_eq(text_parse_size(buffer, &again), 0);
	ck_assert_msg(again == value, "%" PRId64 " became %s", value, buffer);
}

START_TEST(what_is_printed_parses_back_to_the_same_value)
{
	static const int64_t factors[] = {1, 1000, 1024, 60000, 3600000, 86400000, 1 << 20};
	uint64_t random = 88172645463325252u;
	size_t i;

	for (i = 0; i < 20000; i++) {
		int64_t value;

		random ^= random << 13; /* xorshift: the same numbers in every run */
		random ^= random >> 7;
		random ^= random << 17;
		value = (int64_t)(random >> (1 + random % 63));
		round_trip(value);
		round_trip(value % 100000 * factors[random % ARRAY_LEN(factors)]);
	}
}
END_TEST

static const struct {
	int64_t span_ms;
	const char *text;
} spans[] = {
	{0, "0 ms"},
	{1, "1 ms"},
	{999, "999 ms"},
	{1000, "1.0 s"},
	{1249, "1.2 s"},
	{1250, "1.3 s"},
	{9949, "9.9 s"},
	{9950, "10 s"},
	{35400, "35 s"},
	{412000, "412 s"},
	{599499, "599 s"},
	{599500, "10 min"},
	{725000, "12 min 5 s"},
	{3599499, "59 min 59 s"},
	{3599500, "1 h"},
	{11520000, "3 h 12 min"},
	{86369999, "23 h 59 min"},
	{86370000, "1 d"},
	{442800000, "5 d 3 h"},
	{-1200, "-1.2 s"},
	{INT64_MAX, "106751991167 d 7 h"},
	{INT64_MIN, "-106751991167 d 7 h"},
};

START_TEST(a_span_is_rounded_to_what_matters)
{
	char buffer[64];
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	text_add_span_ms(&text, spans[_i].span_ms);
	ck_assert_str_eq(buffer, spans[_i].text);
}
END_TEST

static const char *const candidates[] = {"listeners", "listen", "workers", "user", "pid_file",
	"drain_timeout", "idle_timeout", "write_timeout", "max_connections", "keepalive", "log",
	"a_candidate_that_is_longer_than_any_word_which_could_ever_be_meant_by_it"};

static const struct {
	const char *word, *closest;
} words[] = {
	{"lisen", "listen"},      /* left out */
	{"listten", "listen"},    /* added */
	{"lixten", "listen"},     /* changed */
	{"litsen", "listen"},     /* swapped: one mistake */
	{"listner", "listeners"}, /* as near as "listen": the first */
	{"LISTEN", "listen"},     /* case is no mistake */
	{"wrokers", "workers"},
	{"worker", "workers"},
	{"usre", "user"},
	{"usar", "user"},
	{"xsar", NULL}, /* two of four */
	{"maxConnections", "max_connections"},
	{"max-connections", "max_connections"},
	{"idel_timeout", "idle_timeout"},
	{"timeout", NULL}, /* could be any of three */
	{"logs", "log"},
	{"lg", "log"},
	{"xyz", NULL},
	{"x", NULL},
	{"", NULL},
	{"a_word_that_is_longer_than_anything_which_could_ever_be_meant_by_it_", NULL},
};

START_TEST(the_closest_candidate_is_what_was_meant_or_none)
{
	const char *closest = text_closest(words[_i].word, candidates, ARRAY_LEN(candidates));

	if (words[_i].closest == NULL) {
		ck_assert_ptr_null(closest);
	} else {
		ck_assert_ptr_nonnull(closest);
		ck_assert_str_eq(closest, words[_i].closest);
	}
}
END_TEST

START_TEST(a_word_of_which_no_letter_is_left_is_another_word)
{
	static const char *const short_words[] = {"a", "bc"};

	ck_assert_ptr_null(text_closest("x", short_words, ARRAY_LEN(short_words)));
	ck_assert_ptr_null(text_closest("", short_words, ARRAY_LEN(short_words)));
	ck_assert_ptr_eq(text_closest("bx", short_words, ARRAY_LEN(short_words)), short_words[1]);
}
END_TEST

START_TEST(no_candidates_have_no_closest)
{
	ck_assert_ptr_null(text_closest("listen", NULL, 0));
}
END_TEST

UNIT_TESTS(
	"text", tcase_add_test(tests, a_text_grows_to_its_last_byte_and_then_says_that_it_is_cut);
	tcase_add_test(tests, nothing_follows_a_cut);
	tcase_add_test(tests, a_text_of_one_byte_holds_nothing);
	tcase_add_loop_test(tests, every_byte_is_either_printable_or_escaped, 0, 256);
	tcase_add_test(tests, an_escape_is_never_cut_in_two);
	tcase_add_loop_test(tests, a_number_is_digits_and_nothing_else, 0, ARRAY_LEN(numbers));
	tcase_add_loop_test(tests, a_duration_is_one_number_and_one_unit, 0, ARRAY_LEN(durations));
	tcase_add_loop_test(tests, a_size_is_one_number_and_a_power_of_1024, 0, ARRAY_LEN(sizes));
	tcase_add_loop_test(
		tests, a_value_is_printed_in_its_shortest_exact_form, 0, ARRAY_LEN(printed));
	tcase_add_test(tests, what_is_printed_parses_back_to_the_same_value);
	tcase_add_loop_test(tests, a_span_is_rounded_to_what_matters, 0, ARRAY_LEN(spans));
	tcase_add_loop_test(
		tests, the_closest_candidate_is_what_was_meant_or_none, 0, ARRAY_LEN(words));
	tcase_add_test(tests, a_word_of_which_no_letter_is_left_is_another_word);
	tcase_add_test(tests, no_candidates_have_no_closest);)
