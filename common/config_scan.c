/* The words of a configuration file. Stricter than libconfig where leniency hides a mistake: a
 * string ends on its line, an unknown escape is an error, an included part closes what it opens.
 * What a person most probably meant is scanned on with, so that one run tells every error. */
#include "common/config_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/fault.h"

#define SCAN_SHOWN_MAX 60 /* of a bad word, in messages */

void
scan_init(struct scan *scan, const char *text, size_t len, char around)
{
	*scan = (struct scan){.start = text,
		.at = text,
		.end = text + len,
		.line = 1,
		.is_line_start = true,
		.around = around};
	scan->expects_value = around == '(' || around == '[';
}

char
scan_inside(const struct scan *scan)
{
	return scan->depth > 0 ? scan->open[scan->depth - 1].mark : scan->around;
}

static bool
scan_sees(const struct scan *scan, const char *word)
{
	size_t len = strlen(word);

	return (size_t)(scan->end - scan->at) >= len && memcmp(scan->at, word, len) == 0;
}

static void
scan_skip_line(struct scan *scan)
{
	while (scan->at < scan->end && *scan->at != '\n') {
		scan->at++;
	}
}

/* @return false when the comment never ends */
static bool
scan_skip_comment(struct scan *scan)
{
	for (scan->at += 2; scan->at < scan->end; scan->at++) {
		if (scan_sees(scan, "*/")) {
			scan->at += 2;
			return true;
		}
		if (*scan->at == '\n') {
			scan->line++;
			scan->is_line_start = true;
		}
	}
	return false;
}

/* Blanks, line ends and comments. @return the line of a comment that never ends, or 0 */
static int
scan_skip_blanks(struct scan *scan)
{
	int line;

	while (scan->at < scan->end) {
		if (*scan->at == '\n') {
			scan->line++;
			scan->is_line_start = true;
			scan->at++;
		} else if (strchr(" \t\r\f", *scan->at) != NULL && *scan->at != '\0') {
			scan->at++;
		} else if (*scan->at == '#' || scan_sees(scan, "//")) {
			scan_skip_line(scan);
		} else if (scan_sees(scan, "/*")) {
			line = scan->line;
			if (!scan_skip_comment(scan)) {
				return line;
			}
		} else {
			return 0;
		}
	}
	return 0;
}

static bool
is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int
hex_value(char c)
{
	if (is_digit(c)) {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* How much of a word to show. */
static int
shown(const struct token *token)
{
	return (int)(token->len < SCAN_SHOWN_MAX ? token->len : SCAN_SHOWN_MAX);
}

/* Make the token a value about which a person has been told. */
static int
scan_break(struct token *token)
{
	token->kind = TOKEN_BROKEN;
	return -EINVAL;
}

/* Make it nothing. */
static int
scan_discard(struct token *token)
{
	token->kind = TOKEN_JUNK;
	return -EINVAL;
}

/* One escape at scan->at, a backslash. libconfig keeps a backslash that it does not know, which
 * hides a mistake; and a zero byte would end the string unseen. @return its length, 0 if unknown */
static size_t
scan_escape_len(const struct scan *scan)
{
	size_t left = (size_t)(scan->end - scan->at);

	if (left >= 4 && (scan->at[1] == 'x' || scan->at[1] == 'X')) {
		int high = hex_value(scan->at[2]);
		int low = hex_value(scan->at[3]);

		return high >= 0 && low >= 0 && high + low > 0 ? 4 : 0;
	}
	return left >= 2 && is_one_of(scan->at[1], "\\\"abfnrtv") ? 2 : 0;
}

static int
scan_text(struct scan *scan, struct token *token, struct fault *why)
{
	size_t len;
	bool has_bad_escape = false;

	token->kind = TOKEN_TEXT;
	for (scan->at++; scan->at < scan->end && *scan->at != '"'; scan->at += len) {
		len = 1;
		if (*scan->at == '\n') {
			break;
		}
		if (*scan->at == '\\') {
			len = scan_escape_len(scan);
			has_bad_escape = has_bad_escape || len == 0;
			/* a bad escape must not eat the closing quote */
			len = len == 0 ? 1 : len;
		}
	}
	token->len = (size_t)(scan->at - token->start);
	if (scan->at == scan->end || *scan->at == '\n') {
		(void)fault_say(why, EINVAL,
			"the string that begins with %.*s is not closed on its line; "
			"hint: add the missing '\"', or write a line break as \\n",
			shown(token), token->start);
		return scan_break(token);
	}
	scan->at++;
	token->len++;
	if (has_bad_escape) {
		(void)fault_say(why, EINVAL,
			"unknown escape in %.*s; allowed: \\\\ \\\" \\a \\b \\f \\n \\r \\t \\v "
			"and "
			"\\x01 to \\xff",
			shown(token), token->start);
		return scan_break(token);
	}
	return 0;
}

/* The byte that an escape stands for. @param at  the character after the backslash */
static char
escaped_byte(const char *at)
{
	static const char letters[] = "abfnrtv";
	static const char bytes[] = "\a\b\f\n\r\t\v";
	const char *letter = strchr(letters, *at);

	if (*at == 'x' || *at == 'X') {
		return (char)(hex_value(at[1]) * 16 + hex_value(at[2]));
	}
	return letter != NULL ? bytes[letter - letters] : *at;
}

char *
scan_unescape(const struct token *token)
{
	const char *end = token->start + token->len - 1;
	char *text = malloc(token->len);
	char *to = text;

	if (text == NULL) {
		return NULL;
	}
	for (const char *from = token->start + 1; from < end; from++) {
		if (*from != '\\') {
			*to++ = *from;
			continue;
		}
		from++;
		*to++ = escaped_byte(from);
		from += *from == 'x' || *from == 'X' ? 2 : 0;
	}
	*to = '\0';
	return text;
}

static bool
is_name(const struct token *token)
{
	if (!is_letter(token->start[0]) && token->start[0] != '*') {
		return false;
	}
	for (size_t i = 1; i < token->len; i++) {
		if (!is_letter(token->start[i]) && !is_digit(token->start[i]) &&
			!is_one_of(token->start[i], "-_*")) {
			return false;
		}
	}
	return true;
}

static bool
is_bool(const struct token *token)
{
	return (token->len == 4 && strncasecmp(token->start, "true", 4) == 0) ||
	       (token->len == 5 && strncasecmp(token->start, "false", 5) == 0);
}

/* The digits of an integer: without sign, "0x" and "L". @return false when it is no integer */
static bool
integer_digits(const struct token *token, const char **digits, size_t *len, int *base)
{
	const char *end = token->start + token->len;

	*digits = token->start;
	*base = 10;
	if (token->len > 2 && token->start[0] == '0' && is_one_of(token->start[1], "xX")) {
		*digits += 2;
		*base = 16;
	} else if (is_one_of(token->start[0], "+-")) {
		*digits += 1;
	}
	for (int i = 0; i < 2 && end > *digits && end[-1] == 'L'; i++) {
		end--;
	}
	*len = (size_t)(end - *digits);
	for (const char *at = *digits; at < end; at++) {
		int value = hex_value(*at);

		if (value < 0 || value >= *base) {
			return false;
		}
	}
	return *len > 0;
}

/* The value, or false when it does not fit 64 bits: libconfig would cut it without a word. */
static bool
integer_value(const char *digits, size_t len, int base, bool is_negative, int64_t *number)
{
	int64_t value = 0;

	for (size_t i = 0; i < len; i++) {
		int digit = hex_value(digits[i]);

		if (__builtin_mul_overflow(value, base, &value) ||
			__builtin_add_overflow(value, is_negative ? -digit : digit, &value)) {
			return false;
		}
	}
	*number = value;
	return true;
}

static int
scan_integer(struct token *token, const char *digits, size_t len, int base, struct fault *why)
{
	token->kind = TOKEN_INTEGER;
	if (base == 10 && len > 1 && digits[0] == '0') {
		(void)fault_say(why, EINVAL,
			"the number %.*s begins with 0, which is octal to some and decimal to "
			"others; "
			"hint: drop the 0, or write permissions in quotes",
			shown(token), token->start);
		return scan_break(token);
	}
	if (!integer_value(digits, len, base, token->start[0] == '-', &token->number)) {
		(void)fault_say(why, EINVAL, "the number %.*s does not fit 64 bits", shown(token),
			token->start);
		return scan_break(token);
	}
	return 0;
}

static bool
is_float(const struct token *token)
{
	char copy[64];
	char *end;

	if (token->len >= sizeof(copy) || strspn(token->start, "0123456789.eE+-") < token->len) {
		return false;
	}
	memcpy(copy, token->start, token->len);
	copy[token->len] = '\0';
	(void)strtod(copy, &end);
	return *end == '\0';
}

/* A run of characters that is neither string nor punctuation. */
static int
scan_word(struct scan *scan, struct token *token, struct fault *why)
{
	const char *digits;
	size_t len;
	int base;

	if (is_bool(token)) {
		token->kind = TOKEN_BOOL;
		return 0;
	}
	if (!scan->expects_value && is_name(token)) {
		token->kind = TOKEN_NAME;
		return 0;
	}
	if (integer_digits(token, &digits, &len, &base)) {
		return scan_integer(token, digits, len, base, why);
	}
	if (is_float(token)) {
		token->kind = TOKEN_FLOAT;
		return 0;
	}
	if (scan->expects_value) {
		(void)fault_say(why, EINVAL,
			"%.*s is neither a number nor true nor false; hint: text, durations and "
			"sizes "
			"stand in quotes: \"%.*s\"",
			shown(token), token->start, shown(token), token->start);
	} else {
		(void)fault_say(why, EINVAL,
			"'%.*s' is not the name of a setting; hint: a setting is written name = "
			"value;",
			shown(token), token->start);
		return scan_discard(token);
	}
	return scan_break(token);
}

/* In the place of a value everything up to a blank or the end of the value belongs to the word, so
 * that an address or path without quotes is one mistake and not five. */
static size_t
scan_word_len(const struct scan *scan)
{
	const char *stops = scan->expects_value ? " \t\r\f\n;,)]}\"#" : " \t\r\f\n;,)]}\"#=:({[";
	const char *at = scan->at;

	while (at < scan->end && *at != '\0' && strchr(stops, *at) == NULL &&
		!(*at == '/' && at + 1 < scan->end && (at[1] == '/' || at[1] == '*'))) {
		at++;
	}
	return (size_t)(at - scan->at);
}

static int
scan_open(struct scan *scan, struct token *token, struct fault *why)
{
	token->kind = TOKEN_OPEN;
	if (scan->depth == SCAN_DEPTH_MAX) {
		scan->is_lost = true;
		token->kind = TOKEN_END;
		return fault_say(
			why, EINVAL, "more than %d brackets within brackets", SCAN_DEPTH_MAX);
	}
	scan->open[scan->depth].mark = *token->start;
	scan->open[scan->depth].line = token->line;
	scan->depth++;
	return 0;
}

static char
closing_of(char mark)
{
	return mark == '{' ? '}' : mark == '(' ? ')' : ']';
}

static int
scan_close(struct scan *scan, struct token *token, struct fault *why)
{
	char mark;
	int line;

	token->kind = TOKEN_CLOSE;
	if (scan->depth > 0 && closing_of(scan_inside(scan)) == *token->start) {
		scan->depth--;
		return 0;
	}
	scan->is_lost = true;
	token->kind = TOKEN_END;
	if (scan->depth == 0) {
		return fault_say(why, EINVAL, "'%c' closes nothing that was opened in this file",
			*token->start);
	}
	mark = scan_inside(scan);
	line = scan->open[scan->depth - 1].line;
	return fault_say(why, EINVAL,
		"found '%c' where '%c' must come first, to close the '%c' opened at line %d",
		*token->start, closing_of(mark), mark, line);
}

static int
scan_end(struct scan *scan, struct token *token, struct fault *why)
{
	token->kind = TOKEN_END;
	if (scan->is_lost || scan->depth == 0) {
		return 0;
	}
	scan->is_lost = true;
	return fault_say(why, EINVAL,
		"end of file inside the '%c' opened at line %d; hint: add the missing '%c'",
		scan_inside(scan), scan->open[scan->depth - 1].line, closing_of(scan_inside(scan)));
}

static int
scan_include(struct scan *scan, struct token *token, struct fault *why)
{
	const char *path;

	scan->at += strlen("@include");
	scan->at += strspn(scan->at, " \t");
	if (scan->at == scan->end || *scan->at != '"') {
		scan_skip_line(scan);
		(void)fault_say(
			why, EINVAL, "@include needs a path in quotes: @include \"conf.d/*.conf\"");
		return scan_discard(token);
	}
	path = ++scan->at;
	while (scan->at < scan->end && !is_one_of(*scan->at, "\"\n") && *scan->at != '\0') {
		scan->at++;
	}
	token->kind = TOKEN_INCLUDE;
	token->start = path;
	token->len = (size_t)(scan->at - path);
	if (scan->at == scan->end || *scan->at != '"') {
		(void)fault_say(why, EINVAL, "the path of @include is not closed on its line");
		return scan_discard(token);
	}
	scan->at++;
	scan->at += strspn(scan->at, " \t");
	if (scan->at < scan->end && *scan->at == ';') {
		scan->at++; /* libconfig takes no ';' here; there is nothing else it could mean */
	}
	return 0;
}

/* A character that begins nothing; the rest of its kind goes with it. */
static int
scan_junk(struct scan *scan, struct token *token, struct fault *why)
{
	unsigned char c = (unsigned char)*scan->at;

	do {
		scan->at++;
	} while (scan->at < scan->end && *scan->at == (char)c);
	token->len = (size_t)(scan->at - token->start);
	if (c > 0x20 && c < 0x7f) {
		(void)fault_say(why, EINVAL, "'%c' cannot stand here", c);
	} else {
		(void)fault_say(why, EINVAL,
			"byte 0x%02x cannot stand outside a string; hint: is this a text file?", c);
		scan->is_lost = true;
	}
	return scan_discard(token);
}

static int
scan_token(struct scan *scan, struct token *token, struct fault *why)
{
	bool is_first = scan->is_line_start;
	size_t len;

	scan->is_line_start = false;
	if (is_first && scan_sees(scan, "@include")) {
		return scan_include(scan, token, why);
	}
	if (*scan->at == '"') {
		return scan_text(scan, token, why);
	}
	token->len = 1;
	if (is_one_of(*scan->at, "{([")) {
		scan->at++;
		return scan_open(scan, token, why);
	}
	if (is_one_of(*scan->at, "})]")) {
		scan->at++;
		return scan_close(scan, token, why);
	}
	if (is_one_of(*scan->at, "=:;,")) {
		token->kind = is_one_of(*scan->at, "=:") ? TOKEN_EQUALS : TOKEN_SEPARATOR;
		scan->at++;
		return 0;
	}
	len = scan_word_len(scan);
	if (len == 0 || *scan->at == '@' || *scan->at < ' ' || *scan->at > '~') {
		return scan_junk(scan, token, why);
	}
	token->len = len;
	scan->at += len;
	return scan_word(scan, token, why);
}

/* Whether a value may come after this token. */
static bool
scan_then_value(const struct scan *scan, const struct token *token)
{
	switch (token->kind) {
	case TOKEN_EQUALS:
		return true;
	case TOKEN_OPEN:
	case TOKEN_SEPARATOR:
	case TOKEN_INCLUDE:
		return scan_inside(scan) == '(' || scan_inside(scan) == '[';
	default:
		return false;
	}
}

int
scan_next(struct scan *scan, struct token *token, struct fault *why)
{
	int comment_line = scan->is_lost ? 0 : scan_skip_blanks(scan);
	int result;

	*token = (struct token){.start = scan->at, .line = scan->line};
	if (comment_line > 0) {
		scan->is_lost = true;
		token->line = comment_line;
		return fault_say(why, EINVAL,
			"the comment that begins here never ends; hint: add the missing */");
	}
	if (scan->is_lost || scan->at == scan->end) {
		return scan_end(scan, token, why);
	}
	result = scan_token(scan, token, why);
	scan->expects_value = scan_then_value(scan, token);
	return result;
}
