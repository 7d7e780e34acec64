/* Real sockets on loopback for the tests of common/net*: ports are chosen by the kernel, nothing
 * waits for time but poll(2) with a generous limit. */
#pragma once

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/address.h"
#include "common/fault.h"
#include "common/net.h"

#define HELP_WAIT_MS 10000 /* a SYN is sent again after one second */

static const struct net_options help_options UNUSED = {.backlog = 16, .unix_mode = 0600};

static inline struct address
help_address(const char *string)
{
	struct address address;
	struct fault why = {0};

	ck_assert_msg(address_parse(string, &address, &why) == 0, "%s", why.text);
	return address;
}

/* A host of IPv6 on a machine that has none (many containers): says so, and the test is over. */
static inline bool
help_is_skipped(const char *host)
{
	const struct sockaddr_in6 loopback = {
		.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool has_ipv6 =
		fd >= 0 && bind(fd, (const struct sockaddr *)&loopback, sizeof(loopback)) == 0;

	if (fd >= 0) {
		close(fd);
	}
	if (!has_ipv6 && strchr(host, ':') != NULL) {
		printf("skipped %s: no IPv6 here\n", host);
		return true;
	}
	return false;
}

/* "127.0.0.1", "[::1]" or "*" with a port that the kernel chooses. */
static inline struct address
help_any_port(const char *host)
{
	char string[ADDRESS_TEXT_MAX];
	struct address address;

	(void)snprintf(string, sizeof(string), "%s:1", host);
	address = help_address(string);
	if (address.any.sa_family == AF_INET) {
		address.in4.sin_port = 0;
	} else {
		address.in6.sin6_port = 0;
	}
	return address;
}

/* What a socket is really bound to. */
static inline struct address
help_bound(int fd, bool is_dual)
{
	struct address address = {.is_dual = is_dual};

	address.len = sizeof(address.un);
	ck_assert_int_eq(getsockname(fd, &address.any, &address.len), 0);
	return address;
}

/* An address that nobody listens on: its port was the kernel's choice for a moment. */
static inline struct address
help_free_address(void)
{
	struct address any = help_any_port("127.0.0.1");
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct address bound;

	ck_assert_int_eq(bind(fd, &any.any, any.len), 0);
	bound = help_bound(fd, false);
	close(fd);
	return bound;
}

static inline int
help_listen(const struct address *address, const struct net_options *options)
{
	struct fault why = {0};
	int fd = net_listen(address, options, &why);

	ck_assert_msg(fd >= 0, "%s", why.text);
	return fd;
}

/* A listener whose port is bound by number, which shutdown and listen again do not change. */
static inline int
help_listen_explicit(int64_t backlog, struct address *address)
{
	struct net_options options = help_options;
	struct address any = help_any_port("127.0.0.1");
	int fd = help_listen(&any, &options);

	options.backlog = backlog;
	*address = help_bound(fd, false);
	close(fd);
	return help_listen(address, &options);
}

/* A client whose connection is begun and, on loopback, done unless the listener drops it. */
static inline int
help_connect(const struct address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int status;

	ck_assert_int_ge(fd, 0);
	status = connect(fd, &address->any, address->len);
	ck_assert_msg(status == 0 || errno == EINPROGRESS, "connect: %s", strerror(errno));
	return fd;
}

static inline bool
help_waits(int fd, short events, int wait_ms)
{
	struct pollfd state = {.fd = fd, .events = events};

	return poll(&state, 1, wait_ms) == 1;
}

static inline bool
help_is_connected(int fd, int wait_ms)
{
	return help_waits(fd, POLLOUT, wait_ms) && net_socket_error(fd) == 0;
}

static inline int
help_accept(int listener)
{
	union peer peer;
	int fd;

	ck_assert(help_waits(listener, POLLIN, HELP_WAIT_MS));
	fd = net_accept(listener, &peer);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* From now on it hears nothing, and so acknowledges nothing: no packet has so long a life. */
static inline void
help_make_deaf(int fd)
{
	const int longest = 255;

	ck_assert_int_eq(setsockopt(fd, IPPROTO_IP, IP_MINTTL, &longest, sizeof(longest)), 0);
}

static inline struct net_queue
help_sample(int fd)
{
	struct net_queue queue;

	ck_assert_int_eq(net_listener_sample(fd, &queue), 0);
	return queue;
}
