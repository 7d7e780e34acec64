/* What it said decides only when it has ended well: a program that crashes after its last word has
 * not shown that it can. */
#include "master/upgrade_verdict.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "common/text.h"

/* @return whether the last line is the word; it is taken off */
static bool
take_word(char *words)
{
	size_t len = strlen(words), word = strlen(UPGRADE_WORD);

	if (len < word + 1 || strcmp(words + len - word - 1, UPGRADE_WORD "\n") != 0 ||
		(len > word + 1 && words[len - word - 2] != '\n')) {
		return false;
	}
	words[len - word - 1] = '\0';
	return true;
}

bool
upgrade_judge(const struct upgrade_evidence *evidence, struct text *sentence)
{
	bool has_word = take_word(evidence->words);
	int status = evidence->status;

	if (evidence->unborn[0] != '\0') {
		text_add(sentence, "it %s", evidence->unborn);
	} else if (evidence->timeout_ms > 0) {
		text_add(sentence, "it was not ready after ");
		text_add_span_ms(sentence, evidence->timeout_ms);
		text_add(sentence, " (upgrade_timeout) and was killed");
	} else if (WIFSIGNALED(status)) {
		text_add(sentence, "its check was killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
	} else if (WEXITSTATUS(status) != 0) {
		text_add(sentence, "its check ended with status %d", WEXITSTATUS(status));
	} else if (!has_word) {
		text_add(sentence, "it ended with status 0 and did not say that it can take over: "
				   "is it an acceptd?");
	} else {
		return true;
	}
	return false;
}
