/* Bounded formatting; parsing and printing of numbers, sizes and durations. Parsing is by hand:
 * strtoll takes blanks, a plus sign and whatever follows, and a configuration must say exactly what
 * it means. Recognising the form comes before the range, so that "99999999999999999999x" is told
 * about its unit. */
#include "common/text.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	int64_t factor;
};

/* Ascending: printing takes the largest that divides the value. */
static const struct unit duration_units[] = {
	{"ms", 1},
	{"s", 1000},
	{"m", 60 * 1000},
	{"h", 3600 * 1000},
	{"d", 86400 * 1000},
};
static const struct unit size_units[] = {
	{"", 1},
	{"K", INT64_C(1) << 10},
	{"M", INT64_C(1) << 20},
	{"G", INT64_C(1) << 30},
	{"T", INT64_C(1) << 40},
};

void
text_init(struct text *text, char *buffer, size_t size)
{
	assert(size > 0);
	*text = (struct text){.at = buffer, .size = size};
	buffer[0] = '\0';
}

void
text_add(struct text *text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_add_args(text, format, args);
	va_end(args);
}

void
text_add_args(struct text *text, const char *format, va_list args)
{
	size_t room = text->size - text->len;
	int wanted;

	if (text->is_cut) {
		return;
	}
	wanted = vsnprintf(text->at + text->len, room, format, args);
	if (wanted < 0) { /* EOVERFLOW or EILSEQ: nothing that can be shown */
		text->at[text->len] = '\0';
		text->is_cut = true;
	} else if ((size_t)wanted >= room) {
		text->len = text->size - 1;
		text->is_cut = true;
	} else {
		text->len += (size_t)wanted;
	}
}

/* An escape is added whole or not at all. */
static void
text_add_bytes(struct text *text, const void *bytes, size_t len, const char *also_escaped)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *byte = bytes;
	size_t i;

	for (i = 0; i < len && !text->is_cut; i++) {
		bool is_plain =
			byte[i] >= ' ' && byte[i] <= '~' && strchr(also_escaped, byte[i]) == NULL;
		size_t need = is_plain ? 1 : 4;
		char *end = text->at + text->len;

		if (text->size - text->len <= need) {
			text->is_cut = true;
			break;
		}
		if (is_plain) {
			end[0] = (char)byte[i];
		} else {
			end[0] = '\\';
			end[1] = 'x';
			end[2] = hex[byte[i] >> 4];
			end[3] = hex[byte[i] & 15];
		}
		text->len += need;
		text->at[text->len] = '\0';
	}
}

void
text_add_escaped(struct text *text, const void *bytes, size_t len)
{
	text_add_bytes(text, bytes, len, "\\\"");
}

void
text_add_printable(struct text *text, const void *bytes, size_t len)
{
	text_add_bytes(text, bytes, len, "");
}

void
text_add_value(struct text *text, const char *string)
{
	text_add_bytes(text, string, strlen(string), "\\\" =");
	if (string[0] == '\0') {
		text_add(text, "-");
	}
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Take the digits at the front. Returns what follows them, NULL without any; *value is -1 when it
 * is beyond int64_t. */
static const char *
digits_take(const char *string, int64_t *value)
{
	int64_t sum = 0;

	if (!is_digit(*string)) {
		return NULL;
	}
	for (; is_digit(*string); string++) {
		if (sum < 0 || __builtin_mul_overflow(sum, 10, &sum) ||
			__builtin_add_overflow(sum, *string - '0', &sum)) {
			sum = -1;
		}
	}
	*value = sum;
	return string;
}

int
text_parse_number(const char *string, int64_t *number)
{
	bool is_negative = *string == '-';
	const char *end;
	int64_t value;

	end = digits_take(string + is_negative, &value);
	if (end == NULL || *end != '\0') {
		return -EINVAL;
	}
	if (value < 0) {
		/* The one number whose magnitude is not an int64_t itself. */
		if (is_negative &&
			strcmp(string + 1 + strspn(string + 1, "0"), "9223372036854775808") == 0) {
			*number = INT64_MIN;
			return 0;
		}
		return -ERANGE;
	}
	*number = is_negative ? -value : value;
	return 0;
}

static int
scale(int64_t value, int64_t factor, int64_t *result)
{
	int64_t product;

	if (value < 0 || __builtin_mul_overflow(value, factor, &product)) {
		return -ERANGE;
	}
	*result = product;
	return 0;
}

int
text_parse_duration_ms(const char *string, int64_t *duration_ms)
{
	int64_t value;
	const char *unit = digits_take(string, &value);
	size_t i;

	if (unit == NULL) {
		return -EINVAL;
	}
	if (*unit == '\0' && value == 0) {
		*duration_ms = 0;
		return 0;
	}
	for (i = 0; i < ARRAY_LEN(duration_units); i++) {
		if (strcmp(unit, duration_units[i].name) == 0) {
			return scale(value, duration_units[i].factor, duration_ms);
		}
	}
	return -EINVAL;
}

static bool
is_size_unit(const char *string, const char *name)
{
	size_t len = strlen(name);
	const char *rest = string + len;

	return strncmp(string, name, len) == 0 &&
	       (*rest == '\0' || strcmp(rest, "B") == 0 || (len > 0 && strcmp(rest, "iB") == 0));
}

int
text_parse_size(const char *string, int64_t *bytes)
{
	int64_t value;
	const char *unit = digits_take(string, &value);
	size_t i;

	if (unit == NULL) {
		return -EINVAL;
	}
	for (i = 0; i < ARRAY_LEN(size_units); i++) {
		if (is_size_unit(unit, size_units[i].name)) {
			return scale(value, size_units[i].factor, bytes);
		}
	}
	return -EINVAL;
}

/* `parsed` is what the parser answered. */
static void
add_error(struct text *text, const char *string, int parsed, const char *allowed)
{
	int64_t value;
	const char *unit = digits_take(string, &value);

	if (unit == NULL) {
		if (string[0] == '-' && is_digit(string[1])) {
			text_add(text, "negative value");
		} else {
			text_add(text, "'");
			text_add_escaped(text, string, strlen(string));
			text_add(text, "' does not begin with a number");
		}
	} else if (parsed == -ERANGE) {
		text_add(text, "the value is too large");
	} else if (*unit == '\0') {
		text_add(text, "the unit is missing");
	} else {
		text_add(text, "unknown unit '");
		text_add_escaped(text, unit, strlen(unit));
		text_add(text, "'");
	}
	text_add(text, "; allowed: %s", allowed);
}

void
text_add_duration_error(struct text *text, const char *string)
{
	int64_t duration_ms;

	add_error(text, string, text_parse_duration_ms(string, &duration_ms), "ms s m h d");
}

void
text_add_size_error(struct text *text, const char *string)
{
	int64_t bytes;

	add_error(text, string, text_parse_size(string, &bytes), "B K M G T");
}

/* The largest unit that divides the value gives the fewest digits. */
static void
add_with_unit(struct text *text, int64_t value, const struct unit *units, size_t count)
{
	size_t i = count - 1;

	assert(value >= 0);
	while (value % units[i].factor != 0) {
		i--;
	}
	text_add(text, "%" PRId64 "%s", value / units[i].factor, units[i].name);
}

void
text_add_duration_ms(struct text *text, int64_t duration_ms)
{
	if (duration_ms == 0) {
		text_add(text, "0");
		return;
	}
	add_with_unit(text, duration_ms, duration_units, ARRAY_LEN(duration_units));
}

void
text_add_size(struct text *text, int64_t bytes)
{
	if (bytes == 0) {
		text_add(text, "0");
		return;
	}
	add_with_unit(text, bytes, size_units, ARRAY_LEN(size_units));
}

/* How a span below `limit_ms` is rounded and shown: as a count of `unit_ms` and, unless the
 * remainder is nothing, a count of `step_ms`. */
static const struct span {
	uint64_t limit_ms, unit_ms, step_ms;
	const char *unit, *step;
} spans[] = {
	{1000, 1, 1, "ms", NULL},
	{10 * 1000, 1000, 100, "s", NULL}, /* one decimal */
	{600 * 1000, 1000, 1000, "s", NULL},
	{3600 * 1000, 60 * 1000, 1000, "min", "s"},
	{86400 * 1000, 3600 * 1000, 60 * 1000, "h", "min"},
	{UINT64_MAX, 86400 * 1000, 3600 * 1000, "d", "h"},
};

void
text_add_span_ms(struct text *text, int64_t span_ms)
{
	uint64_t magnitude = span_ms < 0 ? 0 - (uint64_t)span_ms : (uint64_t)span_ms;
	uint64_t rounded, steps;
	const struct span *span = spans;

	/* Rounding may carry a span into the next row: 9.96 s is "10 s". */
	for (;; span++) {
		rounded = (magnitude + span->step_ms / 2) / span->step_ms * span->step_ms;
		if (rounded < span->limit_ms) {
			break;
		}
	}
	steps = rounded % span->unit_ms / span->step_ms;
	text_add(text, "%s%" PRIu64, span_ms < 0 ? "-" : "", rounded / span->unit_ms);
	if (span->step == NULL && span->step_ms < span->unit_ms) {
		text_add(text, ".%" PRIu64, steps);
	}
	text_add(text, " %s", span->unit);
	if (span->step != NULL && steps > 0) {
		text_add(text, " %" PRIu64 " %s", steps, span->step);
	}
}

static size_t
min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static bool
is_same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Damerau-Levenshtein distance (optimal string alignment), keeping three rows of the matrix: row i
 * holds the costs of making the first j letters of b from the first i of a. */
static size_t
edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t rows[3][TEXT_CLOSEST_MAX + 1];
	size_t i, j;

	for (j = 0; j <= b_len; j++) {
		rows[0][j] = j;
	}
	for (i = 1; i <= a_len; i++) {
		const size_t *above = rows[(i - 1) % 3];
		size_t *row = rows[i % 3];

		row[0] = i;
		for (j = 1; j <= b_len; j++) {
			bool is_same = is_same_letter(a[i - 1], b[j - 1]);

			row[j] = min_size(min_size(above[j], row[j - 1]) + 1,
				above[j - 1] + (is_same ? 0 : 1));
			if (i > 1 && j > 1 && is_same_letter(a[i - 1], b[j - 2]) &&
				is_same_letter(a[i - 2], b[j - 1])) {
				row[j] = min_size(row[j], rows[(i - 2) % 3][j - 2] + 1);
			}
		}
	}
	return rows[a_len % 3][b_len];
}

const char *
text_closest(const char *word, const char *const *candidates, size_t count)
{
	size_t word_len = strlen(word);
	const char *closest = NULL;
	size_t least = SIZE_MAX;
	size_t i;

	if (word_len > TEXT_CLOSEST_MAX) {
		return NULL;
	}
	for (i = 0; i < count; i++) {
		size_t len = strlen(candidates[i]);
		size_t longer = len > word_len ? len : word_len;
		size_t bound = longer < 3 ? 1 : longer / 3;
		size_t distance;

		if (len > TEXT_CLOSEST_MAX) {
			continue;
		}
		distance = edit_distance(word, word_len, candidates[i], len);
		/* A word of which no letter is left is another word. */
		if (distance <= bound && distance < min_size(len, word_len) && distance < least) {
			least = distance;
			closest = candidates[i];
		}
	}
	return closest;
}
