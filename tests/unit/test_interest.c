#include "worker/interest.h"

#include <sys/epoll.h>

#include "tests/unit/run.h"

START_TEST(nothing_is_known_of_what_was_never_watched)
{
	ck_assert(!interest_is(-1, EPOLLIN));
	ck_assert(!interest_is(0, EPOLLIN));
	ck_assert(!interest_is(0, 0));
	ck_assert(!interest_is(1 << 20, EPOLLIN));
}
END_TEST

/* Descriptors at both sides of where the memory for them has to grow. */
START_TEST(the_last_note_is_what_is_known)
{
	static const int fds[] = {3, 255, 256, 257, 20000, 4};
	int fd = fds[_i];

	interest_note(fd, EPOLLIN);
	ck_assert(interest_is(fd, EPOLLIN));
	ck_assert(!interest_is(fd, EPOLLIN | EPOLLOUT));
	ck_assert(!interest_is(fd + 1, EPOLLIN));
	interest_note(fd, EPOLLIN | EPOLLOUT);
	ck_assert(interest_is(fd, EPOLLIN | EPOLLOUT));
	ck_assert(!interest_is(fd, EPOLLIN));
	interest_note(fd, 0);
	ck_assert(!interest_is(fd, EPOLLIN | EPOLLOUT));
	ck_assert(!interest_is(fd, 0));
}
END_TEST

START_TEST(others_are_kept_when_the_memory_grows)
{
	interest_note(7, EPOLLOUT);
	interest_note(100000, EPOLLIN);
	ck_assert(interest_is(7, EPOLLOUT));
	ck_assert(interest_is(100000, EPOLLIN));
	ck_assert(!interest_is(99999, EPOLLIN));
}
END_TEST

START_TEST(events_that_do_not_fit_are_not_known)
{
	interest_note(5, EPOLLIN | EPOLLET);
	ck_assert(!interest_is(5, EPOLLIN));
	ck_assert(!interest_is(5, EPOLLIN | EPOLLET));
}
END_TEST

UNIT_TESTS("interest", tcase_add_test(tests, nothing_is_known_of_what_was_never_watched);
	   tcase_add_loop_test(tests, the_last_note_is_what_is_known, 0, 6);
	   tcase_add_test(tests, others_are_kept_when_the_memory_grows);
	   tcase_add_test(tests, events_that_do_not_fit_are_not_known);)
