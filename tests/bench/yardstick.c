/* The listener and the processes of the yardsticks. */
#include "tests/bench/yardstick.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench_address.h"

#define PROCESSES_MAX 256

void
yardstick_die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	exit(2);
}

/* Who asked for any port wants to know which one it is. */
static void
tell_port(int fd, const struct bench_address *asked)
{
	struct bench_address given = {.len = sizeof(given.socket_address)};

	if (bench_address_port(asked) == 0 &&
		getsockname(fd, (struct sockaddr *)&given.socket_address, &given.len) == 0) {
		printf("port %u\n", bench_address_port(&given));
		fflush(stdout);
	}
}

int
yardstick_listen(const char *text, int backlog)
{
	struct bench_address address;
	int on = 1;

	if (bench_address_parse(text, &address) < 0) {
		errno = EINVAL;
		yardstick_die(text);
	}
	int fd = socket(
		bench_address_family(&address), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
		bind(fd, (struct sockaddr *)&address.socket_address, address.len) < 0 ||
		listen(fd, backlog) < 0) {
		yardstick_die(text);
	}
	tell_port(fd, &address);
	return fd;
}

uint64_t
yardstick_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
		yardstick_die("getrlimit");
	}
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}

void
yardstick_watch(int epoll_fd, int operation, int fd, uint32_t events, void *owner)
{
	struct epoll_event event = {.events = events, .data.ptr = owner};

	if (epoll_ctl(epoll_fd, operation, fd, &event) < 0) {
		yardstick_die("epoll_ctl");
	}
}

int
yardstick_run(int process_count, void (*serve)(void *argument), void *argument)
{
	if (process_count < 1 || process_count > PROCESSES_MAX) {
		fprintf(stderr, "%s: 1 to %d processes\n", program_invocation_short_name,
			PROCESSES_MAX);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN); /* splice(2) has no MSG_NOSIGNAL */
	for (int i = 0; i < process_count; i++) {
		pid_t pid = fork();

		if (pid < 0) {
			yardstick_die("fork");
		}
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			/*
			 * Workers of a real server have sessions of their own, and the kernel's
			 * autogroups share the CPU by session: in one session, these would be run
			 * in larger and cheaper batches.
			 */
			setsid();
			serve(argument);
		}
	}
	/* A process that ends is a fault of the yardstick: end all, so that the run fails loudly.
	 */
	wait(NULL);
	return 1;
}
