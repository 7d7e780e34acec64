/* Messages between master and children. The first byte says who reads, the second how many
 * descriptors come along, the rest is one packet as a hostile side would send it. */
#include "common/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "tests/fuzz/fuzz.h"

#define DESCRIPTORS_SENT_MAX (CHANNEL_DESCRIPTORS_MAX + 8)

static struct channel_message message, again;

static void
send_packet(int fd, const uint8_t *bytes, size_t len, size_t fd_count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * DESCRIPTORS_SENT_MAX)];
	} control = {0};
	struct iovec part = {(void *)(uintptr_t)bytes, len};
	struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};
	int fds[DESCRIPTORS_SENT_MAX];

	for (size_t i = 0; i < fd_count; i++) {
		fds[i] = fd;
	}
	if (fd_count > 0) {
		packet.msg_control = control.bytes;
		packet.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(&control.align), fds, sizeof(int) * fd_count);
	}
	PROMISE(sendmsg(fd, &packet, MSG_NOSIGNAL) == (ssize_t)len);
}

/* What the readers of a message rely on without looking again. */
static void
promise_content(const struct channel_message *got)
{
	switch (got->type) {
	case CHANNEL_LISTENERS:
		PROMISE(got->listeners.count <= ARRAY_LEN(got->listeners.sockets));
		PROMISE(got->fd_count <= got->listeners.count);
		break;
	case CHANNEL_WAKERS:
		PROMISE(got->wakers.count == got->fd_count);
		for (uint32_t i = 0; i < got->wakers.count; i++) {
			PROMISE(got->wakers.slots[i] >= 0 && got->wakers.slots[i] < BOARD_SLOTS);
		}
		break;
	case CHANNEL_ANSWER:
		PROMISE(got->answer.count <= ARRAY_LEN(got->answer.places));
		PROMISE(got->answer.failure < LOOKUP_COUNT);
		PROMISE(strnlen(got->answer.asked, sizeof(got->answer.asked)) <
			sizeof(got->answer.asked));
		break;
	case CHANNEL_REFUSED:
		PROMISE(strnlen(got->refused.why, sizeof(got->refused.why)) <
			sizeof(got->refused.why));
		break;
	case CHANNEL_DOORS:
		PROMISE(got->fd_count == (size_t)got->doors.has_admin + got->doors.has_web);
		break;
	case CHANNEL_RESULT:
		PROMISE(got->result.len <= sizeof(got->result.text));
		break;
	case CHANNEL_REQUEST:
		PROMISE(got->request.command < COMMAND_COUNT);
		PROMISE(strnlen(got->request.who, sizeof(got->request.who)) <
			sizeof(got->request.who));
		PROMISE(strnlen(got->request.argument, sizeof(got->request.argument)) <
			sizeof(got->request.argument));
		break;
	default:
		break;
	}
}

/* What was taken is what was sent, and can be sent on. */
static void
promise_taken(enum channel_side side, const int ends[2], const uint8_t *bytes, size_t size)
{
	PROMISE(message.type < CHANNEL_TYPE_COUNT);
	PROMISE(strcmp(channel_type_name(message.type), "unknown") != 0);
	PROMISE(message.size + 2 * sizeof(uint32_t) == size);
	PROMISE(memcmp(message.bytes, bytes + 2 * sizeof(uint32_t), message.size) == 0);
	PROMISE(side == CHANNEL_CHILD || message.fd_count == 0);
	promise_content(&message);
	PROMISE(channel_send(ends[0], message.type, message.size > 0 ? message.bytes : NULL,
			message.fds, message.fd_count) == 0);
	PROMISE(channel_receive(ends[1], side, &again) == 0);
	PROMISE(again.type == message.type && again.fd_count == message.fd_count);
	PROMISE(memcmp(again.bytes, message.bytes, message.size) == 0);
	channel_message_close(&again);
}

static int
next_descriptor(void)
{
	int fd = dup(STDERR_FILENO);

	PROMISE(fd >= 0);
	(void)close(fd);
	return fd;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int before = next_descriptor();
	enum channel_side side;
	int ends[2];
	int status;

	if (size < 3) {
		return 0;
	}
	side = data[0] % 2 == 0 ? CHANNEL_MASTER : CHANNEL_CHILD;
	PROMISE(channel_pair(&ends[0], &ends[1]) == 0);
	send_packet(ends[0], data + 2, size - 2, data[1] % (DESCRIPTORS_SENT_MAX + 1));
	status = channel_receive(ends[1], side, &message);
	PROMISE(status == 0 || status == -EPROTO);
	PROMISE(status == 0 || message.fd_count == 0);
	if (status == 0) {
		promise_taken(side, ends, data + 2, size - 2);
	}
	channel_message_close(&message);
	descriptor_close(&ends[0]);
	descriptor_close(&ends[1]);
	PROMISE(next_descriptor() == before);
	return 0;
}
