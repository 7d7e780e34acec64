/* The birth of one process. The order in the child matters: signals first, because libev's handlers
 * would write into a pipe that is shared with the master; privileges before the tie to the parent,
 * because a change of user cuts it; the descriptors last, when nothing can need another one. */
#include "master/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/inherit.h"

struct child_report *
child_reports_new(size_t count)
{
	void *memory = mmap(NULL, count * sizeof(struct child_report), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void
child_reports_free(struct child_report **reports, size_t count)
{
	if (*reports != NULL) {
		(void)munmap(*reports, count * sizeof(**reports));
		*reports = NULL;
	}
}

NORETURN void
child_fail(struct child_report *report, enum child_stage stage, int error)
{
	atomic_store(&report->error, error);
	atomic_store(&report->stage, (int32_t)stage);
	_exit(CHILD_NOT_BORN);
}

void
child_reset_signals(void)
{
	struct sigaction action;
	int number;

	memset(&action, 0, sizeof(action));
	action.sa_handler = SIG_DFL;
	for (number = 1; number < NSIG; number++) {
		(void)sigaction(number, &action, NULL); /* KILL, STOP and glibc's own refuse */
	}
}

/* Put the channel in its place and leave nothing else open across exec.
 * @return the binary, moved out of the way if need be, or negative errno */
static int
child_arrange_descriptors(int channel, int binary)
{
	if (binary == CHILD_CHANNEL_FD) {
		binary = fcntl(binary, F_DUPFD_CLOEXEC, CHILD_CHANNEL_FD + 1);
		if (binary < 0) {
			return -errno;
		}
	}
	if (channel == CHILD_CHANNEL_FD) {
		if (fcntl(channel, F_SETFD, 0) < 0) { /* dup2 onto itself would change nothing */
			return -errno;
		}
	} else if (dup2(channel, CHILD_CHANNEL_FD) < 0) {
		return -errno;
	}
	/* Ours are close-on-exec from birth; what the master itself was given may not be. Kernels
	 * before 5.11 cannot: then the child's own close of everything else is what is left. */
	(void)syscall(SYS_close_range, CHILD_CHANNEL_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	return binary;
}

static NORETURN void
child_run(const struct child_birth *birth, struct inherit_space *space, pid_t parent)
{
	sigset_t none;
	int status, binary;

	child_reset_signals();
	(void)setsid(); /* cannot fail in a fresh fork */
	status = birth->drops_privileges ? privilege_drop(&birth->identity) : 0;
	if (status < 0) {
		child_fail(birth->report, CHILD_PRIVILEGES, -status);
	}
	status = privilege_bind_to_parent(parent, false);
	if (status < 0) {
		child_fail(birth->report, CHILD_PARENT, -status);
	}
	binary = child_arrange_descriptors(birth->channel, birth->binary);
	if (binary < 0) {
		child_fail(birth->report, CHILD_DESCRIPTORS, -binary);
	}
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)execveat(binary, "", space->argv, space->environment, AT_EMPTY_PATH);
	child_fail(birth->report, CHILD_EXEC, errno);
}

int
child_start(const struct child_birth *birth, pid_t *pid)
{
	struct inherit inherit = {birth->role, birth->slot, CHILD_CHANNEL_FD};
	struct inherit_space space;
	sigset_t all, before;
	pid_t parent = getpid();
	int error;
	pid_t child;

	inherit_write(&inherit, &space);
	atomic_store(&birth->report->stage, CHILD_BORN);
	/* No signal may meet the master's handlers in the child. */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	child = fork();
	error = errno;
	if (child == 0) {
		child_run(birth, &space, parent);
	}
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (child < 0) {
		return -error;
	}
	*pid = child;
	return 0;
}

const char *
child_explain(const struct child_report *report, char *buffer, size_t size)
{
	static const char *const words[] = {
		[CHILD_PRIVILEGES] = "cannot give up its privileges",
		[CHILD_PARENT] = "cannot tie itself to the master",
		[CHILD_DESCRIPTORS] = "cannot arrange its descriptors",
		[CHILD_EXEC] = "cannot execute its program",
	};
	int32_t stage = atomic_load(&report->stage);

	buffer[0] = '\0';
	if (stage > CHILD_BORN && stage < (int32_t)ARRAY_LEN(words)) {
		(void)snprintf(buffer, size, "%s: %s", words[stage],
			strerror(atomic_load(&report->error)));
	}
	return buffer;
}
