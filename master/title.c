/* The title of this process. The kernel shows the area of the arguments; but once the last byte of
 * that area is not zero it takes the hint and shows one string from the area's beginning, which may
 * reach into the environment behind it (fs/proc/base.c, get_mm_cmdline). */
#include "master/title.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	char *start;
	size_t size;           /* of arguments and environment */
	size_t arguments_size; /* of the arguments alone */
} title;

/* The end of a run of strings that lie behind each other, from `end` on. */
static char *
title_extend(char *end, char **strings)
{
	for (; *strings != NULL && *strings == end; strings++) {
		end += strlen(*strings) + 1;
	}
	return end;
}

/* Pointers and strings in one piece, so that it stays reachable as a whole when unsetenv(3) takes
 * single ones out. */
static char **
environment_copy(void)
{
	size_t count, size = 0;
	char **copy;
	char *at;

	for (count = 0; environ[count] != NULL; count++) {
		size += strlen(environ[count]) + 1;
	}
	copy = malloc((count + 1) * sizeof(*copy) + size);
	if (copy == NULL) {
		return NULL;
	}
	at = (char *)&copy[count + 1];
	for (size_t i = 0; i < count; i++) {
		copy[i] = strcpy(at, environ[i]);
		at += strlen(at) + 1;
	}
	copy[count] = NULL;
	return copy;
}

void
title_init(int argc, char **argv)
{
	char **copy;
	char *end, *arguments_end;

	if (argc < 1 || environ == NULL) {
		return;
	}
	arguments_end = title_extend(argv[0], argv);
	end = title_extend(arguments_end, environ);
	copy = environment_copy();
	if (copy == NULL) {
		return;
	}
	environ = copy; /* lives as long as the process */
	title.start = argv[0];
	title.size = (size_t)(end - argv[0]);
	title.arguments_size = (size_t)(arguments_end - argv[0]);
}

void
title_set(const char *format, ...)
{
	va_list args;
	int len;

	if (title.size < 2) {
		return;
	}
	va_start(args, format);
	len = vsnprintf(title.start, title.size - 1, format, args);
	va_end(args);
	if (len < 0) {
		return;
	}
	if ((size_t)len > title.size - 2) {
		len = (int)title.size - 2;
	}
	memset(title.start + len, 0, title.size - (size_t)len);
	if ((size_t)len + 1 < title.arguments_size) {
		title.start[title.arguments_size - 1] = '.'; /* the hint; not shown itself */
	}
}
