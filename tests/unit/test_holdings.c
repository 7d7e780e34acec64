#include "master/holdings.h"

#include <errno.h>

#include "tests/unit/run.h"

static struct holdings holdings;

static void
setup(void)
{
	uint32_t i;

	holdings_fini(&holdings);
	for (i = 0; i < 41; i++) { /* 0 to 40 in no order, each twice */
		ck_assert_int_eq(holdings_add(&holdings, i * 17 % 41), 0);
		ck_assert_int_eq(holdings_add(&holdings, i * 17 % 41), 0);
	}
	ck_assert_uint_eq(holdings.count, 41);
}

START_TEST(holdings_know_who_has_a_socket)
{
	setup();
	ck_assert(!holdings_anybody_has(&holdings, 7));
	holdings_give(&holdings, 7, 0);
	holdings_give(&holdings, 7, 1023);
	ck_assert(holdings_slot_has(&holdings, 7, 1023));
	ck_assert(!holdings_slot_has(&holdings, 7, 1));
	ck_assert(!holdings_anybody_has(&holdings, 8));
	holdings_forget_slot(&holdings, 1023);
	ck_assert(!holdings_slot_has(&holdings, 7, 1023));
	ck_assert(holdings_anybody_has(&holdings, 7));
}
END_TEST

START_TEST(holdings_end_when_every_holder_has_answered)
{
	uint32_t number = 0;

	setup();
	holdings_give(&holdings, 7, 0);
	holdings_give(&holdings, 7, 1);
	ck_assert(!holdings_next_release(&holdings, 0, &number));
	holdings_recall(&holdings, 7, true);
	ck_assert(holdings_next_release(&holdings, 0, &number));
	ck_assert_uint_eq(number, 7);
	ck_assert(!holdings_next_release(&holdings, 0, &number)); /* asked once */
	ck_assert(holdings_next_release(&holdings, 1, &number));
	ck_assert(!holdings_next_release(&holdings, 2, &number)); /* never had it */
	ck_assert_int_eq(holdings_released(&holdings, 7, 0), 0);
	ck_assert(holdings_anybody_has(&holdings, 7));
	ck_assert_int_eq(holdings_released(&holdings, 7, 1), 0);
	ck_assert(!holdings_anybody_has(&holdings, 7));
}
END_TEST

START_TEST(holdings_refuse_answers_to_no_question)
{
	uint32_t number;

	setup();
	holdings_give(&holdings, 7, 0);
	ck_assert_int_eq(holdings_released(&holdings, 7, 0), -EPROTO);
	ck_assert_int_eq(holdings_released(&holdings, 99, 0), -EPROTO);
	holdings_recall(&holdings, 7, true);
	ck_assert(holdings_next_release(&holdings, 0, &number));
	ck_assert_int_eq(holdings_released(&holdings, 7, 1), -EPROTO);
	ck_assert_int_eq(holdings_released(&holdings, 7, 0), 0);
	ck_assert_int_eq(holdings_released(&holdings, 7, 0), -EPROTO);
}
END_TEST

START_TEST(holdings_of_a_worker_born_late_are_recalled_too)
{
	uint32_t number = 0;

	setup();
	holdings_recall(&holdings, 7, true);
	holdings_give(&holdings, 7, 5);
	ck_assert(holdings_next_release(&holdings, 5, &number));
	ck_assert_uint_eq(number, 7);
}
END_TEST

START_TEST(holdings_survive_a_socket_that_is_taken_back_before_the_answer)
{
	uint32_t number = 0;

	setup();
	holdings_give(&holdings, 7, 0);
	holdings_recall(&holdings, 7, true);
	ck_assert(holdings_next_release(&holdings, 0, &number));
	ck_assert(!holdings_slot_has(&holdings, 7, 0));
	holdings_recall(&holdings, 7, false); /* a reload wants it again, and sends it again */
	holdings_give(&holdings, 7, 0);
	ck_assert_int_eq(holdings_released(&holdings, 7, 0), 0); /* the answer of before */
	ck_assert(holdings_slot_has(&holdings, 7, 0));
}
END_TEST

START_TEST(holdings_ask_again_only_after_the_first_answer)
{
	uint32_t number = 0;

	setup();
	holdings_give(&holdings, 7, 0);
	holdings_recall(&holdings, 7, true);
	ck_assert(holdings_next_release(&holdings, 0, &number));
	holdings_give(&holdings, 7, 0);
	ck_assert(!holdings_next_release(&holdings, 0, &number));
	ck_assert_int_eq(holdings_released(&holdings, 7, 0), 0);
	ck_assert(holdings_next_release(&holdings, 0, &number));
}
END_TEST

START_TEST(holdings_sweep_keeps_what_somebody_has)
{
	uint32_t number = 0;

	setup();
	holdings_give(&holdings, 7, 0);
	holdings_give(&holdings, 9, 3);
	holdings_recall(&holdings, 9, true);
	ck_assert(holdings_next_release(&holdings, 3, &number));
	holdings_sweep(&holdings);
	ck_assert_uint_eq(holdings.count, 2);
	ck_assert(holdings_slot_has(&holdings, 7, 0));
	ck_assert_int_eq(holdings_released(&holdings, 9, 3), 0);
	holdings_fini(&holdings);
	ck_assert_uint_eq(holdings.count, 0);
}
END_TEST

START_TEST(holdings_go_on_from_what_another_knew)
{
	struct holding row = {.number = 41, .is_recalled = true, .has = {[1] = 2}, .leaves = {1}};
	uint32_t number = 0;

	setup();
	ck_assert_int_eq(holdings_restore(&holdings, &row), 0);
	ck_assert(holdings_slot_has(&holdings, 41, 65));
	ck_assert_int_eq(holdings_released(&holdings, 41, 0), 0);
	ck_assert(holdings_next_release(&holdings, 65, &number));
	ck_assert_uint_eq(number, 41);
	ck_assert_int_eq(holdings_released(&holdings, 41, 65), 0);
	ck_assert(!holdings_anybody_has(&holdings, 41));
}
END_TEST

UNIT_TESTS("holdings", tcase_add_test(tests, holdings_know_who_has_a_socket);
	   tcase_add_test(tests, holdings_end_when_every_holder_has_answered);
	   tcase_add_test(tests, holdings_refuse_answers_to_no_question);
	   tcase_add_test(tests, holdings_of_a_worker_born_late_are_recalled_too);
	   tcase_add_test(tests, holdings_survive_a_socket_that_is_taken_back_before_the_answer);
	   tcase_add_test(tests, holdings_ask_again_only_after_the_first_answer);
	   tcase_add_test(tests, holdings_sweep_keeps_what_somebody_has);
	   tcase_add_test(tests, holdings_go_on_from_what_another_knew);)
