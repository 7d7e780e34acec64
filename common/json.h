/* Writes JSON to a stream, nothing else: keys and strings escaped, commas and nesting kept right.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/defs.h"

#define JSON_DEPTH_MAX 16

struct json {
	FILE *stream; /* borrowed; its error flag tells about failures */
	int depth;
	bool has_items[JSON_DEPTH_MAX];
};

void json_init(struct json *json, FILE *stream);

/* Inside an object every value has a key; inside an array, and at the top, the key is NULL. */
void json_object_begin(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array_begin(struct json *json, const char *key);
void json_array_end(struct json *json);
/** Bytes that are not UTF-8 are written as U+FFFD, so the output is always valid. NULL is null. */
void json_string(struct json *json, const char *key, const char *value);
void json_unsigned(struct json *json, const char *key, uint64_t value);
void json_signed(struct json *json, const char *key, int64_t value);
/** Three decimals; not a number and infinities become null. */
void json_real(struct json *json, const char *key, double value);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
