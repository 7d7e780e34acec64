/* The configuration, from bytes to findings or to a dump that loads as the same again. */
#include <errno.h>
#include <string.h>

#include "common/config.h"
#include "common/config_schema.h"
#include "tests/fuzz/fuzz.h"

static struct findings findings;

static void
promise_findings(int result)
{
	PROMISE(result == 0 || result == -EINVAL);
	PROMISE((result == 0) == (findings.errors == 0));
	PROMISE(findings.count + findings.not_shown ==
		findings.errors + findings.world_errors + findings.warnings);
	for (size_t i = 0; i < findings.count; i++) {
		const char *text = findings.items[i].text;

		PROMISE(text[0] != '\0');
		for (; *text != '\0'; text++) {
			PROMISE(*text >= ' ' && *text <= '~');
		}
	}
}

static int
load(const char *text, struct config **config)
{
	int result;

	memset(&findings, 0, sizeof(findings));
	result = config_load_text(text, "/f.conf", config, &findings);
	promise_findings(result);
	return result;
}

static char *
dump(const struct config *config)
{
	char *text;
	size_t len;

	PROMISE(config_dump_text(config, &text, &len) == 0);
	PROMISE(strlen(text) == len);
	return text;
}

/* Names of options that changed between a configuration and itself: none. */
static void
promise_same(const struct config *a, const struct config *b)
{
	char names[256];

	for (int effect = EFFECT_AT_ONCE; effect <= EFFECT_RESTART; effect++) {
		PROMISE(config_changed(a, b, effect, names, sizeof(names)) == 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct config *config, *again;
	char *first, *second;

	PROMISE(text != NULL);
	if (size > 0) {
		memcpy(text, data, size);
	}
	text[size] = '\0';
	if (load(text, &config) == 0) {
		first = dump(config);
		PROMISE(load(first, &again) == 0);
		second = dump(again);
		PROMISE(strcmp(first, second) == 0);
		promise_same(config, again);
		free(first);
		free(second);
		config_free(&config);
		config_free(&again);
	}
	free(text);
	return 0;
}
