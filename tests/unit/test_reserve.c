#include "build.h"

#include "worker/reserve.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/loop.h"
#include "tests/unit/run.h"

START_TEST(it_allocates_as_realloc_does)
{
	unsigned char *block = reserve_allocate(NULL, 10);

	ck_assert_ptr_nonnull(block);
	block[9] = 7;
	block = reserve_allocate(block, 100000);
	ck_assert_ptr_nonnull(block);
	ck_assert_uint_eq(block[9], 7);
	ck_assert_ptr_null(reserve_allocate(block, 0));
	ck_assert(!reserve_is_used());
}
END_TEST

#ifndef WITH_SANITIZER /* it needs more address space than there is */
static void
limit_memory(rlim_t bytes)
{
	struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};

	(void)setrlimit(RLIMIT_AS, &limit);
}

static rlim_t
memory_now(void)
{
	unsigned long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "re");

	ck_assert_ptr_nonnull(statm);
	ck_assert_int_eq(fscanf(statm, "%lu", &pages), 1);
	(void)fclose(statm);
	return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* Check itself needs memory, so it is asked afterwards. */
START_TEST(the_loop_gets_memory_once_when_there_is_none)
{
	void *volatile taken; /* or the compiler sees that nobody wants it */
	void *none, *some;
	bool was_used;

	reserve_install();
	ck_assert_ptr_nonnull(loop_new());
	limit_memory(memory_now() + (8 << 20));
	do {
		taken = malloc(1 << 16);
	} while (taken != NULL);
	none = malloc(1 << 20);
	was_used = reserve_is_used();
	some = reserve_allocate(NULL, 1 << 20);
	limit_memory(RLIM_INFINITY);
	ck_assert_ptr_null(none);
	ck_assert(!was_used);
	ck_assert_ptr_nonnull(some);
	ck_assert(reserve_is_used());
}
END_TEST
#endif

static void
add_tests_of_want(TCase *tests)
{
#ifndef WITH_SANITIZER
	tcase_add_test(tests, the_loop_gets_memory_once_when_there_is_none);
#else
	(void)tests;
#endif
}

UNIT_TESTS("reserve", tcase_add_test(tests, it_allocates_as_realloc_does);
	   add_tests_of_want(tests);)
