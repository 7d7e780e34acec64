/* The main() of every unit test: one Check suite per program. */
#pragma once

#include <check.h>
#include <stdlib.h>

/** Run a suite of one test case and exit with 0 only if every test passed.
 *  UNIT_TESTS("text", tcase_add_test(tests, a_claim); ...) defines main(). */
#define UNIT_TESTS(name, ...)                                                                      \
	int main(void)                                                                             \
	{                                                                                          \
		Suite *suite = suite_create(name);                                                 \
		TCase *tests = tcase_create(name);                                                 \
		SRunner *runner;                                                                   \
		int failed;                                                                        \
                                                                                                   \
		tcase_set_timeout(tests, 30);                                                      \
		__VA_ARGS__                                                                        \
		suite_add_tcase(suite, tests);                                                     \
		runner = srunner_create(suite);                                                    \
		srunner_run_all(runner, CK_NORMAL);                                                \
		failed = srunner_ntests_failed(runner);                                            \
		srunner_free(runner);                                                              \
		return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;                                  \
	}
