#include "master/upgrade_verdict.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/defs.h"
#include "common/text.h"
#include "tests/unit/run.h"

static const struct {
	int status;
	const char *unborn, *words;
	int64_t timeout_ms;
	const char *sentence; /* NULL: it may take over */
	const char *left;     /* of the words */
} cases[] = {
	{0, "", UPGRADE_WORD "\n", 0, NULL, ""},
	{0, "", "a warning\n" UPGRADE_WORD "\n", 0, NULL, "a warning\n"},
	{0, "", "", 0,
		"it ended with status 0 and did not say that it can take over: is it an "
		"acceptd?",
		""},
	/* the word is a line of its own, the last one, and whole */
	{0, "", "no " UPGRADE_WORD "\n", 0, "did not say", "no " UPGRADE_WORD "\n"},
	{0, "", UPGRADE_WORD "\nbut\n", 0, "did not say", UPGRADE_WORD "\nbut\n"},
	{0, "", UPGRADE_WORD, 0, "did not say", UPGRADE_WORD},
	/* the word does not help who ends badly */
	{W_EXITCODE(1, 0), "", UPGRADE_WORD "\n", 0, "its check ended with status 1", ""},
	{W_EXITCODE(127, 0), "", "libev.so.4: not found\n", 0, "its check ended with status 127",
		"libev.so.4: not found\n"},
	{SIGSEGV, "", "", 0, "its check was killed by SIGSEGV", ""},
	{SIGKILL, "", "", 60000, "it was not ready after 60 s (upgrade_timeout) and was killed",
		""},
	/* it ended well, but too late */
	{0, "", UPGRADE_WORD "\n", 1500, "it was not ready after 1.5 s (upgrade_timeout)", ""},
	{W_EXITCODE(125, 0), "cannot execute its program: Exec format error", "", 0,
		"it cannot execute its program: Exec format error", ""},
};

START_TEST(only_who_ends_well_and_says_the_word_may_take_over)
{
	char words[256], buffer[256];
	struct upgrade_evidence evidence = {.status = cases[_i].status,
		.unborn = cases[_i].unborn,
		.timeout_ms = cases[_i].timeout_ms,
		.words = words};
	struct text sentence;
	bool may;

	(void)snprintf(words, sizeof(words), "%s", cases[_i].words);
	text_init(&sentence, buffer, sizeof(buffer));
	may = upgrade_judge(&evidence, &sentence);
	ck_assert_int_eq(may, cases[_i].sentence == NULL);
	ck_assert_str_eq(words, cases[_i].left);
	if (!may) {
		ck_assert_msg(strstr(buffer, cases[_i].sentence) != NULL, "%s", buffer);
	}
}
END_TEST

UNIT_TESTS("upgrade_verdict",
	   tcase_add_loop_test(tests, only_who_ends_well_and_says_the_word_may_take_over, 0,
		   (int)ARRAY_LEN(cases));)
