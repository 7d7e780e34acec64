/* Names and values are walked in step, so a kernel with more counters than we know costs nothing.
 */
#include "common/snmp.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 64

/* Copy the next word of a line and move past it. False at the end of the line, and for a word that
 * is longer than any of the kernel's. */
static bool
word_next(const char **at, char word[WORD_MAX])
{
	size_t len;

	*at += strspn(*at, " ");
	len = strcspn(*at, " \n");
	if (len == 0 || len >= WORD_MAX) {
		return false;
	}
	memcpy(word, *at, len);
	word[len] = '\0';
	*at += len;
	return true;
}

static const char *
line_after(const char *at)
{
	const char *end = strchr(at, '\n');

	return end == NULL ? at + strlen(at) : end + 1;
}

static bool
is_end(const char *at)
{
	at += strspn(at, " ");
	return *at == '\n' || *at == '\0';
}

/* Of decimal digits alone, at most UINT64_MAX. */
static bool
parse_value(const char *word, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(word, &end, 10);
	return word[0] >= '0' && word[0] <= '9' && *end == '\0' && errno == 0;
}

static int
snmp_parse_pair(const char *names, const char *values,
	void (*found)(const char *group, const char *name, uint64_t value, void *context),
	void *context)
{
	char group[WORD_MAX], again[WORD_MAX], name[WORD_MAX], value[WORD_MAX];
	uint64_t number;

	if (!word_next(&names, group) || !word_next(&values, again) || strcmp(group, again) != 0) {
		return -EINVAL;
	}
	group[strcspn(group, ":")] = '\0';
	while (word_next(&names, name)) {
		if (!word_next(&values, value)) {
			return -EINVAL;
		}
		if (value[0] == '-') {
			continue;
		}
		if (!parse_value(value, &number)) {
			return -EINVAL;
		}
		found(group, name, number, context);
	}
	return is_end(names) ? 0 : -EINVAL;
}

int
snmp_parse(const char *text,
	void (*found)(const char *group, const char *name, uint64_t value, void *context),
	void *context)
{
	const char *values;
	int error = 0;

	while (error == 0 && *text != '\0') {
		values = line_after(text);
		error = snmp_parse_pair(text, values, found, context);
		text = line_after(values);
	}
	return error;
}
