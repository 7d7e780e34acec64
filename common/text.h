/* Bounded formatting; parsing and printing of numbers, sizes and durations. Pure. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/defs.h"

/** A string that grows inside a buffer of the caller and never beyond it. Always terminated;
 *  `is_cut` is set once something did not fit, and nothing is added after that. */
struct text {
	char *at;
	size_t size;
	size_t len;
	bool is_cut;
};

/** Begin an empty text in `buffer` (borrowed for the life of the text, size at least 1). */
void text_init(struct text *text, char *buffer, size_t size);
void text_add(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);
void text_add_args(struct text *text, const char *format, va_list args) PRINTF_LIKE(2, 0);
/** Append bytes from outside: printable ASCII as it is, the rest, backslash and double quote as
 *  \xNN, so that one event stays one line and no terminal is driven by a client. */
void text_add_escaped(struct text *text, const void *bytes, size_t len);
/** The same for sentences of our own, in which backslash and quote may stand as they are. */
void text_add_printable(struct text *text, const void *bytes, size_t len);
/** The same as one value of a line of key=value: blanks and '=' escaped too, "-" for nothing. */
void text_add_value(struct text *text, const char *string);

/** Parse a whole string as a decimal number. No unit, no sign but '-', no blanks; leading zeros
 *  stay decimal. @return 0; -EINVAL not a number, -ERANGE beyond int64_t */
int text_parse_number(const char *string, int64_t *number) MUST_CHECK;
/** Parse a duration as "250ms", "30s", "10m", "2h", "1d" (one number, one unit; "0" needs none).
 *  Durations and sizes are never negative.
 *  @return 0; -EINVAL bad form or unknown unit, -ERANGE beyond int64_t milliseconds */
int text_parse_duration_ms(const char *string, int64_t *duration_ms) MUST_CHECK;
/** Parse a size as "512", "64K", "1M", "2G", "1T" (powers of 1024; "512B", "64KB" and "64KiB" mean
 *  the same). @return 0; -EINVAL, -ERANGE */
int text_parse_size(const char *string, int64_t *bytes) MUST_CHECK;
/** What is wrong with a string that the parser refused, for the caller's sentence:
 *  "unknown unit 'x'; allowed: ms s m h d". The string is escaped. */
void text_add_duration_error(struct text *text, const char *string);
void text_add_size_error(struct text *text, const char *string);
/** The shortest text that parses back to exactly the same value, as "10m", "90s", "64K". */
void text_add_duration_ms(struct text *text, int64_t duration_ms);
void text_add_size(struct text *text, int64_t bytes);

/** For a person: a duration rounded to what matters, as "250 ms", "1.2 s", "412 s", "12 min 5 s",
 *  "3 h 12 min", "5 d 3 h". */
void text_add_span_ms(struct text *text, int64_t span_ms);

#define TEXT_CLOSEST_MAX 64

/** The candidate most like `word` by the number of letters left out, added, changed or swapped with
 *  the next, whatever their case; the first of equals. NULL when none is near enough to be meant
 *  (over a third of the letters differ) or the word is longer than TEXT_CLOSEST_MAX; candidates
 *  longer than that are passed over. @param candidates  `count` strings, borrowed */
const char *text_closest(const char *word, const char *const *candidates, size_t count);
