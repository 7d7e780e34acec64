/* A writer only: requests are words, so nothing here or elsewhere parses JSON. */
#include "common/json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>

void
json_init(struct json *json, FILE *stream)
{
	*json = (struct json){.stream = stream};
}

/* Length of the UTF-8 sequence at `at`, 0 if it is none (overlong forms and surrogates included).
 */
static size_t
utf8_length(const unsigned char *at)
{
	size_t len = at[0] < 0x80    ? 1
		     : at[0] >= 0xf0 ? 4
		     : at[0] >= 0xe0 ? 3
		     : at[0] >= 0xc2 ? 2
				     : 0;
	size_t i;

	if (len == 0 || at[0] > 0xf4) {
		return 0;
	}
	for (i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
		(at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f)) {
		return 0;
	}
	return len;
}

static void
json_write_escaped(FILE *stream, const char *string)
{
	const unsigned char *at = (const unsigned char *)string;
	size_t len;

	fputc('"', stream);
	while (*at != '\0') {
		len = utf8_length(at);
		if (*at == '"' || *at == '\\') {
			fprintf(stream, "\\%c", *at);
		} else if (*at < 0x20 || *at == 0x7f) {
			fprintf(stream, "\\u%04x", *at);
		} else if (len == 0) {
			fputs("\\ufffd", stream);
		} else {
			fwrite(at, 1, len, stream);
		}
		at += len == 0 ? 1 : len;
	}
	fputc('"', stream);
}

static void
json_lead(struct json *json, const char *key)
{
	if (json->has_items[json->depth]) {
		fputc(',', json->stream);
	}
	json->has_items[json->depth] = true;
	if (key != NULL) {
		json_write_escaped(json->stream, key);
		fputc(':', json->stream);
	}
}

static void
json_open(struct json *json, const char *key, char bracket)
{
	json_lead(json, key);
	fputc(bracket, json->stream);
	assert(json->depth + 1 < JSON_DEPTH_MAX);
	json->depth++;
	json->has_items[json->depth] = false;
}

static void
json_close(struct json *json, char bracket)
{
	assert(json->depth > 0);
	json->depth--;
	fputc(bracket, json->stream);
	if (json->depth == 0) {
		fputc('\n', json->stream);
	}
}

void
json_object_begin(struct json *json, const char *key)
{
	json_open(json, key, '{');
}

void
json_object_end(struct json *json)
{
	json_close(json, '}');
}

void
json_array_begin(struct json *json, const char *key)
{
	json_open(json, key, '[');
}

void
json_array_end(struct json *json)
{
	json_close(json, ']');
}

void
json_string(struct json *json, const char *key, const char *value)
{
	if (value == NULL) {
		json_null(json, key);
		return;
	}
	json_lead(json, key);
	json_write_escaped(json->stream, value);
}

void
json_unsigned(struct json *json, const char *key, uint64_t value)
{
	json_lead(json, key);
	fprintf(json->stream, "%" PRIu64, value);
}

void
json_signed(struct json *json, const char *key, int64_t value)
{
	json_lead(json, key);
	fprintf(json->stream, "%" PRId64, value);
}

void
json_real(struct json *json, const char *key, double value)
{
	if (!isfinite(value)) {
		json_null(json, key);
		return;
	}
	json_lead(json, key);
	fprintf(json->stream, "%.3f", value);
}

void
json_bool(struct json *json, const char *key, bool value)
{
	json_lead(json, key);
	fputs(value ? "true" : "false", json->stream);
}

void
json_null(struct json *json, const char *key)
{
	json_lead(json, key);
	fputs("null", json->stream);
}
