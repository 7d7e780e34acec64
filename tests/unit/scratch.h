/* A directory of a test's own, gone after it. For tests of what stands on a disk. */
#pragma once

#include <check.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/defs.h"

static char scratch_directory[64];

/* For tcase_add_checked_fixture. */
static inline void
scratch_make(void)
{
	(void)snprintf(scratch_directory, sizeof(scratch_directory), "/tmp/acceptd-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(scratch_directory));
}

static inline void PRINTF_LIKE(1, 2) scratch_run(const char *format, ...)
{
	char command[2 * PATH_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	ck_assert_msg(system(command) == 0, "%s", command);
}

static inline void
scratch_remove(void)
{
	scratch_run("chmod -R u+rwx %s && rm -rf %s", scratch_directory, scratch_directory);
}

/* The path of a name in it; good until the sixteenth call from now. */
static inline const char *
scratch_path(const char *name)
{
	static char paths[16][PATH_MAX];
	static unsigned at;
	char *path = paths[at++ % ARRAY_LEN(paths)];

	(void)snprintf(path, PATH_MAX, "%s/%s", scratch_directory, name);
	return path;
}

/* A file of that content, mode 0644 whatever the umask. @return its path, as scratch_path */
static inline const char *
scratch_write(const char *name, const char *content)
{
	const char *path = scratch_path(name);
	FILE *stream = fopen(path, "we");

	ck_assert_msg(stream != NULL, "%s", path);
	ck_assert_int_ge(fputs(content, stream), 0);
	ck_assert_int_eq(fclose(stream), 0);
	ck_assert_int_eq(chmod(path, 0644), 0);
	return path;
}

/* The sources of the project: make says where they are. */
static inline const char *
scratch_source(void)
{
	const char *srcdir = getenv("srcdir");

	return srcdir != NULL ? srcdir : "..";
}
