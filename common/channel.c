/* Typed messages over SOCK_SEQPACKET, which keeps one message one message. Whoever reads treats the
 * other side as hostile: a worker may be in the hands of an attacker. So a message is taken only if
 * its row of the grammar allows direction, size, number of descriptors and content, and the master,
 * which no child ever sends a descriptor, gives the kernel no room to put one. */
#include "common/channel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/descriptor.h"

struct channel_header {
	uint32_t type;
	uint32_t payload_size;
};

struct grammar {
	const char *name;
	enum channel_side reader;
	size_t payload_size;
	size_t fewest_fds, most_fds;
	bool (*is_sound)(const struct channel_message *message); /* NULL: any content is */
};

static bool
listeners_are_sound(const struct channel_message *message)
{
	const struct channel_listeners *listeners = &message->listeners;
	size_t marked = 0;

	if (listeners->count > ARRAY_LEN(listeners->sockets)) {
		return false;
	}
	for (unsigned bit = 0; bit < 64; bit++) {
		if ((listeners->new_mask[bit / 32] >> bit % 32 & 1) != 0) {
			if (bit >= listeners->count) {
				return false;
			}
			marked++;
		}
	}
	return marked == message->fd_count;
}

static bool
wakers_are_sound(const struct channel_message *message)
{
	const struct channel_wakers *wakers = &message->wakers;

	if (wakers->count > ARRAY_LEN(wakers->slots) || wakers->count != message->fd_count) {
		return false;
	}
	for (uint32_t i = 0; i < wakers->count; i++) {
		if (wakers->slots[i] < 0 || wakers->slots[i] >= BOARD_SLOTS) {
			return false;
		}
	}
	return true;
}

static bool
sentence_is_sound(const struct channel_message *message)
{
	const struct channel_refused *refused = &message->refused;

	return memchr(refused->why, '\0', sizeof(refused->why)) != NULL;
}

static bool
doors_are_sound(const struct channel_message *message)
{
	const struct channel_doors *doors = &message->doors;

	return doors->has_admin <= 1 && doors->has_web <= 1 &&
	       message->fd_count == (size_t)doors->has_admin + doors->has_web;
}

static bool
result_is_sound(const struct channel_message *message)
{
	return message->result.len <= sizeof(message->result.text);
}

static bool
request_is_sound(const struct channel_message *message)
{
	const struct channel_request *request = &message->request;

	return request->command < COMMAND_COUNT &&
	       memchr(request->who, '\0', sizeof(request->who)) != NULL &&
	       memchr(request->argument, '\0', sizeof(request->argument)) != NULL;
}

static bool
answer_is_sound(const struct channel_message *message)
{
	const struct channel_answer *answer = &message->answer;

	if (answer->failure >= LOOKUP_COUNT || answer->count > ARRAY_LEN(answer->places) ||
		answer->count > answer->found ||
		memchr(answer->asked, '\0', sizeof(answer->asked)) == NULL) {
		return false;
	}
	for (uint32_t i = 0; i < answer->count; i++) {
		if (answer->places[i].state != BOARD_PLACE_HELD ||
			answer->places[i].is_backup > 1) {
			return false;
		}
	}
	return true;
}

#define WAKERS_MAX    ARRAY_LEN(((struct channel_wakers *)NULL)->slots)
#define LISTENERS_MAX ARRAY_LEN(((struct channel_listeners *)NULL)->sockets)

static const struct grammar grammar[CHANNEL_TYPE_COUNT] = {
	[CHANNEL_HELLO] = {"hello", CHANNEL_CHILD, sizeof(struct channel_hello), 1, 1, NULL},
	[CHANNEL_LOG] = {"log", CHANNEL_CHILD, sizeof(struct channel_log), 0, 1, NULL},
	[CHANNEL_CONFIG] = {"config", CHANNEL_CHILD, sizeof(struct channel_config), 1, 1, NULL},
	[CHANNEL_LISTENERS] = {"listeners", CHANNEL_CHILD, sizeof(struct channel_listeners), 0,
		LISTENERS_MAX, listeners_are_sound},
	[CHANNEL_COMMIT] = {"commit", CHANNEL_CHILD, sizeof(struct channel_commit), 0, 0, NULL},
	[CHANNEL_RELEASE] = {"release", CHANNEL_CHILD, sizeof(struct channel_number), 0, 0, NULL},
	[CHANNEL_NUDGE] = {"nudge", CHANNEL_CHILD, 0, 0, 0, NULL},
	[CHANNEL_DRAIN] = {"drain", CHANNEL_CHILD, sizeof(struct channel_drain), 0, 0, NULL},
	[CHANNEL_DOORS] = {"doors", CHANNEL_CHILD, sizeof(struct channel_doors), 0, 2,
		doors_are_sound},
	[CHANNEL_RESULT] = {"result", CHANNEL_CHILD, sizeof(struct channel_result), 0, 0,
		result_is_sound},
	[CHANNEL_ROWS] = {"rows", CHANNEL_CHILD, sizeof(struct channel_rows), 1, 1, NULL},
	[CHANNEL_LIST] = {"list", CHANNEL_CHILD, sizeof(struct channel_number), 1, 1, NULL},
	[CHANNEL_KILL] = {"kill", CHANNEL_CHILD, sizeof(struct channel_kill), 0, 0, NULL},
	[CHANNEL_WAKERS] = {"wakers", CHANNEL_CHILD, sizeof(struct channel_wakers), 0, WAKERS_MAX,
		wakers_are_sound},
	[CHANNEL_SESSION_LOG] = {"session log", CHANNEL_CHILD, 0, 0, 1, NULL},
	[CHANNEL_READY] = {"ready", CHANNEL_MASTER, 0, 0, 0, NULL},
	[CHANNEL_APPLIED] = {"applied", CHANNEL_MASTER, sizeof(struct channel_commit), 0, 0, NULL},
	[CHANNEL_REFUSED] = {"refused", CHANNEL_MASTER, sizeof(struct channel_refused), 0, 0,
		sentence_is_sound},
	[CHANNEL_RELEASED] = {"released", CHANNEL_MASTER, sizeof(struct channel_number), 0, 0,
		NULL},
	[CHANNEL_REQUEST] = {"request", CHANNEL_MASTER, sizeof(struct channel_request), 0, 0,
		request_is_sound},
	[CHANNEL_ANSWER] = {"answer", CHANNEL_MASTER, sizeof(struct channel_answer), 0, 0,
		answer_is_sound},
	[CHANNEL_LISTED] = {"listed", CHANNEL_MASTER, sizeof(struct channel_listed), 0, 0, NULL},
	[CHANNEL_KILLED] = {"killed", CHANNEL_MASTER, sizeof(struct channel_kill), 0, 0, NULL},
};

static_assert(sizeof(struct channel_listeners) <= CHANNEL_PAYLOAD_MAX, "payload too large");
static_assert(sizeof(struct channel_refused) <= CHANNEL_PAYLOAD_MAX, "payload too large");
static_assert(sizeof(struct channel_answer) <= CHANNEL_PAYLOAD_MAX, "payload too large");
static_assert(sizeof(struct channel_result) <= CHANNEL_PAYLOAD_MAX, "payload too large");
static_assert(BOARD_NAME_MAX + BOARD_SERVER_MAX + sizeof(" weight 256") <= CHANNEL_ARGUMENT_MAX,
	"too short");
static_assert(LISTENERS_MAX <= 64, "new_mask too small");
static_assert(LISTENERS_MAX <= CHANNEL_DESCRIPTORS_MAX, "too many descriptors");

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * CHANNEL_DESCRIPTORS_MAX)];
};

int
channel_pair(int *master_end, int *child_end)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
		return -errno;
	}
	*master_end = ends[0];
	*child_end = ends[1];
	return 0;
}

static void
attach_descriptors(struct msghdr *packet, union control *control, const int *fds, size_t fd_count)
{
	struct cmsghdr *head;

	memset(control, 0, sizeof(*control));
	packet->msg_control = control->bytes;
	packet->msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
	head = CMSG_FIRSTHDR(packet);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
	memcpy(CMSG_DATA(head), fds, sizeof(int) * fd_count);
}

int
channel_send(int fd, enum channel_type type, const void *payload, const int *fds, size_t fd_count)
{
	const struct grammar *row = &grammar[type];
	struct channel_header header = {(uint32_t)type, (uint32_t)row->payload_size};
	struct iovec parts[2] = {
		{&header, sizeof(header)}, {(void *)(uintptr_t)payload, row->payload_size}};
	struct msghdr packet = {.msg_iov = parts, .msg_iovlen = row->payload_size > 0 ? 2 : 1};
	union control control;
	ssize_t sent;

	assert(payload != NULL || row->payload_size == 0);
	assert(fd_count >= row->fewest_fds && fd_count <= row->most_fds);
	if (fd_count > 0) {
		attach_descriptors(&packet, &control, fds, fd_count);
	}
	do {
		sent = sendmsg(fd, &packet, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0) {
		return errno == ECONNRESET ? -EPIPE : -errno;
	}
	return 0;
}

/* The most descriptors that anything grammatical brings to this side. */
static size_t
most_descriptors(enum channel_side side)
{
	size_t most = 0;

	for (size_t type = 0; type < CHANNEL_TYPE_COUNT; type++) {
		if (grammar[type].reader == side && grammar[type].most_fds > most) {
			most = grammar[type].most_fds;
		}
	}
	return most;
}

/* Everything that the kernel put into our table, so that nothing can leak. */
static void
collect_descriptors(struct msghdr *packet, struct channel_message *message)
{
	for (struct cmsghdr *head = CMSG_FIRSTHDR(packet); head != NULL;
		head = CMSG_NXTHDR(packet, head)) {
		size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		assert(message->fd_count + count <= CHANNEL_DESCRIPTORS_MAX); /* the room given */
		memcpy(message->fds + message->fd_count, CMSG_DATA(head), count * sizeof(int));
		message->fd_count += count;
	}
}

static bool
is_grammatical(enum channel_side side, const struct channel_header *header, size_t received,
	struct channel_message *message)
{
	const struct grammar *row;

	if (received < sizeof(*header) || header->type >= CHANNEL_TYPE_COUNT) {
		return false;
	}
	row = &grammar[header->type];
	if (row->reader != side || header->payload_size != row->payload_size ||
		received != sizeof(*header) + row->payload_size) {
		return false;
	}
	if (message->fd_count < row->fewest_fds || message->fd_count > row->most_fds) {
		return false;
	}
	message->type = (enum channel_type)header->type;
	message->size = row->payload_size;
	return row->is_sound == NULL || row->is_sound(message);
}

/* Zero bytes mean the end, or an empty message: only the socket's state tells which. */
static int
end_or_empty(int fd)
{
	struct pollfd state = {.fd = fd, .events = POLLRDHUP};

	return poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLRDHUP)) != 0 ? -EPIPE
										       : -EPROTO;
}

/* A child that dies without having read all its messages resets the pair. The reset is told once,
 * before the last words of the child, which are still there: so ask again. */
static ssize_t
receive_packet(int fd, struct msghdr *packet)
{
	ssize_t received;

	do {
		received = recvmsg(fd, packet, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (received < 0 && (errno == EINTR || errno == ECONNRESET));
	return received < 0 ? -errno : received;
}

int
channel_receive(int fd, enum channel_side side, struct channel_message *message)
{
	struct channel_header header = {0};
	struct iovec parts[2] = {
		{&header, sizeof(header)}, {message->bytes, sizeof(message->bytes)}};
	struct msghdr packet = {.msg_iov = parts, .msg_iovlen = 2};
	size_t room = most_descriptors(side);
	union control control;
	ssize_t received;
	int status = 0;

	message->fd_count = 0;
	if (room > 0) {
		packet.msg_control = control.bytes;
		packet.msg_controllen = CMSG_SPACE(sizeof(int) * room);
	}
	received = receive_packet(fd, &packet);
	if (received < 0) {
		return (int)received;
	}
	collect_descriptors(&packet, message);
	if ((packet.msg_flags & MSG_CTRUNC) != 0 && message->fd_count < room) {
		status = -EMFILE; /* there was room in the message, but not in our table */
	} else if ((packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		status = -EPROTO;
	} else if (received == 0) {
		status = end_or_empty(fd);
	} else if (!is_grammatical(side, &header, (size_t)received, message)) {
		status = -EPROTO;
	}
	if (status < 0) {
		channel_message_close(message);
	}
	return status;
}

void
channel_message_close(struct channel_message *message)
{
	for (size_t i = 0; i < message->fd_count; i++) {
		descriptor_close(&message->fds[i]);
	}
	message->fd_count = 0;
}

const char *
channel_type_name(enum channel_type type)
{
	return (unsigned)type < CHANNEL_TYPE_COUNT ? grammar[type].name : "unknown";
}

/* FNV-1a over the rows: a message that is added, removed or has another size makes another
 * language. One whose fields change their meaning only does not show here: raise the number. */
#define CHANNEL_MEANING 1

static uint64_t
add_bytes(uint64_t hash, const void *bytes, size_t len)
{
	for (size_t at = 0; at < len; at++) {
		hash = (hash ^ ((const unsigned char *)bytes)[at]) * 0x100000001b3;
	}
	return hash;
}

uint64_t
channel_version(void)
{
	uint64_t hash = 0xcbf29ce484222325 ^ CHANNEL_MEANING;

	for (size_t type = 0; type < CHANNEL_TYPE_COUNT; type++) {
		const struct grammar *row = &grammar[type];
		const uint64_t shape[] = {
			(uint64_t)row->reader, row->payload_size, row->fewest_fds, row->most_fds};

		hash = add_bytes(hash, row->name, strlen(row->name) + 1);
		hash = add_bytes(hash, shape, sizeof(shape));
	}
	return hash;
}

bool
channel_parse_connection(const char *word, int *slot, uint32_t *serial)
{
	char again[32];

	if (sscanf(word, "%4d-%10" SCNu32, slot, serial) != 2) {
		return false;
	}
	(void)snprintf(again, sizeof(again), "%d-%" PRIu32, *slot, *serial);
	return strcmp(again, word) == 0 && *slot >= 0 && *slot < BOARD_SLOTS;
}
