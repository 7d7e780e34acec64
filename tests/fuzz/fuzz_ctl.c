/* The command line of acceptctl: one word a line. What is sent is one request, word by word. */
#include "ctl/ctl_options.h"

#include <errno.h>
#include <string.h>

#include "common/fault.h"
#include "tests/fuzz/fuzz.h"

#define WORDS_MAX 64

static void
promise_request(const struct ctl_options *options, char *line)
{
	size_t len = strlen(line);
	char *rest = line;
	const char *word;

	PROMISE(len > 0 && line[len - 1] == '\n');
	line[len - 1] = '\0';
	for (const char *at = line; *at != '\0'; at++) {
		PROMISE((unsigned char)*at >= ' ' && *at != 0x7f);
	}
	for (int i = 0; i < options->word_count; i++) {
		word = strsep(&rest, " ");
		PROMISE(word != NULL && strcmp(word, options->words[i]) == 0);
	}
	while ((word = strsep(&rest, " ")) != NULL) { /* ours, after the words */
		PROMISE(strncmp(word, "--", 2) == 0 || strcmp(word, "0-0") == 0);
	}
}

static void
check_words(int count, char *const *words)
{
	struct ctl_options options;
	struct fault why = {0};
	char line[256];

	if (ctl_options_parse(count, words, &options, &why) != 0) {
		PROMISE(why.text[0] != '\0');
		return;
	}
	PROMISE(options.word_count >= 0 && options.word_count <= CTL_WORDS_MAX);
	PROMISE(options.word_count > 0 || options.wants_help || options.wants_version);
	PROMISE(options.write == NULL || options.write[0] != '\0');
	if (options.wants_help || options.wants_version) {
		return; /* nobody is asked */
	}
	if (ctl_options_write_request(&options, true, 80, line, sizeof(line), &why) == 0) {
		promise_request(&options, line);
	} else {
		PROMISE(why.code == -EINVAL && why.text[0] != '\0');
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	char *words[WORDS_MAX] = {(char *)(uintptr_t) "acceptctl"};
	char *rest = text;
	int count = 1;

	PROMISE(text != NULL);
	if (size > 0) {
		memcpy(text, data, size);
	}
	text[size] = '\0';
	while (rest != NULL && count < WORDS_MAX - 1) {
		words[count++] = strsep(&rest, "\n");
	}
	check_words(count, words);
	free(text);
	return 0;
}
