#include "common/config_trust.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "common/fault.h"
#include "tests/unit/run.h"
#include "tests/unit/scratch.h"

/* Somebody who is neither root nor us. */
#define SOMEBODY 12345

static struct fault why;

/* What opening gives: 0 or a negative errno. */
static int
try_open(const char *path)
{
	int fd;

	memset(&why, 0, sizeof(why));
	fd = config_trust_open(path, &why);
	if (fd < 0) {
		ck_assert_int_eq(why.code, fd);
		return fd;
	}
	descriptor_close(&fd);
	return 0;
}

static const struct {
	mode_t file, directory;
	int result;
	const char *sentence;
} modes[] = {
	{0644, 0755, 0, ""},
	{0600, 0700, 0, ""},
	{0444, 0555, 0, ""},
	{0646, 0755, -EPERM, "f is writable by others (mode 0646); hint: chmod go-w"},
	{0664, 0755, -EPERM, "f is writable by its group (mode 0664); hint: chmod go-w"},
	{0666, 0755, -EPERM, "f is writable by others (mode 0666); hint: chmod go-w"},
	{0644, 0777, -EPERM,
		"d is writable by others (mode 0777), who can replace the files in it"},
	{0644, 0757, -EPERM, "d is writable by others (mode 0757)"},
	{0644, 01777, 0, ""}, /* sticky: others can neither remove nor replace what is ours */
	{0644, 01775, 0, ""},
	{0666, 01777, -EPERM, "f is writable by others"},
};

START_TEST(a_file_that_others_may_change_is_refused)
{
	const char *path;

	ck_assert_int_eq(mkdir(scratch_path("d"), 0700), 0);
	path = scratch_write("d/f", "x");
	ck_assert_int_eq(chmod(path, modes[_i].file), 0);
	ck_assert_int_eq(chmod(scratch_path("d"), modes[_i].directory), 0);
	ck_assert_int_eq(try_open(path), modes[_i].result);
	ck_assert_msg(strstr(why.text, modes[_i].sentence) != NULL, "%s", why.text);
}
END_TEST

START_TEST(every_directory_on_the_way_counts)
{
	const char *path;

	scratch_run("mkdir -p -m 755 %s/a %s/a/b %s/a/b/c", scratch_directory, scratch_directory,
		scratch_directory);
	path = scratch_write("a/b/c/f", "x");
	ck_assert_int_eq(try_open(path), 0);
	ck_assert_int_eq(chmod(scratch_path("a"), 0777), 0);
	ck_assert_int_eq(try_open(path), -EPERM);
	ck_assert_ptr_nonnull(strstr(why.text, "/a is writable by others"));
}
END_TEST

/* By Debian's custom the group of a user's own number is his alone; root's is not. */
START_TEST(a_private_group_may_write_a_directory)
{
	const char *path;

	ck_assert_int_eq(mkdir(scratch_path("d"), 0700), 0);
	path = scratch_write("d/f", "x");
	ck_assert_int_eq(chmod(scratch_path("d"), 0775), 0);
	ck_assert_int_eq(try_open(path), geteuid() != 0 && getegid() == geteuid() ? 0 : -EPERM);
}
END_TEST

START_TEST(what_somebody_else_owns_is_refused)
{
	const char *path = scratch_write("f", "x");

	/* only root can give something away, and in a user namespace only to whom it maps */
	if (chown(path, SOMEBODY, 0) < 0 && (errno == EPERM || errno == EINVAL)) {
		return;
	}
	ck_assert_int_eq(try_open(path), -EPERM);
	ck_assert_ptr_nonnull(strstr(why.text, "is owned by uid 12345"));

	ck_assert_int_eq(chown(path, 0, SOMEBODY), 0);
	ck_assert_int_eq(try_open(path), 0);

	ck_assert_int_eq(symlink("f", scratch_path("link")), 0);
	ck_assert_int_eq(try_open(scratch_path("link")), 0);
	ck_assert_int_eq(lchown(scratch_path("link"), SOMEBODY, 0), 0);
	ck_assert_int_eq(try_open(scratch_path("link")), -EPERM);

	ck_assert_int_eq(chown(scratch_directory, SOMEBODY, 0), 0);
	ck_assert_int_eq(try_open(path), -EPERM);
	ck_assert_int_eq(chown(scratch_directory, 0, 0), 0);
}
END_TEST

START_TEST(links_are_followed_under_the_same_rule)
{
	const char *path;

	scratch_run("mkdir -m 755 %s/open %s/safe", scratch_directory, scratch_directory);
	path = scratch_write("open/f", "x");
	ck_assert_int_eq(chmod(scratch_path("open"), 0777), 0);

	ck_assert_int_eq(symlink(path, scratch_path("safe/absolute")), 0);
	ck_assert_int_eq(symlink("../open/f", scratch_path("safe/relative")), 0);
	ck_assert_int_eq(symlink("relative", scratch_path("safe/twice")), 0);
	ck_assert_int_eq(try_open(scratch_path("safe/absolute")), -EPERM);
	ck_assert_int_eq(try_open(scratch_path("safe/relative")), -EPERM);
	ck_assert_int_eq(try_open(scratch_path("safe/twice")), -EPERM);

	ck_assert_int_eq(chmod(scratch_path("open"), 0755), 0);
	ck_assert_int_eq(try_open(scratch_path("safe/absolute")), 0);
	ck_assert_int_eq(try_open(scratch_path("safe/relative")), 0);
	ck_assert_int_eq(try_open(scratch_path("safe/./../safe//twice")), 0);
}
END_TEST

START_TEST(what_is_no_file_is_told_from_what_is_not_there)
{
	ck_assert_int_eq(mkfifo(scratch_path("pipe"), 0600), 0);
	ck_assert_int_eq(
		try_open(scratch_path("pipe")), -EINVAL); /* without waiting for a writer */
	ck_assert_int_eq(try_open(scratch_directory), -EISDIR);
	ck_assert_int_eq(try_open(scratch_path("nosuch")), -ENOENT);
	ck_assert_int_eq(try_open(scratch_path("nosuch/f")), -ENOENT);
	ck_assert_int_eq(try_open(scratch_write("f", "x")), 0);
	ck_assert_int_eq(try_open(scratch_path("f/x")), -ENOTDIR);

	ck_assert_int_eq(symlink("loop", scratch_path("loop")), 0);
	ck_assert_int_eq(try_open(scratch_path("loop")), -ELOOP);
}
END_TEST

START_TEST(a_path_too_long_is_an_error_not_an_overrun)
{
	char path[2 * PATH_MAX];

	memset(path, '/', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	ck_assert_int_eq(try_open(path), -ENAMETOOLONG);

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[1000] = '\0';
	ck_assert_int_eq(try_open(path), -ENAMETOOLONG);
}
END_TEST

START_TEST(a_relative_path_begins_at_the_working_directory)
{
	(void)scratch_write("f", "x");
	ck_assert_int_eq(chdir(scratch_directory), 0);
	ck_assert_int_eq(try_open("f"), 0);
	ck_assert_int_eq(try_open("./f"), 0);
	ck_assert_int_eq(try_open(""), -EISDIR);
}
END_TEST

UNIT_TESTS(
	"config_trust", tcase_add_checked_fixture(tests, scratch_make, scratch_remove);
	tcase_add_loop_test(tests, a_file_that_others_may_change_is_refused, 0, ARRAY_LEN(modes));
	tcase_add_test(tests, every_directory_on_the_way_counts);
	tcase_add_test(tests, a_private_group_may_write_a_directory);
	tcase_add_test(tests, what_somebody_else_owns_is_refused);
	tcase_add_test(tests, links_are_followed_under_the_same_rule);
	tcase_add_test(tests, what_is_no_file_is_told_from_what_is_not_there);
	tcase_add_test(tests, a_path_too_long_is_an_error_not_an_overrun);
	tcase_add_test(tests, a_relative_path_begins_at_the_working_directory);)
