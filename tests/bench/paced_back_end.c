/*
 * A weak back end: one thread, a short accept queue, and so many accepts a second, whoever knocks.
 * What does not fit into its queue the kernel drops, as it does for every program with a short
 * backlog. Everybody who got in is echoed at once.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tests/bench/yardstick.h"

#define EVENTS_MAX    64
#define SCRATCH_BYTES 65536
#define NS_PER_S      1000000000L

/* Who comes late may make up for so much of a second, but does not swallow a crowd. */
#define CATCH_UP_PER_S 200

struct back_end {
	int listener_fd;
	int timer_fd;
	int epoll_fd;
	uint64_t accepts_per_tick_max;
};

static void
start_timer(struct back_end *server, long accepts_per_s)
{
	struct timespec tick = {
		.tv_sec = accepts_per_s == 1 ? 1 : 0,
		.tv_nsec = accepts_per_s == 1 ? 0 : NS_PER_S / accepts_per_s,
	};
	struct itimerspec ticks = {.it_interval = tick, .it_value = tick};

	server->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (server->timer_fd < 0 || timerfd_settime(server->timer_fd, 0, &ticks, NULL) < 0) {
		yardstick_die("timerfd");
	}
	server->accepts_per_tick_max = 1 + (uint64_t)accepts_per_s / CATCH_UP_PER_S;
	yardstick_watch(server->epoll_fd, EPOLL_CTL_ADD, server->timer_fd, EPOLLIN, NULL);
}

/* Each tick is the right to accept one; with nobody there it lapses. */
static void
on_ticks(struct back_end *server)
{
	uint64_t ticks = 0;

	if (read(server->timer_fd, &ticks, sizeof(ticks)) != sizeof(ticks)) {
		return;
	}
	if (ticks > server->accepts_per_tick_max) {
		ticks = server->accepts_per_tick_max;
	}
	for (uint64_t i = 0; i < ticks; i++) {
		int fd = accept4(server->listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			return;
		}
		yardstick_watch(server->epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN,
			(void *)(uintptr_t)(unsigned)fd);
	}
}

/* Its clients send a word and wait: a socket that takes less has a broken client. */
static void
on_client(int fd)
{
	static char scratch[SCRATCH_BYTES];
	ssize_t got = recv(fd, scratch, sizeof(scratch), 0);

	if (got <= 0 || send(fd, scratch, (size_t)got, MSG_NOSIGNAL) != got) {
		close(fd);
	}
}

static void
serve(struct back_end *server)
{
	struct epoll_event events[EVENTS_MAX];

	for (;;) {
		int count = epoll_wait(server->epoll_fd, events, EVENTS_MAX, -1);

		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == NULL) {
				on_ticks(server);
			} else {
				on_client((int)(uintptr_t)events[i].data.ptr);
			}
		}
	}
}

int
main(int argc, char **argv)
{
	struct back_end server = {.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
	const char *listen_text = "127.0.0.1:7100";
	long accepts_per_s = 2000;
	int backlog = 50;
	int option;

	while ((option = getopt(argc, argv, "l:b:a:")) != -1) {
		switch (option) {
		case 'l':
			listen_text = optarg;
			break;
		case 'b':
			backlog = atoi(optarg);
			break;
		case 'a':
			accepts_per_s = atol(optarg);
			break;
		default:
			accepts_per_s = 0;
		}
	}
	if (backlog < 1 || accepts_per_s < 1 || accepts_per_s > NS_PER_S) {
		fprintf(stderr, "usage: paced_back_end [-l ADDRESS:PORT] [-b BACKLOG] "
				"[-a ACCEPTS_A_SECOND]\n");
		return 2;
	}
	(void)yardstick_descriptor_limit();
	server.listener_fd = yardstick_listen(listen_text, backlog);
	start_timer(&server, accepts_per_s);
	serve(&server);
}
