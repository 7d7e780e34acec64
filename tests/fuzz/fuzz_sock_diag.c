/* What the kernel answers to a dump of sockets. It is trusted, but a newer one may say more than we
 * know. */
#include "common/sock_diag.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define ENDED_BY_US 77

struct seen {
	size_t count, most;
};

static int
promise_socket(const struct sock_diag_socket *socket, void *context)
{
	struct seen *seen = context;
	char buffer[ADDRESS_TEXT_MAX];

	PROMISE(socket->state > 0 && socket->state < SOCK_DIAG_STATE_COUNT);
	PROMISE(strcmp(sock_diag_state_name(socket->state), "UNKNOWN") != 0);
	PROMISE(sock_diag_state_by_name(sock_diag_state_name(socket->state)) == socket->state);
	PROMISE(socket->local.any.sa_family == AF_INET || socket->local.any.sa_family == AF_INET6);
	PROMISE(socket->local.any.sa_family == socket->remote.any.sa_family);
	PROMISE(peer_format(&socket->remote, buffer) == buffer);
	return ++seen->count == seen->most ? ENDED_BY_US : 0;
}

/* The first byte says after how many sockets the reader has had enough; 0: never. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen seen = {0};
	bool is_last = false;
	void *answer;
	int result;

	if (size == 0) {
		return 0;
	}
	seen.most = data[0];
	size--;
	answer = malloc(size > 0 ? size : 1); /* aligned, as the kernel's answers are */
	PROMISE(answer != NULL);
	memcpy(answer, data + 1, size);
	result = sock_diag_read(answer, size, promise_socket, &seen, &is_last);
	PROMISE(seen.count <= size / sizeof(struct nlmsghdr));
	PROMISE(seen.most == 0 || seen.count <= seen.most);
	PROMISE((seen.most > 0 && seen.count == seen.most) == (result == ENDED_BY_US) ||
		result != ENDED_BY_US);
	PROMISE(!is_last || result == 0);
	free(answer);
	return 0;
}
