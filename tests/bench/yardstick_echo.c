/*
 * The least echo server that is still correct: N processes share one listener, each with a
 * level-triggered epoll set of its own, and send back what they read. It has no timeouts, no
 * statistics, no limits and no supervision: what it spends per operation is what the kernel asks,
 * and so it is the yardstick for servers that do have them.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/yardstick.h"

#define EVENTS_MAX     256
#define SCRATCH_BYTES  65536
#define SPARE_FD_COUNT 16

/* What a client has not taken yet. Rare: only clients that send faster than they read have one. */
struct pending {
	size_t begin;
	size_t end;
	char bytes[SCRATCH_BYTES];
};

struct plan {
	int listener_fd;
	bool takes_turns;
};

struct yardstick {
	int listener_fd;
	int epoll_fd;
	bool is_listening;
	bool takes_turns;
	size_t open_count;
	size_t open_max;
	struct pending **pending_by_fd;
	char scratch[SCRATCH_BYTES];
};

static void
watch(struct yardstick *server, int operation, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	if (epoll_ctl(server->epoll_fd, operation, fd, &event) < 0) {
		yardstick_die("epoll_ctl");
	}
}

/* With a shared queue a process that is full must leave it to the others, or it takes their
 * wake-ups. */
static void
follow_open_count(struct yardstick *server)
{
	bool should_listen = server->open_count < server->open_max;

	if (should_listen == server->is_listening) {
		return;
	}
	watch(server, should_listen ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, server->listener_fd,
		EPOLLIN | EPOLLEXCLUSIVE);
	server->is_listening = should_listen;
}

/* The kernel wakes the process that joined first: who rejoins is last in the row. */
static void
leave_and_rejoin(struct yardstick *server)
{
	watch(server, EPOLL_CTL_DEL, server->listener_fd, 0);
	watch(server, EPOLL_CTL_ADD, server->listener_fd, EPOLLIN | EPOLLEXCLUSIVE);
}

static void
client_close(struct yardstick *server, int fd)
{
	free(server->pending_by_fd[fd]);
	server->pending_by_fd[fd] = NULL;
	close(fd);
	server->open_count--;
	follow_open_count(server);
}

static void
client_accept(struct yardstick *server)
{
	int fd = accept4(server->listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		return;
	}
	watch(server, EPOLL_CTL_ADD, fd, EPOLLIN);
	server->open_count++;
	if (server->takes_turns) {
		leave_and_rejoin(server);
	}
	follow_open_count(server);
}

/* Keeps the bytes that the socket did not take and reads no more until they are gone. */
static bool
client_keep(struct yardstick *server, int fd, const char *bytes, size_t len)
{
	struct pending *pending = malloc(sizeof(*pending));

	if (pending == NULL) {
		return false;
	}
	memcpy(pending->bytes, bytes, len);
	pending->begin = 0;
	pending->end = len;
	server->pending_by_fd[fd] = pending;
	watch(server, EPOLL_CTL_MOD, fd, EPOLLOUT);
	return true;
}

static bool
client_echo(struct yardstick *server, int fd)
{
	ssize_t got = recv(fd, server->scratch, sizeof(server->scratch), 0);

	if (got <= 0) {
		return got < 0 && errno == EAGAIN;
	}
	ssize_t sent = send(fd, server->scratch, (size_t)got, MSG_NOSIGNAL);
	if (sent == got) {
		return true;
	}
	if (sent < 0 && errno != EAGAIN) {
		return false;
	}
	size_t taken = sent < 0 ? 0 : (size_t)sent;
	return client_keep(server, fd, server->scratch + taken, (size_t)got - taken);
}

static bool
client_flush(struct yardstick *server, int fd)
{
	struct pending *pending = server->pending_by_fd[fd];
	ssize_t sent = send(
		fd, pending->bytes + pending->begin, pending->end - pending->begin, MSG_NOSIGNAL);

	if (sent < 0) {
		return errno == EAGAIN;
	}
	pending->begin += (size_t)sent;
	if (pending->begin == pending->end) {
		free(pending);
		server->pending_by_fd[fd] = NULL;
		watch(server, EPOLL_CTL_MOD, fd, EPOLLIN);
	}
	return true;
}

static void
on_event(struct yardstick *server, int fd)
{
	if (fd == server->listener_fd) {
		client_accept(server);
		return;
	}
	bool goes_on = server->pending_by_fd[fd] != NULL ? client_flush(server, fd)
							 : client_echo(server, fd);
	if (!goes_on) {
		client_close(server, fd);
	}
}

static void
server_run(void *argument)
{
	const struct plan *plan = argument;
	static struct yardstick server;
	struct epoll_event events[EVENTS_MAX];
	uint64_t descriptor_limit = yardstick_descriptor_limit();

	server.listener_fd = plan->listener_fd;
	server.takes_turns = plan->takes_turns;
	server.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	server.open_max = descriptor_limit - SPARE_FD_COUNT;
	server.pending_by_fd = calloc(descriptor_limit, sizeof(struct pending *));
	if (server.epoll_fd < 0 || server.pending_by_fd == NULL) {
		yardstick_die("cannot start a process");
	}
	follow_open_count(&server);
	for (;;) {
		int count = epoll_wait(server.epoll_fd, events, EVENTS_MAX, -1);

		for (int i = 0; i < count; i++) {
			on_event(&server, events[i].data.fd);
		}
	}
}

int
main(int argc, char **argv)
{
	const char *listen_text = "127.0.0.1:7000";
	int process_count = 2;
	int backlog = 65535;
	bool takes_turns = false;
	int option;

	while ((option = getopt(argc, argv, "w:l:b:r")) != -1) {
		switch (option) {
		case 'w':
			process_count = atoi(optarg);
			break;
		case 'l':
			listen_text = optarg;
			break;
		case 'b':
			backlog = atoi(optarg);
			break;
		case 'r':
			takes_turns = true;
			break;
		default:
			fprintf(stderr, "usage: yardstick_echo [-w PROCESSES] [-l ADDRESS:PORT] "
					"[-b BACKLOG] [-r: accept in turns]\n");
			return 2;
		}
	}
	struct plan plan = {
		.listener_fd = yardstick_listen(listen_text, backlog),
		.takes_turns = takes_turns,
	};
	return yardstick_run(process_count, server_run, &plan);
}
