/*
 * load: a client that opens many sessions to an echo server, checks every byte that comes back and
 * prints what it measured as one JSON object. Here are the processes: start, hold, release, sum.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench_clock.h"
#include "tests/bench/load_plan.h"
#include "tests/bench/load_stats.h"
#include "tests/bench/load_stream.h"
#include "tests/bench/load_worker.h"

#define NS_PER_MS 1000000

/* A process that does not obey its own timeout is ended by the parent this much later. */
#define GRACE_S 10

struct child {
	pid_t pid;
	int control_fd;
	struct load_result *result;
};

struct run {
	struct load_plan plan;
	int64_t *start_ns; /* shared with the children, as are their results */
	struct child *children;
	size_t shared_bytes;
};

static void
die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void
run_init(struct run *run)
{
	struct load_result *results;
	unsigned count = run->plan.process_count;

	run->shared_bytes = sizeof(*results) * count + sizeof(*run->start_ns);
	results = mmap(
		NULL, run->shared_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	run->children = calloc(count, sizeof(*run->children));
	if (results == MAP_FAILED || run->children == NULL) {
		die("no memory");
	}
	run->start_ns = (int64_t *)(results + count);
	for (unsigned i = 0; i < count; i++) {
		run->children[i].result = &results[i];
	}
}

static void
run_fini(struct run *run)
{
	munmap(run->children[0].result, run->shared_bytes);
	free(run->children);
}

static void
child_main(struct run *run, unsigned index, int control_fd)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The ends of the elder children, else their parent's death would not show as an end. */
	for (unsigned i = 0; i < index; i++) {
		close(run->children[i].control_fd);
	}
	int status = load_worker_run(
		&run->plan, index, run->start_ns, control_fd, run->children[index].result);
	free(run->children);
	if (status < 0) {
		fprintf(stderr, "load: process %u: %s\n", index, strerror(-status));
	}
	exit(status < 0 ? 2 : 0);
}

static void
start_child(struct run *run, unsigned index)
{
	struct child *child = &run->children[index];
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		die("socketpair");
	}
	child->pid = fork();
	if (child->pid < 0) {
		die("fork");
	}
	if (child->pid == 0) {
		close(pair[0]);
		child_main(run, index, pair[1]);
	}
	close(pair[1]);
	child->control_fd = pair[0];
}

static void
await_message(const struct child *child, char expected)
{
	char message;

	/* An end instead of the message: the child is gone, and its sessions will be missed. */
	while (read(child->control_fd, &message, 1) == 1 && message != expected) {
	}
}

static void
await_all(const struct run *run, char message)
{
	for (unsigned i = 0; i < run->plan.process_count; i++) {
		await_message(&run->children[i], message);
	}
}

static void
tell_all(const struct run *run, char message)
{
	for (unsigned i = 0; i < run->plan.process_count; i++) {
		/* A child that is gone needs no message. */
		(void)send(run->children[i].control_fd, &message, 1, MSG_NOSIGNAL);
	}
}

static uint64_t
holding_count(const struct run *run)
{
	uint64_t established = 0;
	uint64_t ended = 0;

	for (unsigned i = 0; i < run->plan.process_count; i++) {
		established += run->children[i].result->sessions_established;
		ended += run->children[i].result->sessions_failed;
	}
	uint64_t left = run->plan.session_count - ended;
	return established < left ? established : left;
}

/* Says that all stand and waits for a line, for the end of input, or for the end of the time. */
static void
hold(const struct run *run)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	char line[256];

	await_all(run, LOAD_MESSAGE_ESTABLISHED);
	printf("holding %llu\n", (unsigned long long)holding_count(run));
	fflush(stdout);
	int64_t left_ns = *run->start_ns + run->plan.timeout_ms * NS_PER_MS - bench_clock_now_ns();
	if (left_ns > 0 && poll(&input, 1, (int)(left_ns / NS_PER_MS)) > 0) {
		(void)!read(STDIN_FILENO, line, sizeof(line));
	}
	tell_all(run, LOAD_MESSAGE_RELEASE);
}

static void
on_alarm(int signal_number)
{
	(void)signal_number;
	static const char text[] = "load: a process did not end in time\n";

	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(2);
}

/* A session of a child that died was neither well nor counted as failed. */
static void
count_missing(const struct run *run, struct load_result *sum)
{
	uint64_t counted = sum->sessions_ok + sum->sessions_failed;

	if (counted < run->plan.session_count) {
		load_result_add_failure(sum, "process_died", run->plan.session_count - counted);
	}
}

static void
print(const struct run *run, const struct load_result *sum)
{
	const struct load_plan *plan = &run->plan;

	printf("{\"mode\": \"%s\", \"target\": \"%s\", \"processes\": %u, \"sessions\": %llu, "
	       "\"rounds\": %llu, \"round_bytes\": %llu",
		plan->mode, plan->target_text, plan->process_count,
		(unsigned long long)plan->session_count, (unsigned long long)plan->rounds,
		(unsigned long long)plan->round_bytes);
	load_result_print_json(sum, *run->start_ns, stdout);
	printf("}\n");
}

static void
run_children(struct run *run)
{
	for (unsigned i = 0; i < run->plan.process_count; i++) {
		start_child(run, i);
	}
	await_all(run, LOAD_MESSAGE_READY);
	*run->start_ns = bench_clock_now_ns();
	tell_all(run, LOAD_MESSAGE_START);
	if (run->plan.holds) {
		hold(run);
	}
	for (unsigned i = 0; i < run->plan.process_count; i++) {
		waitpid(run->children[i].pid, NULL, 0);
	}
}

int
main(int argc, char **argv)
{
	static struct load_result sum;
	struct run run = {.plan = load_plan_read(argc, argv)};

	signal(SIGALRM, on_alarm);
	alarm((unsigned)(run.plan.timeout_ms / 1000) + GRACE_S);
	load_stream_init();
	run_init(&run);
	run_children(&run);
	for (unsigned i = 0; i < run.plan.process_count; i++) {
		load_result_merge(&sum, run.children[i].result);
	}
	count_missing(&run, &sum);
	print(&run, &sum);
	run_fini(&run);
	return sum.sessions_failed == 0 && sum.sessions_ok == run.plan.session_count ? 0 : 1;
}
