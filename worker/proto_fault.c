/* For tests only: each line a client sends is a way to damage the worker that serves it. What does
 * not end or stop the worker is answered with "ok", anything else with "unknown". */
#include "build.h"

#ifdef WITH_FAULTS
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "worker/conn.h"
#include "worker/protocol.h"

extern const struct protocol protocol_fault;

struct fault_state {
	size_t len;
	char line[64];
};

static void
fault_segv(unsigned long number)
{
	*(volatile int *)(uintptr_t)number = 0;
}

static void
fault_abort(unsigned long number)
{
	(void)number;
	abort();
}

static void
fault_loop(unsigned long number)
{
	for (volatile unsigned long turns = number;; turns++) {
	}
}

/* Ends only with the stack: the depth is never reached. What follows the call keeps the compiler
 * from making a loop of it. */
static unsigned long
fault_recurse(unsigned long depth)
{
	volatile char frame[1024];

	frame[depth % sizeof(frame)] = (char)depth;
	return depth == ULONG_MAX ? 0 : fault_recurse(depth + 1) + (unsigned long)frame[0];
}

static void
fault_stack(unsigned long number)
{
	(void)fault_recurse(number);
}

static void
fault_exit(unsigned long status)
{
	_exit((int)status);
}

static void
fault_stop(unsigned long number)
{
	(void)number;
	(void)raise(SIGSTOP);
}

static void
fault_block(unsigned long milliseconds)
{
	struct timespec rest = {.tv_sec = (time_t)(milliseconds / 1000),
		.tv_nsec = (long)(milliseconds % 1000) * 1000000};

	while (nanosleep(&rest, &rest) != 0) {
	}
}

/* For all that the compiler knows, somebody reads it: otherwise it leaves the memory out. */
static char *volatile last_leak;

static void
fault_leak(unsigned long bytes)
{
	last_leak = malloc(bytes);
	if (last_leak != NULL) {
		memset(last_leak, 1, bytes);
	}
}

/* State D: vfork(2) waits for its child where no signal but SIGKILL reaches it. The child ends with
 * us. */
static void
fault_disk(unsigned long number)
{
	pid_t parent = getpid(), child;

	(void)number;
	child = vfork();
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() == parent) {
			(void)pause();
		}
		_exit(0);
	}
}

static const struct {
	const char *word;
	void (*act)(unsigned long number);
} faults[] = {
	{"segv", fault_segv},
	{"abort", fault_abort},
	{"loop", fault_loop},
	{"stack", fault_stack},
	{"exit", fault_exit},
	{"stop", fault_stop},
	{"block", fault_block},
	{"leak", fault_leak},
	{"disk", fault_disk},
};

static const char *
fault_obey(char *line)
{
	char *rest, *word = strtok_r(line, " \r", &rest);
	char *number = word == NULL ? NULL : strtok_r(NULL, " \r", &rest);

	for (size_t i = 0; word != NULL && i < ARRAY_LEN(faults); i++) {
		if (strcmp(word, faults[i].word) == 0) {
			faults[i].act(number == NULL ? 0 : strtoul(number, NULL, 10));
			return "ok\n";
		}
	}
	return "unknown\n";
}

static struct verdict
fault_on_received(struct conn *conn, const unsigned char *bytes, size_t len)
{
	struct fault_state *state = conn_state(conn);
	struct verdict verdict = verdict_go_on();

	for (size_t i = 0; i < len && verdict.kind == VERDICT_GO_ON; i++) {
		if (bytes[i] == '\n') {
			const char *answer;

			state->line[state->len] = '\0';
			state->len = 0;
			answer = fault_obey(state->line);
			verdict = conn_send(conn, answer, strlen(answer));
		} else if (state->len + 1 < sizeof(state->line)) {
			state->line[state->len++] = (char)bytes[i];
		} else {
			verdict = verdict_done(CLOSE_protocol_error);
		}
	}
	return verdict;
}

const struct protocol protocol_fault = {
	.name = "fault",
	.state_size = sizeof(struct fault_state),
	.on_received = fault_on_received,
};
#endif
