#include "master/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fault.h"
#include "tests/unit/run.h"

static char directory[32];
static char path[64], other[64];

static void
setup(void)
{
	(void)snprintf(directory, sizeof(directory), "/tmp/acceptd-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/pid", directory);
	(void)snprintf(other, sizeof(other), "%s/other", directory);
}

static void
teardown(void)
{
	char command[64];

	(void)snprintf(command, sizeof(command), "rm -rf %s", directory);
	ck_assert_int_eq(system(command), 0);
}

static void
write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	fclose(file);
}

static const char *
read_file(const char *name)
{
	static char text[64];
	FILE *file = fopen(name, "r");
	size_t len;

	ck_assert_ptr_nonnull(file);
	len = fread(text, 1, sizeof(text) - 1, file);
	text[len] = '\0';
	fclose(file);
	return text;
}

START_TEST(our_number_is_written_and_removed)
{
	struct pidfile pidfile;
	struct fault why;
	char number[16];

	(void)snprintf(number, sizeof(number), "%d\n", (int)getpid());
	ck_assert_int_eq(pidfile_open(&pidfile, path, &why), 0);
	ck_assert_str_eq(read_file(path), "");
	ck_assert_int_eq(pidfile_holder(path), -1);
	ck_assert_int_eq(pidfile_write(&pidfile, &why), 0);
	ck_assert_str_eq(read_file(path), number);
	ck_assert_int_eq(pidfile_holder(path), getpid());
	pidfile_remove(&pidfile);
	ck_assert_int_eq(access(path, F_OK), -1);
	ck_assert_int_eq(pidfile_holder(path), 0);
}
END_TEST

START_TEST(everybody_may_read_who_runs)
{
	struct pidfile pidfile;
	struct fault why;
	struct stat found;
	char deep[96];

	(void)umask(077);
	(void)snprintf(deep, sizeof(deep), "%s/run/pid", directory);
	ck_assert_int_eq(pidfile_open(&pidfile, deep, &why), 0);
	ck_assert_int_eq(stat(deep, &found), 0);
	ck_assert_int_eq(found.st_mode & 07777, 0644);
	pidfile_remove(&pidfile);
	(void)snprintf(deep, sizeof(deep), "%s/run", directory);
	ck_assert_int_eq(stat(deep, &found), 0);
	ck_assert_int_eq(found.st_mode & 07777, 0755);
}
END_TEST

START_TEST(no_path_means_no_file)
{
	struct pidfile pidfile;
	struct fault why;

	ck_assert_int_eq(pidfile_open(&pidfile, "", &why), 0);
	ck_assert_int_eq(pidfile_write(&pidfile, &why), 0);
	pidfile_remove(&pidfile);
}
END_TEST

START_TEST(a_second_instance_is_told_who_runs)
{
	struct pidfile first, second;
	struct fault why;
	char says[64];

	ck_assert_int_eq(pidfile_open(&first, path, &why), 0);
	ck_assert_int_eq(pidfile_open(&second, path, &why), -EEXIST);
	ck_assert_ptr_nonnull(strstr(why.text, "just starting"));
	ck_assert_int_eq(pidfile_write(&first, &why), 0);
	ck_assert_int_eq(pidfile_open(&second, path, &why), -EEXIST);
	(void)snprintf(says, sizeof(says), "already running: pid %d holds", (int)getpid());
	ck_assert_ptr_nonnull(strstr(why.text, says));
	ck_assert_int_eq(access(path, F_OK), 0);
	pidfile_remove(&first);
	ck_assert_int_eq(pidfile_open(&second, path, &why), 0);
	pidfile_remove(&second);
}
END_TEST

START_TEST(a_stale_number_of_a_living_program_is_no_obstacle)
{
	struct pidfile pidfile;
	struct fault why;

	write_file(path, "1\n");
	ck_assert_int_eq(pidfile_holder(path), 0);
	ck_assert_int_eq(pidfile_open(&pidfile, path, &why), 0);
	ck_assert_int_eq(pidfile_write(&pidfile, &why), 0);
	ck_assert_int_ne(strcmp(read_file(path), "1\n"), 0);
	pidfile_remove(&pidfile);
}
END_TEST

START_TEST(the_lock_outlives_the_process_that_took_it)
{
	struct pidfile pidfile, second;
	struct fault why;
	int status;
	pid_t child;

	ck_assert_int_eq(pidfile_open(&pidfile, path, &why), 0);
	child = fork(); /* as -d does; here the child ends and the parent goes on */
	if (child == 0) {
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(pidfile_open(&second, path, &why), -EEXIST);
	pidfile_remove(&pidfile);
}
END_TEST

static const char *const foreign[] = {"root:x:0:0:root:/root:/bin/sh\n", "12 34\n", "-5\n", "0\n",
	"99999999999999999999999999\n", "\n"};

START_TEST(a_file_that_holds_something_else_is_left_alone)
{
	struct pidfile pidfile;
	struct fault why;

	write_file(path, foreign[_i]);
	ck_assert_int_eq(pidfile_open(&pidfile, path, &why), -EPERM);
	ck_assert_str_eq(read_file(path), foreign[_i]);
}
END_TEST

START_TEST(a_symbolic_link_is_refused)
{
	struct pidfile pidfile;
	struct fault why;

	write_file(other, "");
	ck_assert_int_eq(symlink(other, path), 0);
	ck_assert_int_eq(pidfile_open(&pidfile, path, &why), -ELOOP);
	ck_assert_ptr_nonnull(strstr(why.text, "symbolic link"));
	ck_assert_int_eq(unlink(other), 0);
	ck_assert_int_eq(pidfile_open(&pidfile, path, &why), -ELOOP);
	ck_assert_int_eq(access(other, F_OK), -1);
}
END_TEST

START_TEST(a_directory_and_a_fifo_are_refused)
{
	struct pidfile pidfile;
	struct fault why;

	ck_assert_int_eq(mkdir(path, 0755), 0);
	ck_assert_int_eq(pidfile_open(&pidfile, path, &why), -EISDIR);
	ck_assert_int_eq(mkfifo(other, 0644), 0);
	ck_assert_int_eq(pidfile_open(&pidfile, other, &why), -EPERM);
}
END_TEST

START_TEST(a_second_name_of_the_file_is_refused)
{
	struct pidfile pidfile;
	struct fault why;

	write_file(other, "12\n");
	ck_assert_int_eq(link(other, path), 0);
	ck_assert_int_eq(pidfile_open(&pidfile, path, &why), -EPERM);
	ck_assert_str_eq(read_file(other), "12\n");
}
END_TEST

START_TEST(a_directory_that_others_may_write_is_refused)
{
	struct pidfile pidfile;
	struct fault why;

	ck_assert_int_eq(chmod(directory, 0777), 0);
	ck_assert_int_eq(pidfile_open(&pidfile, path, &why), -EPERM);
	ck_assert_ptr_nonnull(strstr(why.text, "chmod"));
	ck_assert_int_eq(chmod(directory, 01777), 0); /* as /tmp */
	ck_assert_int_eq(pidfile_open(&pidfile, path, &why), 0);
	pidfile_remove(&pidfile);
}
END_TEST

START_TEST(a_missing_directory_is_made_but_no_missing_tree)
{
	struct pidfile pidfile;
	struct fault why;
	struct stat found;
	char deep[96];

	(void)snprintf(deep, sizeof(deep), "%s/run/pid", directory);
	ck_assert_int_eq(pidfile_open(&pidfile, deep, &why), 0);
	pidfile_remove(&pidfile);
	(void)snprintf(deep, sizeof(deep), "%s/run", directory);
	ck_assert_int_eq(stat(deep, &found), 0);
	ck_assert_int_eq(found.st_mode & 0777, 0755);
	(void)snprintf(deep, sizeof(deep), "%s/a/b/pid", directory);
	ck_assert_int_eq(pidfile_open(&pidfile, deep, &why), -ENOENT);
}
END_TEST

START_TEST(somebody_elses_file_at_the_path_survives_our_end)
{
	struct pidfile pidfile;
	struct fault why;

	ck_assert_int_eq(pidfile_open(&pidfile, path, &why), 0);
	ck_assert_int_eq(unlink(path), 0);
	write_file(path, "12\n");
	pidfile_remove(&pidfile);
	ck_assert_str_eq(read_file(path), "12\n");
}
END_TEST

START_TEST(an_abandoned_file_is_removed_only_if_we_made_it)
{
	struct pidfile pidfile;
	struct fault why;

	ck_assert_int_eq(pidfile_open(&pidfile, path, &why), 0);
	pidfile_abandon(&pidfile);
	ck_assert_int_eq(access(path, F_OK), -1);
	write_file(path, "12\n");
	ck_assert_int_eq(pidfile_open(&pidfile, path, &why), 0);
	pidfile_abandon(&pidfile);
	ck_assert_str_eq(read_file(path), "12\n");
}
END_TEST

START_TEST(a_check_finds_what_opening_would_and_touches_nothing)
{
	struct pidfile pidfile;
	struct fault why;
	char deep[96];

	ck_assert_int_eq(pidfile_check("", &why), 0);
	ck_assert_int_eq(pidfile_check(path, &why), 0);
	ck_assert_int_eq(access(path, F_OK), -1);
	(void)snprintf(deep, sizeof(deep), "%s/run/pid", directory);
	ck_assert_int_eq(pidfile_check(deep, &why), 0);
	(void)snprintf(deep, sizeof(deep), "%s/run", directory);
	ck_assert_int_eq(access(deep, F_OK), -1);
	(void)snprintf(deep, sizeof(deep), "%s/a/b/pid", directory);
	ck_assert_int_eq(pidfile_check(deep, &why), -ENOENT);
	(void)snprintf(deep, sizeof(deep), "%s/other/pid", directory);
	write_file(other, "");
	ck_assert_int_eq(pidfile_check(deep, &why), -ENOTDIR);
	write_file(path, "no number\n");
	ck_assert_int_eq(pidfile_check(path, &why), -EPERM);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(pidfile_open(&pidfile, path, &why), 0);
	ck_assert_int_eq(pidfile_check(path, &why), 0); /* whoever holds it */
	pidfile_remove(&pidfile);
}
END_TEST

UNIT_TESTS("pidfile", tcase_add_checked_fixture(tests, setup, teardown);
	   tcase_add_test(tests, our_number_is_written_and_removed);
	   tcase_add_test(tests, everybody_may_read_who_runs);
	   tcase_add_test(tests, no_path_means_no_file);
	   tcase_add_test(tests, a_second_instance_is_told_who_runs);
	   tcase_add_test(tests, a_stale_number_of_a_living_program_is_no_obstacle);
	   tcase_add_test(tests, the_lock_outlives_the_process_that_took_it);
	   tcase_add_loop_test(tests, a_file_that_holds_something_else_is_left_alone, 0,
		   sizeof(foreign) / sizeof(foreign[0]));
	   tcase_add_test(tests, a_symbolic_link_is_refused);
	   tcase_add_test(tests, a_directory_and_a_fifo_are_refused);
	   tcase_add_test(tests, a_second_name_of_the_file_is_refused);
	   tcase_add_test(tests, a_directory_that_others_may_write_is_refused);
	   tcase_add_test(tests, a_missing_directory_is_made_but_no_missing_tree);
	   tcase_add_test(tests, somebody_elses_file_at_the_path_survives_our_end);
	   tcase_add_test(tests, a_check_finds_what_opening_would_and_touches_nothing);
	   tcase_add_test(tests, an_abandoned_file_is_removed_only_if_we_made_it);)
