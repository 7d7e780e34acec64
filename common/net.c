/* Listening sockets and what can be asked of one connection. What a listener's queue says is in
 * net_queue.c, who holds a port in net_owner.c. */
#include "common/net.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "common/fault.h"

enum { PRIVILEGED_PORTS = 1024, PERMISSIONS = 0777 };

static int
set_int(int fd, int level, int name, int64_t value, const char *label, struct fault *why)
{
	int number = value > INT_MAX ? INT_MAX : (int)value;

	if (setsockopt(fd, level, name, &number, sizeof(number)) < 0) {
		return fault_set(why, errno, "cannot set %s to %d", label, number);
	}
	return 0;
}

static int
get_int(int fd, int level, int name)
{
	int number = 0;
	socklen_t len = sizeof(number);

	return getsockopt(fd, level, name, &number, &len) < 0 ? -errno : number;
}

static int64_t
seconds_of(int64_t duration_ms)
{
	return duration_ms / 1000 + (duration_ms % 1000 > 0);
}

static int
set_tcp_options(int fd, const struct net_options *options, struct fault *why)
{
	bool has_keepalive = options->keepalive_idle_ms > 0;
	const struct {
		int level, name;
		int64_t value;
		const char *label;
		bool is_wanted;
	} rows[] = {
		{IPPROTO_TCP, TCP_NODELAY, options->no_delay, "no-delay", true},
		{IPPROTO_TCP, TCP_KEEPIDLE, seconds_of(options->keepalive_idle_ms),
			"the keepalive idle time in seconds", has_keepalive},
		{IPPROTO_TCP, TCP_KEEPINTVL, seconds_of(options->keepalive_interval_ms),
			"the keepalive interval in seconds", has_keepalive},
		{IPPROTO_TCP, TCP_KEEPCNT, options->keepalive_probes,
			"the number of keepalive probes", has_keepalive},
		{SOL_SOCKET, SO_KEEPALIVE, has_keepalive, "keepalive", true},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, options->user_timeout_ms,
			"the user timeout in milliseconds", true},
	};
	int status = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows) && status == 0; i++) {
		if (rows[i].is_wanted) {
			status = set_int(
				fd, rows[i].level, rows[i].name, rows[i].value, rows[i].label, why);
		}
	}
	return status;
}

/* The path is held open while its permissions change, so that nobody can put another file in its
 * place. */
static int
set_path_mode(const char *path, mode_t mode, struct fault *why)
{
	char held[32];
	struct stat found;
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int status = 0;

	if (fd < 0) {
		return fault_set(why, errno, "its path %s is lost", path);
	}
	(void)snprintf(held, sizeof(held), "/proc/self/fd/%d", fd);
	if (fstat(fd, &found) < 0 || !S_ISSOCK(found.st_mode)) {
		status = fault_say(
			why, ENOTSOCK, "its path %s is lost: another file is there", path);
	} else if ((found.st_mode & PERMISSIONS) != mode && chmod(held, mode) < 0) {
		status = fault_set(why, errno, "cannot set the permissions of %s to %04o", path,
			(unsigned)mode);
	}
	descriptor_close(&fd);
	return status;
}

static int
set_unix_options(int fd, const struct net_options *options, struct fault *why)
{
	struct address bound = {.len = sizeof(bound.un)};

	if (getsockname(fd, &bound.any, &bound.len) < 0) {
		return fault_set(why, errno, "cannot find the path of the unix socket");
	}
	if (bound.len <= offsetof(struct sockaddr_un, sun_path) || bound.un.sun_path[0] == '\0') {
		return 0; /* no path, no permissions */
	}
	return set_path_mode(bound.un.sun_path, options->unix_mode & PERMISSIONS, why);
}

static int
start_listening(int fd, const struct net_options *options, struct fault *why)
{
	int64_t backlog = options->backlog > 0 ? options->backlog : 0;
	struct net_queue queue;

	/* The kernel takes a negative number for the largest, so never let one through. */
	if (listen(fd, backlog > INT_MAX ? INT_MAX : (int)backlog) < 0) {
		return fault_set(
			why, errno, "cannot listen with a backlog of %lld", (long long)backlog);
	}
	if (net_listener_sample(fd, &queue) == 0 && !queue.is_listening) {
		return fault_say(why, ESHUTDOWN,
			"somebody shut the unix socket down; it can only be opened anew");
	}
	return 0;
}

int
net_listener_apply(int fd, const struct net_options *options, struct fault *why)
{
	int family = get_int(fd, SOL_SOCKET, SO_DOMAIN);
	int status;

	if (family < 0) {
		return fault_set(why, -family, "cannot look at the listening socket");
	}
	status = family == AF_UNIX ? set_unix_options(fd, options, why)
				   : set_tcp_options(fd, options, why);
	return status < 0 ? status : start_listening(fd, options, why);
}

/* @return 0 nobody, -EADDRINUSE somebody, or another negative errno */
static int
find_unix_listener(const struct address *address)
{
	int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int status;

	if (probe < 0) {
		return -errno;
	}
	status = connect(probe, &address->any, address->len) == 0 ? 0 : errno;
	descriptor_close(&probe);
	switch (status) {
	case ECONNREFUSED:
	case ENOENT:
		return 0;
	case 0:
	case EAGAIN:     /* its queue is full */
	case EPROTOTYPE: /* its datagrams are not for us */
		return -EADDRINUSE;
	default:
		return -status;
	}
}

/* Make way for bind, but never remove what is not a dead socket. */
static int
clear_path(const struct address *address, struct fault *why)
{
	const char *path = address->un.sun_path;
	struct stat found;
	int status;

	if (lstat(path, &found) < 0) {
		return errno == ENOENT ? 0 : fault_set(why, errno, "cannot look at %s", path);
	}
	if (!S_ISSOCK(found.st_mode)) {
		return fault_say(why, EEXIST,
			"cannot bind unix:%s: a file that is no socket is there; remove it, or "
			"choose another path",
			path);
	}
	status = find_unix_listener(address);
	if (status < 0) {
		return fault_set(why, -status, "cannot bind unix:%s", path);
	}
	if (unlink(path) < 0 && errno != ENOENT) {
		return fault_set(
			why, errno, "cannot remove unix:%s, which nobody listens on", path);
	}
	return 0;
}

static int
bind_unix(int fd, const struct address *address, mode_t mode, struct fault *why)
{
	mode_t mask;
	int status = clear_path(address, why);

	if (status < 0) {
		return status;
	}
	mask = umask(~mode & PERMISSIONS);
	if (bind(fd, &address->any, address->len) < 0) {
		status = fault_set(why, errno, "cannot bind unix:%s", address->un.sun_path);
	}
	(void)umask(mask);
	return status;
}

/* What an administrator can do about a refusal of bind(2); "" when the words of errno do. */
static const char *
bind_hint(const struct address *address, int error)
{
	if (error == EACCES && address_port(address) < PRIVILEGED_PORTS) {
		return " (ports below 1024 need root or CAP_NET_BIND_SERVICE)";
	}
	if (error == EADDRNOTAVAIL) {
		return " (no network interface of this machine has it)";
	}
	return "";
}

static int
bind_tcp(int fd, const struct address *address, struct fault *why)
{
	char name[ADDRESS_TEXT_MAX];
	int status = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR", why);

	if (status == 0 && address->any.sa_family == AF_INET6) {
		status = set_int(
			fd, IPPROTO_IPV6, IPV6_V6ONLY, !address->is_dual, "IPV6_V6ONLY", why);
	}
	if (status == 0 && bind(fd, &address->any, address->len) < 0) {
		int error = errno;

		status = fault_say(why, error, "cannot bind %s: %s%s",
			address_format(address, name), strerror(error), bind_hint(address, error));
	}
	return status;
}

static int
bind_to(int fd, const struct address *address, const struct net_options *options, struct fault *why)
{
	int status;

	if (address->any.sa_family == AF_UNIX) {
		return bind_unix(fd, address, options->unix_mode, why);
	}
	status = bind_tcp(fd, address, why);
	return status < 0 ? status : set_tcp_options(fd, options, why);
}

static int
listen_on(const struct address *address, const struct net_options *options, struct fault *why)
{
	char name[ADDRESS_TEXT_MAX];
	int status;
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		return fault_set(
			why, errno, "cannot open a socket for %s", address_format(address, name));
	}
	status = bind_to(fd, address, options, why);
	if (status == 0) {
		status = start_listening(fd, options, why);
		if (status < 0 && address->any.sa_family == AF_UNIX) {
			(void)unlink(address->un.sun_path);
		}
	}
	if (status < 0) {
		descriptor_close(&fd);
		return status;
	}
	return fd;
}

int
net_listen(const struct address *address, const struct net_options *options, struct fault *why)
{
	struct address any4 = {.len = sizeof(any4.in4)};
	int fd = listen_on(address, options, why);

	if (fd != -EAFNOSUPPORT || !address->is_dual) {
		return fd;
	}
	any4.in4.sin_family = AF_INET;
	any4.in4.sin_port = address->in6.sin6_port;
	return listen_on(&any4, options, why);
}

int
net_accept(int listener, union peer *peer)
{
	socklen_t len = sizeof(*peer);
	int fd;

	peer->any.sa_family = AF_UNSPEC;
	fd = accept4(listener, &peer->any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int
tcp_info(int fd, struct tcp_info *info)
{
	socklen_t len = sizeof(*info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len) < 0 ? -errno : 0;
}

int
net_accepted_info(int fd, struct net_accepted *accepted)
{
	struct tcp_info info;
	int status = tcp_info(fd, &info);

	if (status == 0) {
		accepted->queue_wait_ms = info.tcpi_last_data_sent;
		accepted->is_gone = info.tcpi_state == TCP_CLOSE;
	}
	return status;
}

int
net_peer_look(int fd, struct net_peer *peer)
{
	struct tcp_info info;
	int status = tcp_info(fd, &info);

	if (status == 0) {
		peer->unacknowledged = info.tcpi_unacked;
		peer->probes = info.tcpi_probes;
		peer->silent_ms = info.tcpi_last_ack_recv < info.tcpi_last_data_recv
					  ? info.tcpi_last_ack_recv
					  : info.tcpi_last_data_recv;
	}
	return status;
}

int64_t
net_unacknowledged_bytes(int fd)
{
	int bytes = 0;

	return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

void
net_reset_on_close(int fd)
{
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

int
net_socket_error(int fd)
{
	int error = get_int(fd, SOL_SOCKET, SO_ERROR);

	return error < 0 ? -error : error;
}

/* poll(2) tells of hard errors alone. */
int
net_connection_error(int fd)
{
	struct pollfd state = {.fd = fd};

	return poll(&state, 1, 0) == 1 && (state.revents & POLLERR) != 0 ? net_socket_error(fd) : 0;
}
