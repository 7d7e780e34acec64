/* Names and values are walked in step, so a kernel with more counters than we know costs nothing.
 */
#include "common/snmp.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 64

/* Copy the next word of a line and move past it. False at the end of the line. */
static bool
word_next(const char **at, char word[WORD_MAX])
{
	size_t len;

	*at += strspn(*at, " ");
	len = strcspn(*at, " \n");
	if (len == 0) {
		return false;
	}
	(void)snprintf(word, WORD_MAX, "%.*s", (int)(len < WORD_MAX ? len : WORD_MAX - 1), *at);
	*at += len;
	return true;
}

static const char *
line_after(const char *at)
{
	const char *end = strchr(at, '\n');

	return end == NULL ? at + strlen(at) : end + 1;
}

static int
snmp_parse_pair(const char *names, const char *values,
	void (*found)(const char *group, const char *name, uint64_t value, void *context),
	void *context)
{
	char group[WORD_MAX], again[WORD_MAX], name[WORD_MAX], value[WORD_MAX];

	if (!word_next(&names, group) || !word_next(&values, again) || strcmp(group, again) != 0) {
		return -EINVAL;
	}
	group[strcspn(group, ":")] = '\0';
	while (word_next(&names, name)) {
		if (!word_next(&values, value)) {
			return -EINVAL;
		}
		if (value[0] != '-') {
			found(group, name, strtoull(value, NULL, 10), context);
		}
	}
	return 0;
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
