/* Socket activation by hand: LISTEN_PID says who is meant, LISTEN_FDS how many descriptors follow
 * from number 3 on. Which listener one is for is told by its address alone. */
#include "master/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/text.h"

int
activation_parse(const char *listen_pid, const char *listen_fds, pid_t self)
{
	int64_t number;

	if (listen_pid == NULL || listen_fds == NULL) {
		return 0;
	}
	if (text_parse_number(listen_pid, &number) != 0) {
		return -EINVAL;
	}
	if (number != self) {
		return 0;
	}
	if (text_parse_number(listen_fds, &number) != 0 || number < 0 || number > ACTIVATION_MAX) {
		return -EINVAL;
	}
	return (int)number;
}

int
activation_address_of(int fd, struct address *address)
{
	int v6only = 1;
	socklen_t len = sizeof(v6only);
	struct address found;

	memset(&found, 0, sizeof(found));
	found.len = sizeof(found.un);
	if (getsockname(fd, &found.any, &found.len) != 0) {
		return -errno;
	}
	if (found.any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&found.in6.sin6_addr) &&
		getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &len) == 0) {
		found.is_dual = v6only == 0;
	}
	*address = found;
	return 0;
}

static int
activation_socket_option(int fd, int option)
{
	int value;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -errno;
}

static int
activation_adopt(struct activation *activation, int fd, struct fault *why)
{
	struct activation_socket *socket = &activation->sockets[activation->count];
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0) {
		return fault_set(why, errno, "descriptor %d of the service manager", fd);
	}
	if (activation_socket_option(fd, SO_TYPE) != SOCK_STREAM ||
		activation_socket_option(fd, SO_ACCEPTCONN) != 1 ||
		activation_address_of(fd, &socket->address) != 0) {
		(void)close(fd);
		return fault_say(why, EINVAL,
			"descriptor %d of the service manager is not a listening stream socket; it "
			"was closed (in the .socket unit, use ListenStream= and Accept=no)",
			fd);
	}
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
		return fault_set(why, errno, "descriptor %d of the service manager", fd);
	}
	socket->fd = fd;
	activation->count++;
	return 0;
}

int
activation_open(struct activation *activation, int first, struct fault *why)
{
	int count = activation_parse(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), getpid());
	int status = 0;
	struct fault other;

	activation->count = 0;
	if (count < 0) {
		status = fault_say(why, EINVAL,
			"LISTEN_PID or LISTEN_FDS is damaged (a number of at most %d is "
			"allowed); the sockets of the service manager are not used",
			ACTIVATION_MAX);
	}
	for (int i = 0; i < count; i++) {
		int one = activation_adopt(activation, first + i, status == 0 ? why : &other);

		status = status == 0 ? one : status;
	}
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	return status;
}

int
activation_next_fd(const struct activation *activation)
{
	return activation->count == 0 ? ACTIVATION_FIRST_FD
				      : activation->sockets[activation->count - 1].fd + 1;
}

int
activation_take(struct activation *activation, const struct address *address)
{
	for (size_t i = 0; i < activation->count; i++) {
		struct activation_socket *socket = &activation->sockets[i];

		if (socket->fd >= 0 && address_equal(&socket->address, address)) {
			int fd = socket->fd;

			socket->fd = -1;
			return fd;
		}
	}
	return -1;
}

void
activation_give_back(struct activation *activation, int fd, const struct address *address)
{
	for (size_t i = 0; i < activation->count; i++) {
		struct activation_socket *socket = &activation->sockets[i];

		if (socket->fd < 0 && address_equal(&socket->address, address)) {
			socket->fd = fd;
			return;
		}
	}
}

void
activation_close(struct activation *activation)
{
	for (size_t i = 0; i < activation->count; i++) {
		if (activation->sockets[i].fd >= 0) {
			(void)close(activation->sockets[i].fd);
		}
	}
	activation->count = 0;
}
