/* The birth of a process, and what becomes of it when its master dies at the worst moment. */
#include "master/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/channel.h"
#include "tests/unit/run.h"

#define ROUNDS      300
#define EXIT_WANTED 42

/* Before main and Check: executed anew as a child, this program waits for ever. One in slot 1 tells
 * that it came so far. */
__attribute__((constructor)) static void
play_child(void)
{
	struct inherit inherit;

	if (inherit_read(&inherit) != 0 || inherit.role == ROLE_MASTER) {
		return;
	}
	if (inherit.slot == 1) {
		_exit(EXIT_WANTED);
	}
	for (;;) {
		(void)pause();
	}
}

static struct child_birth
birth_of(int slot, int channel, struct child_report *report)
{
	return (struct child_birth){.role = ROLE_WORKER,
		.slot = slot,
		.channel = channel,
		.binary = open("/proc/self/exe", O_RDONLY | O_CLOEXEC),
		.identity = {geteuid(), getegid()},
		.report = report};
}

START_TEST(a_child_is_born_with_its_role_and_slot)
{
	struct child_report *report = child_reports_new(1);
	struct child_birth birth;
	char words[64];
	int ends[2], status;
	pid_t pid;

	ck_assert_ptr_nonnull(report);
	ck_assert_int_eq(channel_pair(&ends[0], &ends[1]), 0);
	birth = birth_of(1, ends[1], report);
	ck_assert_int_eq(child_start(&birth, &pid), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), EXIT_WANTED);
	ck_assert_str_eq(child_explain(report, words, sizeof(words)), "");
	child_reports_free(&report, 1);
}
END_TEST

static const struct {
	const char *binary; /* NULL: our own */
	int channel;        /* -1: one that is open */
	const char *words;
} failures[] = {
	{"/dev/null", -1, "cannot execute its program: Permission denied"},
	{NULL, 999, "cannot arrange its descriptors: Bad file descriptor"},
};

START_TEST(a_child_that_is_not_born_says_why)
{
	struct child_report *report = child_reports_new(1);
	struct child_birth birth;
	char words[128];
	int ends[2], status;
	pid_t pid;

	ck_assert_int_eq(channel_pair(&ends[0], &ends[1]), 0);
	birth = birth_of(1, failures[_i].channel < 0 ? ends[1] : failures[_i].channel, report);
	if (failures[_i].binary != NULL) {
		birth.binary = open(failures[_i].binary, O_RDONLY | O_CLOEXEC);
	}
	ck_assert_int_eq(child_start(&birth, &pid), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), CHILD_NOT_BORN);
	ck_assert_str_eq(child_explain(report, words, sizeof(words)), failures[_i].words);
	child_reports_free(&report, 1);
}
END_TEST

/* A master that is killed, by itself, `delay` system calls after the fork of its child. */
static void
be_a_short_lived_master(int delay, int tell)
{
	struct child_report *report = child_reports_new(1);
	struct child_birth birth;
	int ends[2];
	pid_t pid;

	if (report == NULL || channel_pair(&ends[0], &ends[1]) != 0) {
		_exit(1);
	}
	birth = birth_of(0, ends[1], report);
	if (child_start(&birth, &pid) != 0 || write(tell, &pid, sizeof(pid)) != sizeof(pid)) {
		_exit(1);
	}
	while (delay-- > 0) {
		(void)getppid();
	}
	(void)kill(getpid(), SIGKILL);
}

/* Between fork and prctl(PR_SET_PDEATHSIG) the kernel tells a child nothing of its parent's death:
 * it must see for itself. Whenever the master dies, no orphan is left: each of them is waited for,
 * by us as the next of kin, and a single one that lived on would wait for ever. */
START_TEST(no_child_survives_its_master)
{
	int told[2], status, unborn = 0;
	pid_t master, child;

	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	for (int round = 0; round < ROUNDS; round++) {
		ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
		master = fork();
		if (master == 0) {
			/* At once, a little later … and at last when the child's program runs. */
			be_a_short_lived_master(round % 3 == 0 ? 0 : round * round / 8, told[1]);
		}
		ck_assert_int_eq(read(told[0], &child, sizeof(child)), sizeof(child));
		ck_assert_int_eq(waitpid(master, &status, 0), master);
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert((WIFEXITED(status) && WEXITSTATUS(status) == CHILD_NOT_BORN) ||
			  (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM));
		unborn += WIFEXITED(status);
		(void)close(told[0]);
		(void)close(told[1]);
	}
	printf("%d of %d saw it for themselves\n", unborn, ROUNDS);
	ck_assert_int_eq(waitpid(-1, &status, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

UNIT_TESTS(
	"child", tcase_add_test(tests, a_child_is_born_with_its_role_and_slot);
	tcase_add_loop_test(tests, a_child_that_is_not_born_says_why, 0, (int)ARRAY_LEN(failures));
	tcase_add_test(tests, no_child_survives_its_master);)
