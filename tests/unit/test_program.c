#include "master/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "common/fault.h"
#include "tests/unit/run.h"
#include "tests/unit/scratch.h"

static char self[PATH_MAX];

static void
setup(void)
{
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	ck_assert_int_gt(len, 0);
	self[len] = '\0';
	scratch_make();
}

static void
expect_path(const char *word, const char *expected)
{
	char *path = program_path(word);

	ck_assert_str_eq(path, expected);
	free(path);
}

START_TEST(a_path_is_kept_as_it_was_typed_but_absolute)
{
	char beside[PATH_MAX + 8];
	char *slash = strrchr(self, '/');

	expect_path(self, self);
	(void)snprintf(beside, sizeof(beside), ".%s", slash);
	*slash = '\0';
	ck_assert_int_eq(chdir(self), 0);
	*slash = '/';
	expect_path(beside, self);
}
END_TEST

START_TEST(a_link_stays_a_link)
{
	const char *link = scratch_path("link");

	ck_assert_int_eq(symlink(self, link), 0);
	expect_path(link, link);
}
END_TEST

/* By PATH, by a shell that gives another name, or not at all: the kernel knows. */
START_TEST(what_does_not_lead_to_us_is_asked_of_the_kernel)
{
	expect_path("acceptd", self);
	expect_path("/bin/true", self);
	expect_path("/nowhere/acceptd", self);
	expect_path(NULL, self);
}
END_TEST

START_TEST(what_is_there_is_opened)
{
	struct fault why;
	int fd = program_open(self, &why);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	descriptor_close(&fd);
}
END_TEST

START_TEST(what_cannot_be_executed_is_named)
{
	struct fault why;

	ck_assert_int_eq(program_open(scratch_path("none"), &why), -ENOENT);
	ck_assert_ptr_nonnull(strstr(why.text, "No such file or directory"));
	ck_assert_int_eq(program_open(scratch_directory, &why), -EACCES);
	ck_assert_ptr_nonnull(strstr(why.text, "is no regular file"));
	ck_assert_int_eq(program_open(scratch_write("text", "x"), &why), -EACCES);
	ck_assert_ptr_nonnull(strstr(why.text, "is not executable; run: chmod 755"));
	scratch_run("head -c 5000 %s >%s/cut && chmod 755 %s/cut", self, scratch_directory,
		scratch_directory);
	ck_assert_int_eq(program_open(scratch_path("cut"), &why), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(why.text, "is cut: it has 5000 bytes of at least"));
	ck_assert_int_eq(mkfifo(scratch_path("pipe"), 0755), 0);
	ck_assert_int_eq(program_open(scratch_path("pipe"), &why), -EACCES);
}
END_TEST

UNIT_TESTS("program", tcase_add_checked_fixture(tests, setup, scratch_remove);
	   tcase_add_test(tests, a_path_is_kept_as_it_was_typed_but_absolute);
	   tcase_add_test(tests, a_link_stays_a_link);
	   tcase_add_test(tests, what_does_not_lead_to_us_is_asked_of_the_kernel);
	   tcase_add_test(tests, what_is_there_is_opened);
	   tcase_add_test(tests, what_cannot_be_executed_is_named);)
