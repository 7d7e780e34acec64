#include "master/daemon.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fault.h"
#include "tests/unit/run.h"

/* What the process in the background does after daemon_start. */
enum deed { REPORT_SUCCESS, REPORT_FAILURE, DIE_SILENTLY };

static void
background(const struct daemon *daemon, int facts)
{
	char cwd[64] = "";
	struct stat null, in, out, err;
	char text[128];
	int len;

	(void)stat("/dev/null", &null);
	(void)fstat(STDIN_FILENO, &in);
	(void)fstat(STDOUT_FILENO, &out);
	(void)fstat(STDERR_FILENO, &err);
	len = snprintf(text, sizeof(text), "cwd=%s leader=%d null=%d terminal=%d",
		getcwd(cwd, sizeof(cwd)), getsid(0) == getpid(),
		in.st_rdev == null.st_rdev && out.st_rdev == null.st_rdev &&
			err.st_rdev == null.st_rdev,
		daemon->terminal >= 0);
	(void)!write(facts, text, (size_t)len);
}

/* Run one daemon as a shell would. @return its exit status; `facts` what the background process
 * saw, `said` what it printed */
static int
run(enum deed deed, char facts[128], char said[128])
{
	int facts_pipe[2], error_pipe[2], status;
	ssize_t len;
	pid_t child;

	ck_assert_int_eq(pipe(facts_pipe), 0);
	ck_assert_int_eq(pipe(error_pipe), 0);
	child = fork();
	if (child == 0) {
		struct daemon daemon = {.report = -1, .terminal = -1};
		struct fault why;

		(void)dup2(error_pipe[1], STDERR_FILENO);
		(void)close(error_pipe[1]);
		if (daemon_start(&daemon, &why) != 0) {
			_exit(99);
		}
		background(&daemon, facts_pipe[1]);
		daemon_say(&daemon, "a sentence");
		if (deed != DIE_SILENTLY) {
			daemon_report(&daemon, deed == REPORT_SUCCESS ? 0 : 3);
			daemon_report(&daemon, 7);
		}
		_exit(0);
	}
	(void)close(facts_pipe[1]);
	(void)close(error_pipe[1]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	len = read(facts_pipe[0], facts, 127);
	facts[len > 0 ? len : 0] = '\0';
	len = read(error_pipe[0], said, 127);
	said[len > 0 ? len : 0] = '\0';
	ck_assert(WIFEXITED(status));
	(void)close(facts_pipe[0]);
	(void)close(error_pipe[0]);
	return WEXITSTATUS(status);
}

START_TEST(who_waits_gets_the_status_that_was_reported)
{
	char facts[128], said[128];

	ck_assert_int_eq(run(REPORT_SUCCESS, facts, said), 0);
	ck_assert_int_eq(run(REPORT_FAILURE, facts, said), 3);
	ck_assert_str_eq(said, "acceptd: a sentence\n");
}
END_TEST

START_TEST(a_death_without_a_word_is_a_failure)
{
	char facts[128], said[128];

	ck_assert_int_eq(run(DIE_SILENTLY, facts, said), 1);
}
END_TEST

START_TEST(the_background_has_neither_terminal_nor_directory)
{
	char facts[128], said[128];

	ck_assert_int_eq(run(REPORT_SUCCESS, facts, said), 0);
	ck_assert_str_eq(facts, "cwd=/ leader=0 null=1 terminal=1");
}
END_TEST

START_TEST(in_the_foreground_nothing_is_said_or_reported)
{
	struct daemon daemon = {.report = -1, .terminal = -1};

	daemon_say(&daemon, "a sentence");
	daemon_report(&daemon, 1);
}
END_TEST

START_TEST(missing_standard_streams_are_opened)
{
	close(STDIN_FILENO);
	ck_assert_int_eq(daemon_open_standard_streams(), 0);
	ck_assert_int_ne(fcntl(STDIN_FILENO, F_GETFL), -1);
}
END_TEST

UNIT_TESTS("daemon", tcase_add_test(tests, who_waits_gets_the_status_that_was_reported);
	   tcase_add_test(tests, a_death_without_a_word_is_a_failure);
	   tcase_add_test(tests, the_background_has_neither_terminal_nor_directory);
	   tcase_add_test(tests, in_the_foreground_nothing_is_said_or_reported);
	   tcase_add_test(tests, missing_standard_streams_are_opened);)
