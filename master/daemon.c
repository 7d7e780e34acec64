/* Going to the background. */
#include "master/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fault.h"

#define DAEMON_FAILED 1

/* The terminal's process: it owns nothing, so it leaves without running anybody's exit handlers. */
static NORETURN void
daemon_wait(int report, pid_t child)
{
	unsigned char status = DAEMON_FAILED;
	ssize_t len;

	/* The child in between ends at once; collect it so that no zombie is left to init. */
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
	}
	do {
		len = read(report, &status, sizeof(status));
	} while (len < 0 && errno == EINTR);
	if (len != sizeof(status)) {
		(void)fputs("acceptd: the process in the background ended before it could serve; "
			    "its log says why\n",
			stderr);
		status = DAEMON_FAILED;
	}
	(void)fflush(NULL);
	_exit(status);
}

static int
daemon_fork(int pipe_ends[2], struct fault *why)
{
	pid_t child = fork();

	if (child < 0) {
		return fault_set(why, errno, "cannot go to the background: fork");
	}
	if (child > 0) {
		(void)close(pipe_ends[1]);
		daemon_wait(pipe_ends[0], child);
	}
	return 0;
}

/* Out of the caller's session. */
static int
daemon_detach(struct fault *why)
{
	if (setsid() < 0) {
		return fault_set(why, errno, "cannot go to the background: setsid");
	}
	/* A session's leader could get a terminal by opening one; its child cannot. */
	switch (fork()) {
	case -1:
		return fault_set(why, errno, "cannot go to the background: second fork");
	case 0:
		break;
	default:
		_exit(0);
	}
	return 0;
}

static int
daemon_leave_terminal(struct daemon *daemon, struct fault *why)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	daemon->terminal = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (null < 0 || daemon->terminal < 0) {
		return fault_set(why, errno, "cannot leave the terminal");
	}
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		(void)dup2(null, fd);
	}
	(void)close(null);
	return 0;
}

int
daemon_start(struct daemon *daemon, struct fault *why)
{
	int pipe_ends[2];
	int status;

	(void)fflush(NULL); /* or both processes print what is in the buffers */
	if (pipe2(pipe_ends, O_CLOEXEC) != 0) {
		return fault_set(why, errno, "cannot go to the background: pipe");
	}
	status = daemon_fork(pipe_ends, why);
	if (status != 0) {
		(void)close(pipe_ends[0]);
		(void)close(pipe_ends[1]);
		return status;
	}
	(void)close(pipe_ends[0]);
	daemon->report = pipe_ends[1];
	status = daemon_detach(why);
	if (status != 0) {
		return status;
	}
	(void)umask(022);
	if (chdir("/") != 0) {
		return fault_set(why, errno, "cannot change to directory /");
	}
	return daemon_leave_terminal(daemon, why);
}

void
daemon_say(const struct daemon *daemon, const char *sentence)
{
	if (daemon->terminal >= 0) {
		(void)dprintf(daemon->terminal, "acceptd: %s\n", sentence);
	}
}

void
daemon_report(struct daemon *daemon, int status)
{
	unsigned char byte = (unsigned char)status;

	if (daemon->terminal >= 0) {
		(void)close(daemon->terminal);
		daemon->terminal = -1;
	}
	if (daemon->report < 0) {
		return;
	}
	while (write(daemon->report, &byte, sizeof(byte)) < 0 && errno == EINTR) {
	}
	(void)close(daemon->report);
	daemon->report = -1;
}

int
daemon_open_standard_streams(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0) {
		return -errno;
	}
	(void)close(fd);
	return 0;
}
