/* The check before an upgrade. The child has a copy of the master's table of descriptors, so what
 * it lets through its own exec stays close-on-exec in the master. */
#include "master/upgrade_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "common/fault.h"
#include "common/inherit.h"
#include "common/text.h"
#include "master/child.h"
#include "master/upgrade_state.h"
#include "master/upgrade_verdict.h"

#define PIECES_PER_TURN 64

/* What the child needs; made before the fork, because allocating after it may wait for ever. */
struct candidate {
	int program, memory, words;
	const struct upgrade_state *state;
	struct child_report *report;
	char **environment;
};

static int
let_through(int fd, const char *what, void *arg)
{
	const bool *passes = arg;

	(void)what;
	return fcntl(fd, F_SETFD, *passes ? 0 : FD_CLOEXEC) == 0 ? 0 : -errno;
}

int
upgrade_let_through(const struct upgrade_state *state, int memory, bool passes)
{
	int status = let_through(memory, "state", &passes);

	return status == 0 ? upgrade_state_visit(state, let_through, &passes) : status;
}

static NORETURN void
candidate_run(const struct candidate *candidate, pid_t parent)
{
	static char title[] = "acceptd: check of an upgrade";
	char *argv[] = {title, NULL};
	sigset_t none;
	int status;

	child_reset_signals();
	(void)setsid();
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) {
		child_fail(candidate->report, CHILD_PARENT, ESRCH);
	}
	status = upgrade_let_through(candidate->state, candidate->memory, true);
	if (status != 0 || dup2(candidate->words, STDOUT_FILENO) < 0 ||
		dup2(candidate->words, STDERR_FILENO) < 0) {
		child_fail(candidate->report, CHILD_DESCRIPTORS, status != 0 ? -status : errno);
	}
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)execveat(candidate->program, "", argv, candidate->environment, AT_EMPTY_PATH);
	child_fail(candidate->report, CHILD_EXEC, errno);
}

/* @return the pid, or negative errno */
static int
candidate_fork(const struct candidate *candidate)
{
	sigset_t all, before;
	pid_t parent = getpid();
	pid_t child;
	int error;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	child = fork();
	error = errno;
	if (child == 0) {
		candidate_run(candidate, parent);
	}
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return child < 0 ? -error : (int)child;
}

/* The word comes last: when there is no room, the first half goes. */
static void
probe_make_room(struct upgrade_probe *probe)
{
	if (probe->said_len == sizeof(probe->said) - 1) {
		probe->said_len /= 2;
		memmove(probe->said, probe->said + sizeof(probe->said) - 1 - probe->said_len,
			probe->said_len);
	}
}

/* @return whether there may be more */
static bool
probe_read_words(struct upgrade_probe *probe)
{
	int pieces = 0;
	ssize_t len;

	do {
		probe_make_room(probe);
		len = read(probe->words, probe->said + probe->said_len,
			sizeof(probe->said) - 1 - probe->said_len);
		probe->said_len += len > 0 ? (size_t)len : 0;
	} while (len > 0 && ++pieces < PIECES_PER_TURN);
	return len > 0 || (len < 0 && errno == EAGAIN);
}

static void
probe_on_words(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void)events;
	if (!probe_read_words(container_of(watcher, struct upgrade_probe, watcher))) {
		ev_io_stop(loop, watcher);
	}
}

static void
probe_close_words(struct upgrade_probe *probe, struct ev_loop *loop)
{
	ev_io_stop(loop, &probe->watcher);
	descriptor_close(&probe->words);
}

static void
probe_on_late(struct ev_loop *loop, struct loop_timer *timer)
{
	struct upgrade_probe *probe = container_of(timer, struct upgrade_probe, patience);

	(void)loop;
	probe->is_late = true;
	upgrade_probe_kill(probe);
}

static int
probe_prepare(struct upgrade_probe *probe, struct candidate *candidate, struct fault *why)
{
	struct inherit inherit = {.role = ROLE_CANDIDATE, .channel = candidate->memory};
	int ends[2];

	if (probe->report == NULL) {
		probe->report = child_reports_new(1);
	}
	candidate->environment = inherit_environment(&inherit);
	if (probe->report == NULL || candidate->environment == NULL) {
		return fault_set(why, ENOMEM, "cannot start its check");
	}
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
		return fault_set(why, errno, "cannot start its check: pipe");
	}
	probe->words = ends[0];
	candidate->words = ends[1];
	/* Only our end: a child that writes much waits for us rather than losing it. */
	(void)fcntl(candidate->words, F_SETFL, 0);
	atomic_store(&probe->report->stage, CHILD_BORN);
	candidate->report = probe->report;
	return 0;
}

int
upgrade_probe_start(struct upgrade_probe *probe, struct ev_loop *loop, int program, int memory,
	const struct upgrade_state *state, int64_t timeout_ms, struct fault *why)
{
	struct candidate candidate = {
		.program = program, .memory = memory, .words = -1, .state = state};
	int status;

	probe->words = -1;
	probe->is_late = false;
	probe->timeout_ms = timeout_ms;
	status = probe_prepare(probe, &candidate, why);
	if (status == 0) {
		int pid = candidate_fork(&candidate);

		status = pid < 0 ? fault_set(why, -pid, "cannot start its check: fork") : 0;
		probe->pid = pid > 0 ? (pid_t)pid : 0;
	}
	descriptor_close(&candidate.words);
	free(candidate.environment);
	if (status != 0) {
		descriptor_close(&probe->words);
		return status;
	}
	probe->said_len = 0;
	ev_io_init(&probe->watcher, probe_on_words, probe->words, EV_READ);
	ev_io_start(loop, &probe->watcher);
	loop_timer_init(&probe->patience, probe_on_late);
	loop_timer_start(loop, &probe->patience, timeout_ms);
	return 0;
}

void
upgrade_probe_kill(struct upgrade_probe *probe)
{
	if (probe->pid > 0) {
		(void)kill(probe->pid, SIGKILL);
	}
}

bool
upgrade_probe_end(
	struct upgrade_probe *probe, struct ev_loop *loop, int status, struct text *sentence)
{
	char unborn[256] = "";
	struct upgrade_evidence evidence = {.status = status,
		.unborn = unborn,
		.timeout_ms = probe->is_late ? probe->timeout_ms : 0,
		.words = probe->said};

	probe->pid = 0;
	loop_timer_stop(loop, &probe->patience);
	(void)probe_read_words(probe);
	probe_close_words(probe, loop);
	for (size_t i = 0; i < probe->said_len; i++) {
		probe->said[i] = probe->said[i] == '\0' ? ' ' : probe->said[i];
	}
	probe->said[probe->said_len] = '\0';
	if (status == W_EXITCODE(CHILD_NOT_BORN, 0)) {
		(void)child_explain(probe->report, unborn, sizeof(unborn));
	}
	return upgrade_judge(&evidence, sentence);
}

void
upgrade_probe_close(struct upgrade_probe *probe, struct ev_loop *loop)
{
	if (probe->pid > 0) {
		upgrade_probe_kill(probe);
		loop_timer_stop(loop, &probe->patience);
		probe_close_words(probe, loop);
	}
	child_reports_free(&probe->report, 1);
}
