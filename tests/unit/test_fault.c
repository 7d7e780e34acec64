#include "common/fault.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/run.h"

START_TEST(a_fault_is_a_code_and_a_sentence_with_the_words_of_the_error)
{
	struct fault why;

	ck_assert_int_eq(fault_set(&why, EADDRINUSE, "cannot bind %s", "*:80"), -EADDRINUSE);
	ck_assert_int_eq(why.code, -EADDRINUSE);
	ck_assert_str_eq(why.text, "cannot bind *:80: Address already in use");
}
END_TEST

START_TEST(a_sentence_that_says_it_all_stays_as_it_is)
{
	struct fault why;

	ck_assert_int_eq(fault_say(&why, EINVAL, "port %d out of range", 70000), -EINVAL);
	ck_assert_int_eq(why.code, -EINVAL);
	ck_assert_str_eq(why.text, "port 70000 out of range");
}
END_TEST

START_TEST(nobody_has_to_want_the_sentence)
{
	ck_assert_int_eq(fault_set(NULL, ENOENT, "no %s", "file"), -ENOENT);
	ck_assert_int_eq(fault_say(NULL, ENOENT, "no %s", "file"), -ENOENT);
}
END_TEST

START_TEST(a_second_fault_replaces_the_first)
{
	struct fault why;

	ck_assert_int_eq(fault_set(&why, ENOENT, "a long sentence about the first"), -ENOENT);
	ck_assert_int_eq(fault_say(&why, EACCES, "second"), -EACCES);
	ck_assert_int_eq(why.code, -EACCES);
	ck_assert_str_eq(why.text, "second");
}
END_TEST

START_TEST(a_sentence_that_is_too_long_is_cut_at_the_end)
{
	char text[2000];
	struct {
		struct fault why;
		char guard;
	} guarded = {.guard = 'g'};

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	ck_assert_int_eq(fault_set(&guarded.why, EIO, "%s", text), -EIO);
	ck_assert_uint_eq(strlen(guarded.why.text), sizeof(guarded.why.text) - 1);
	ck_assert_int_eq(guarded.guard, 'g');
}
END_TEST

UNIT_TESTS("fault",
	   tcase_add_test(tests, a_fault_is_a_code_and_a_sentence_with_the_words_of_the_error);
	   tcase_add_test(tests, a_sentence_that_says_it_all_stays_as_it_is);
	   tcase_add_test(tests, nobody_has_to_want_the_sentence);
	   tcase_add_test(tests, a_second_fault_replaces_the_first);
	   tcase_add_test(tests, a_sentence_that_is_too_long_is_cut_at_the_end);)
