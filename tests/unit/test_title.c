#include "master/title.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/defs.h"
#include "tests/unit/run.h"

static int saved_argc;
static char **saved_argv;

/* glibc passes what main gets to constructors as well. */
__attribute__((constructor)) static void
save_arguments(int argc, char **argv)
{
	saved_argc = argc;
	saved_argv = argv;
}

static ssize_t
read_title(char *buffer, size_t size)
{
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t len = read(fd, buffer, size);

	(void)close(fd);
	return len;
}

START_TEST(title_is_what_the_kernel_shows)
{
	static const char *const titles[] = {"a", "acceptd: master /etc/acceptd/acceptd.conf",
		"acceptd: master /a/rather/long/path/that/reaches/into/the/environment/area.conf",
		"b"};
	char shown[4096];
	size_t i;

	title_init(saved_argc, saved_argv);
	for (i = 0; i < ARRAY_LEN(titles); i++) {
		title_set("%s", titles[i]);
		memset(shown, 'x', sizeof(shown));
		ck_assert_int_gt(read_title(shown, sizeof(shown)), 0);
		ck_assert_str_eq(shown, titles[i]);
	}
}
END_TEST

START_TEST(title_leaves_the_environment_readable)
{
	ck_assert_int_eq(setenv("A_TEST", "its value", 1), 0);
	title_init(saved_argc, saved_argv);
	title_set("%s", "acceptd: master /etc/acceptd/acceptd.conf and a long tail behind it");
	ck_assert_ptr_nonnull(getenv("PATH"));
	ck_assert_int_eq(getenv("PATH")[0], '/');
	ck_assert_str_eq(getenv("A_TEST"), "its value");
}
END_TEST

START_TEST(title_is_cut_where_the_room_ends)
{
	static char longest[256 * 1024];
	char shown[4096];

	memset(longest, 'y', sizeof(longest) - 1);
	title_init(saved_argc, saved_argv);
	title_set("%s", longest);
	ck_assert_int_gt(read_title(shown, sizeof(shown)), 0);
	ck_assert_int_eq(shown[0], 'y');
}
END_TEST

UNIT_TESTS("title", tcase_add_test(tests, title_is_what_the_kernel_shows);
	   tcase_add_test(tests, title_leaves_the_environment_readable);
	   tcase_add_test(tests, title_is_cut_where_the_room_ends);)
