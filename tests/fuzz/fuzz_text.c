/* The parsers of numbers, durations and sizes, escaping, and the search for what was meant. */
#include "common/text.h"

#include <errno.h>
#include <string.h>

#include "common/defs.h"
#include "tests/fuzz/fuzz.h"

#define UNTOUCHED INT64_C(0x5a5a5a5a5a5a5a5a)

static void
promise_printable(const struct text *text)
{
	PROMISE(text->len < text->size);
	PROMISE(strlen(text->at) == text->len);
	for (size_t i = 0; i < text->len; i++) {
		PROMISE(text->at[i] >= ' ' && text->at[i] <= '~');
	}
}

struct parser {
	int (*parse)(const char *string, int64_t *value);
	void (*print)(struct text *text, int64_t value);
	void (*add_error)(struct text *text, const char *string);
};

static const struct parser parsers[] = {
	{text_parse_duration_ms, text_add_duration_ms, text_add_duration_error},
	{text_parse_size, text_add_size, text_add_size_error},
};

static void
check_parser(const struct parser *parser, const char *string)
{
	char buffer[256];
	struct text text;
	int64_t value = UNTOUCHED, again;
	int result = parser->parse(string, &value);

	text_init(&text, buffer, sizeof(buffer));
	if (result != 0) {
		PROMISE(result == -EINVAL || result == -ERANGE);
		PROMISE(value == UNTOUCHED);
		parser->add_error(&text, string);
		promise_printable(&text);
		PROMISE(text.len > 0);
		return;
	}
	PROMISE(value >= 0);
	parser->print(&text, value);
	PROMISE(!text.is_cut);
	PROMISE(parser->parse(buffer, &again) == 0);
	PROMISE(again == value);
}

static void
check_number(const char *string)
{
	char buffer[64];
	struct text text;
	int64_t value = UNTOUCHED, again;
	int result = text_parse_number(string, &value);

	if (result != 0) {
		PROMISE(result == -EINVAL || result == -ERANGE);
		PROMISE(value == UNTOUCHED);
		return;
	}
	text_init(&text, buffer, sizeof(buffer));
	text_add(&text, "%lld", (long long)value);
	PROMISE(text_parse_number(buffer, &again) == 0);
	PROMISE(again == value);
	text_init(&text, buffer, sizeof(buffer));
	text_add_span_ms(&text, value);
	promise_printable(&text);
	PROMISE(!text.is_cut);
}

/* The first byte says how much room there is. */
static void
check_escaping(const uint8_t *data, size_t size)
{
	size_t room = size == 0 ? 1 : (size_t)data[0] + 1;
	char *buffer = malloc(room);
	struct text text;

	PROMISE(buffer != NULL);
	text_init(&text, buffer, room);
	text_add_escaped(&text, data, size);
	promise_printable(&text);
	PROMISE(text.is_cut || text.len >= size);
	PROMISE(memchr(buffer, '"', text.len) == NULL);
	text_init(&text, buffer, room);
	text_add_printable(&text, data, size);
	promise_printable(&text);
	PROMISE(text.is_cut || text.len >= size);
	free(buffer);
}

static void
check_closest(const char *string)
{
	const char *const candidates[] = {"listeners", string, "user", ""};
	const char *closest = text_closest(string, candidates, ARRAY_LEN(candidates));
	size_t len = strlen(string);

	/* Nothing is closer to a word than itself. */
	PROMISE(len == 0 || len > TEXT_CLOSEST_MAX || closest == string ||
		(closest != NULL && strlen(closest) == len));
	closest = text_closest("keepalive", candidates, ARRAY_LEN(candidates));
	PROMISE(closest == NULL || closest == string);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *string = malloc(size + 1);

	PROMISE(string != NULL);
	if (size > 0) {
		memcpy(string, data, size);
	}
	string[size] = '\0';
	check_number(string);
	for (size_t i = 0; i < ARRAY_LEN(parsers); i++) {
		check_parser(&parsers[i], string);
	}
	check_escaping(data, size);
	check_closest(string);
	free(string);
	return 0;
}
