/* Connecting without waiting. A fresh socket has every option off, so only what is wanted costs a
 * call, and what only matters later is asked for later. */
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "common/net.h"

static int
set_option(int fd, int level, int name, int64_t value)
{
	int number = (int)value;

	return setsockopt(fd, level, name, &number, sizeof(number)) < 0 ? -errno : 0;
}

static int
prepare(int fd, const struct address *source, const struct net_options *options, bool is_tcp)
{
	int error = 0;

	if (is_tcp && options->no_delay) {
		error = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	}
	if (error == 0 && is_tcp && options->user_timeout_ms > 0) {
		error = set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, options->user_timeout_ms);
	}
	if (error == 0 && source != NULL) {
		error = set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	}
	if (error == 0 && source != NULL && bind(fd, &source->any, source->len) < 0) {
		error = -errno;
	}
	return error;
}

/* A unix socket whose accept queue is full says EAGAIN and cannot be waited for: to the caller it
 * refuses. */
static int
begin(int fd, const struct address *address)
{
	if (connect(fd, &address->any, address->len) == 0 || errno == EINPROGRESS) {
		return 0;
	}
	return errno == EAGAIN && address->any.sa_family == AF_UNIX ? -ECONNREFUSED : -errno;
}

int
net_connect(const struct address *address, const struct address *source,
	const struct net_options *options)
{
	int family = address->any.sa_family;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0) {
		return -errno;
	}
	error = prepare(fd, source, options, family != AF_UNIX);
	if (error == 0) {
		error = begin(fd, address);
	}
	if (error != 0) {
		(void)close(fd);
		return error == -EAGAIN ? -EADDRNOTAVAIL : error; /* connect(2): no free port */
	}
	return fd;
}

/* A unix socket is connected at once or never. */
int
net_connect_again(int fd, const struct address *address)
{
	if (address->any.sa_family == AF_UNIX || connect(fd, &address->any, address->len) == 0 ||
		errno == EISCONN) {
		return 0;
	}
	return errno == EALREADY ? -EINPROGRESS : -errno;
}

/* One that was answered and ended already is in a later state than ESTABLISHED; the socket's error
 * tells it from one that failed. */
int
net_connect_check(int fd, unsigned *syn_retries)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	*syn_retries = 0;
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0) {
		return errno == EOPNOTSUPP || errno == ENOPROTOOPT ? 0 : -errno;
	}
	*syn_retries = info.tcpi_total_retrans;
	if (info.tcpi_state == TCP_SYN_SENT) {
		return -EINPROGRESS;
	}
	return info.tcpi_state == TCP_ESTABLISHED ? 0 : -net_socket_error(fd);
}

/* The idle time last: set on a connection that is kept alive already, it counts from the last
 * segment, while SO_KEEPALIVE counts from now (tcp_sock_set_keepidle_locked). */
int
net_keep_alive(int fd, const struct net_options *options)
{
	const struct {
		int level, name;
		int64_t value;
	} rows[] = {
		{IPPROTO_TCP, TCP_KEEPINTVL, (options->keepalive_interval_ms + 999) / 1000},
		{IPPROTO_TCP, TCP_KEEPCNT, options->keepalive_probes},
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, (options->keepalive_idle_ms + 999) / 1000},
	};
	int error = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows) && error == 0; i++) {
		error = set_option(fd, rows[i].level, rows[i].name, rows[i].value);
	}
	return error;
}
