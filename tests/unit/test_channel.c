#include "common/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "tests/unit/run.h"

static int master, child;
static struct channel_message message;

static void
open_pair(void)
{
	ck_assert_int_eq(channel_pair(&master, &child), 0);
}

static void
close_pair(void)
{
	descriptor_close(&master);
	descriptor_close(&child);
}

/* Bytes as a hostile side would send them, with as many descriptors. */
static void
send_raw(int fd, const void *bytes, size_t len, size_t fd_count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 253)];
	} control = {0};
	struct iovec part = {(void *)(uintptr_t)bytes, len};
	struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};
	int fds[253];

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = fd;
	}
	if (fd_count > 0) {
		struct cmsghdr *head = &control.align;

		packet.msg_control = control.bytes;
		packet.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(head), fds, sizeof(int) * fd_count);
	}
	ck_assert_int_eq(sendmsg(fd, &packet, MSG_NOSIGNAL), (ssize_t)len);
}

/* One good message of each type. */
static const struct {
	enum channel_type type;
	enum channel_side reader;
	size_t size;
	size_t fd_count;
	const char *name;
} types[] = {
	{CHANNEL_HELLO, CHANNEL_CHILD, sizeof(struct channel_hello), 1, "hello"},
	{CHANNEL_LOG, CHANNEL_CHILD, sizeof(struct channel_log), 0, "log"},
	{CHANNEL_LOG, CHANNEL_CHILD, sizeof(struct channel_log), 1, "log"},
	{CHANNEL_CONFIG, CHANNEL_CHILD, sizeof(struct channel_config), 1, "config"},
	{CHANNEL_LISTENERS, CHANNEL_CHILD, sizeof(struct channel_listeners), 0, "listeners"},
	{CHANNEL_COMMIT, CHANNEL_CHILD, sizeof(struct channel_commit), 0, "commit"},
	{CHANNEL_RELEASE, CHANNEL_CHILD, sizeof(struct channel_number), 0, "release"},
	{CHANNEL_NUDGE, CHANNEL_CHILD, 0, 0, "nudge"},
	{CHANNEL_DRAIN, CHANNEL_CHILD, sizeof(struct channel_drain), 0, "drain"},
	{CHANNEL_READY, CHANNEL_MASTER, 0, 0, "ready"},
	{CHANNEL_APPLIED, CHANNEL_MASTER, sizeof(struct channel_commit), 0, "applied"},
	{CHANNEL_REFUSED, CHANNEL_MASTER, sizeof(struct channel_refused), 0, "refused"},
	{CHANNEL_RELEASED, CHANNEL_MASTER, sizeof(struct channel_number), 0, "released"},
	{CHANNEL_DOORS, CHANNEL_CHILD, sizeof(struct channel_doors), 0, "doors"},
	{CHANNEL_RESULT, CHANNEL_CHILD, sizeof(struct channel_result), 0, "result"},
	{CHANNEL_ROWS, CHANNEL_CHILD, sizeof(struct channel_rows), 1, "rows"},
	{CHANNEL_LIST, CHANNEL_CHILD, sizeof(struct channel_number), 1, "list"},
	{CHANNEL_KILL, CHANNEL_CHILD, sizeof(struct channel_kill), 0, "kill"},
	{CHANNEL_WAKERS, CHANNEL_CHILD, sizeof(struct channel_wakers), 0, "wakers"},
	{CHANNEL_SESSION_LOG, CHANNEL_CHILD, 0, 1, "session log"},
	{CHANNEL_REQUEST, CHANNEL_MASTER, sizeof(struct channel_request), 0, "request"},
	{CHANNEL_LISTED, CHANNEL_MASTER, sizeof(struct channel_listed), 0, "listed"},
	{CHANNEL_KILLED, CHANNEL_MASTER, sizeof(struct channel_kill), 0, "killed"},
	{CHANNEL_ANSWER, CHANNEL_MASTER, sizeof(struct channel_answer), 0, "answer"},
};

_Static_assert(CHANNEL_TYPE_COUNT == 23, "a new type belongs into `types` and `kinds`");

START_TEST(each_type_arrives_as_it_was_sent)
{
	bool to_child = types[_i].reader == CHANNEL_CHILD;
	unsigned char payload[CHANNEL_PAYLOAD_MAX] = {0};
	int sent[1];

	open_pair();
	if (types[_i].type != CHANNEL_LISTENERS && types[_i].type != CHANNEL_WAKERS &&
		types[_i].type != CHANNEL_DOORS && types[_i].type != CHANNEL_RESULT &&
		types[_i].type != CHANNEL_REQUEST && types[_i].type != CHANNEL_ANSWER) {
		memset(payload, 0x5a, types[_i].size);
	}
	if (types[_i].type == CHANNEL_REFUSED) {
		payload[types[_i].size - 1] = '\0';
	}
	sent[0] = to_child ? master : child;
	ck_assert_int_eq(channel_send(sent[0], types[_i].type, types[_i].size > 0 ? payload : NULL,
				 sent, types[_i].fd_count),
		0);
	ck_assert_int_eq(channel_receive(to_child ? child : master, types[_i].reader, &message), 0);
	ck_assert_int_eq(message.type, types[_i].type);
	ck_assert_uint_eq(message.size, types[_i].size);
	ck_assert_mem_eq(message.bytes, payload, message.size);
	ck_assert_uint_eq(message.fd_count, types[_i].fd_count);
	ck_assert_str_eq(channel_type_name(message.type), types[_i].name);
	if (message.fd_count > 0) {
		ck_assert_int_eq(fcntl(message.fds[0], F_GETFD), FD_CLOEXEC);
	}
	channel_message_close(&message);
	close_pair();
}
END_TEST

START_TEST(the_wrong_direction_breaks_the_grammar)
{
	unsigned char payload[CHANNEL_PAYLOAD_MAX] = {0};
	int from, to;

	open_pair();
	from = types[_i].reader == CHANNEL_CHILD ? child : master;
	to = from == child ? master : child;
	ck_assert_int_eq(channel_send(from, types[_i].type, types[_i].size > 0 ? payload : NULL,
				 &from, types[_i].fd_count),
		0);
	ck_assert_int_eq(channel_receive(to,
				 types[_i].reader == CHANNEL_CHILD ? CHANNEL_MASTER : CHANNEL_CHILD,
				 &message),
		-EPROTO);
	close_pair();
}
END_TEST

START_TEST(a_list_of_sockets_brings_its_descriptors_in_order)
{
	struct channel_listeners list = {.count = 58};
	int ends[2], sent[58];
	int64_t before;

	open_pair();
	before = descriptor_count_open();
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	for (size_t i = 0; i < ARRAY_LEN(sent); i++) {
		sent[i] = ends[i % 2];
		list.new_mask[i / 32] |= UINT32_C(1) << i % 32;
	}
	ck_assert_int_eq(channel_send(master, CHANNEL_LISTENERS, &list, sent, ARRAY_LEN(sent)), 0);
	ck_assert_int_eq(channel_receive(child, CHANNEL_CHILD, &message), 0);
	ck_assert_uint_eq(message.fd_count, ARRAY_LEN(sent));
	for (size_t i = 0; i < message.fd_count; i++) {
		int flags = fcntl(message.fds[i], F_GETFL);

		ck_assert_int_eq(fcntl(message.fds[i], F_GETFD), FD_CLOEXEC);
		ck_assert_int_eq(flags & O_ACCMODE, i % 2 == 0 ? O_RDONLY : O_WRONLY);
	}
	channel_message_close(&message);
	descriptor_close(&ends[0]);
	descriptor_close(&ends[1]);
	ck_assert_int_eq(descriptor_count_open(), before);
	close_pair();
}
END_TEST

/* Counts, marks and descriptors that contradict each other. */
static const struct {
	uint32_t count, mask[2];
	size_t fd_count;
} contradictions[] = {
	{59, {0, 0}, 0},
	{UINT32_MAX, {0, 0}, 0},
	{1, {1, 0}, 0},
	{1, {0, 0}, 1},
	{1, {2, 0}, 1},
	{58, {0, 1U << 26}, 1},
	{0, {0, 1U << 31}, 1},
	{2, {3, 0}, 1},
};

START_TEST(a_list_that_contradicts_itself_is_refused)
{
	struct channel_listeners list = {.count = contradictions[_i].count,
		.new_mask = {contradictions[_i].mask[0], contradictions[_i].mask[1]}};
	int64_t before;

	open_pair();
	before = descriptor_count_open();
	ck_assert_int_eq(channel_send(master, CHANNEL_LISTENERS, &list, &master,
				 contradictions[_i].fd_count),
		0);
	ck_assert_int_eq(channel_receive(child, CHANNEL_CHILD, &message), -EPROTO);
	ck_assert_int_eq(descriptor_count_open(), before);
	close_pair();
}
END_TEST

START_TEST(a_sentence_without_an_end_is_refused)
{
	struct channel_refused refused;

	open_pair();
	memset(&refused, 'x', sizeof(refused));
	ck_assert_int_eq(channel_send(child, CHANNEL_REFUSED, &refused, NULL, 0), 0);
	ck_assert_int_eq(channel_receive(master, CHANNEL_MASTER, &message), -EPROTO);
	close_pair();
}
END_TEST

/* Every type, known or not, with every size from nothing to past the largest: only what the grammar
 * knows gets in, to either side. */
START_TEST(garbage_of_every_size_and_type_is_refused)
{
	static const uint32_t kinds[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
		17, 18, 19, 20, 21, 22, CHANNEL_TYPE_COUNT, CHANNEL_TYPE_COUNT + 1, 255, 65536,
		0x7fffffff, 0x80000000, 0xffffffff};
	enum channel_side side = _i == 0 ? CHANNEL_MASTER : CHANNEL_CHILD;
	uint32_t packet[(8 + CHANNEL_PAYLOAD_MAX + 64) / 4];
	size_t taken = 0;
	int from, to;

	open_pair();
	from = side == CHANNEL_MASTER ? child : master;
	to = side == CHANNEL_MASTER ? master : child;
	for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++) {
		for (size_t len = 0; len < sizeof(packet); len++) {
			int status;

			memset(packet, 0, sizeof(packet));
			packet[0] = kinds[kind];
			packet[1] = len < 8 ? 0 : (uint32_t)len - 8;
			send_raw(from, packet, len, 0);
			status = channel_receive(to, side, &message);
			if (status == 0) {
				taken++;
				ck_assert_int_eq(message.type, (int)kinds[kind]);
				ck_assert_uint_eq(message.size, len - 8);
			} else {
				ck_assert_int_eq(status, -EPROTO);
			}
		}
	}
	/* Those of `types` that need no descriptor: one size each. */
	ck_assert_uint_eq(taken, side == CHANNEL_MASTER ? 8 : 11);
	close_pair();
}
END_TEST

START_TEST(a_size_that_is_not_the_size_is_refused)
{
	uint32_t packet[4] = {CHANNEL_COMMIT, 0, 0, 0};

	open_pair();
	for (uint32_t said = 0; said < 64; said++) {
		packet[1] = said;
		send_raw(master, packet, sizeof(packet), 0);
		ck_assert_int_eq(channel_receive(child, CHANNEL_CHILD, &message),
			said == sizeof(struct channel_commit) ? 0 : -EPROTO);
	}
	close_pair();
}
END_TEST

/* Any number of descriptors, at any type, to either side: none may stay behind. */
static const size_t floods[] = {1, 2, 3, 57, 58, 59, 60, 64, 65, 100, 252, 253};

START_TEST(unwanted_descriptors_never_stay)
{
	uint32_t packet[(8 + CHANNEL_PAYLOAD_MAX) / 4] = {0};
	int64_t before;

	open_pair();
	before = descriptor_count_open();
	for (uint32_t type = 0; type <= CHANNEL_TYPE_COUNT; type++) {
		size_t size = 0;

		for (size_t i = 0; i < ARRAY_LEN(types); i++) {
			size = types[i].type == type ? types[i].size : size;
		}
		packet[0] = type;
		packet[1] = (uint32_t)size;
		send_raw(child, packet, 8 + size, floods[_i]);
		ck_assert_int_eq(channel_receive(master, CHANNEL_MASTER, &message), -EPROTO);
		ck_assert_int_eq(descriptor_count_open(), before);
		send_raw(master, packet, 8 + size, floods[_i]);
		if (channel_receive(child, CHANNEL_CHILD, &message) == 0) {
			ck_assert_uint_eq(floods[_i], 1);
			channel_message_close(&message);
		}
		ck_assert_int_eq(descriptor_count_open(), before);
	}
	close_pair();
}
END_TEST

START_TEST(an_empty_message_is_not_taken_for_the_end)
{
	int64_t before;

	open_pair();
	before = descriptor_count_open();
	send_raw(child, NULL, 0, 0);
	send_raw(child, NULL, 0, 5);
	send_raw(master, NULL, 0, 5);
	ck_assert_int_eq(channel_receive(master, CHANNEL_MASTER, &message), -EPROTO);
	ck_assert_int_eq(channel_receive(master, CHANNEL_MASTER, &message), -EPROTO);
	ck_assert_int_eq(channel_receive(child, CHANNEL_CHILD, &message), -EPROTO);
	ck_assert_int_eq(channel_receive(master, CHANNEL_MASTER, &message), -EAGAIN);
	ck_assert_int_eq(descriptor_count_open(), before);
	close_pair();
}
END_TEST

START_TEST(a_message_past_the_largest_is_refused_whole)
{
	static const char packet[3000] = {CHANNEL_READY};
	struct channel_commit commit = {7};

	open_pair();
	send_raw(child, packet, sizeof(packet), 0);
	ck_assert_int_eq(channel_send(child, CHANNEL_APPLIED, &commit, NULL, 0), 0);
	ck_assert_int_eq(channel_receive(master, CHANNEL_MASTER, &message), -EPROTO);
	ck_assert_int_eq(channel_receive(master, CHANNEL_MASTER, &message), 0);
	ck_assert_int_eq(message.type, CHANNEL_APPLIED);
	ck_assert_uint_eq(message.commit.generation, 7);
	close_pair();
}
END_TEST

START_TEST(nothing_there_is_eagain_and_a_reader_who_sleeps_is_eagain_too)
{
	struct channel_commit commit = {1};
	int sent = 0, status;

	open_pair();
	ck_assert_int_eq(channel_receive(master, CHANNEL_MASTER, &message), -EAGAIN);
	while ((status = channel_send(master, CHANNEL_COMMIT, &commit, NULL, 0)) == 0) {
		sent++;
	}
	ck_assert_int_eq(status, -EAGAIN);
	ck_assert_int_gt(sent, 50);
	while (sent-- > 0) {
		ck_assert_int_eq(channel_receive(child, CHANNEL_CHILD, &message), 0);
	}
	ck_assert_int_eq(channel_receive(child, CHANNEL_CHILD, &message), -EAGAIN);
	ck_assert_int_eq(channel_send(master, CHANNEL_COMMIT, &commit, NULL, 0), 0);
	close_pair();
}
END_TEST

START_TEST(the_last_words_of_a_dead_child_are_read_before_its_end)
{
	struct channel_refused refused = {.generation = 3, .why = "no memory"};
	struct channel_commit commit = {1};

	open_pair();
	ck_assert_int_eq(channel_send(master, CHANNEL_COMMIT, &commit, NULL, 0), 0);
	ck_assert_int_eq(channel_send(child, CHANNEL_REFUSED, &refused, NULL, 0), 0);
	descriptor_close(&child); /* with an unread message: the kernel resets the pair */
	ck_assert_int_eq(channel_receive(master, CHANNEL_MASTER, &message), 0);
	ck_assert_str_eq(message.refused.why, "no memory");
	ck_assert_int_eq(channel_receive(master, CHANNEL_MASTER, &message), -EPIPE);
	ck_assert_int_eq(channel_receive(master, CHANNEL_MASTER, &message), -EPIPE);
	ck_assert_int_eq(channel_send(master, CHANNEL_COMMIT, &commit, NULL, 0), -EPIPE);
	close_pair();
}
END_TEST

START_TEST(want_of_descriptors_is_told_from_a_broken_grammar)
{
	struct channel_listeners list = {.count = 8, .new_mask = {0xff, 0}};
	struct channel_commit commit = {9};
	struct rlimit limit;
	int fds[8];
	int64_t before;

	open_pair();
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = master;
	}
	before = descriptor_count_open();
	ck_assert_int_eq(channel_send(master, CHANNEL_LISTENERS, &list, fds, 8), 0);
	ck_assert_int_eq(channel_send(master, CHANNEL_COMMIT, &commit, NULL, 0), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = (rlim_t)child + 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(channel_receive(child, CHANNEL_CHILD, &message), -EMFILE);
	ck_assert_int_eq(channel_receive(child, CHANNEL_CHILD, &message), 0);
	limit.rlim_cur = limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(descriptor_count_open(), before);
	close_pair();
}
END_TEST

START_TEST(a_descriptor_that_was_taken_is_not_closed)
{
	struct channel_hello hello = {.slot = 2};
	int taken;

	open_pair();
	ck_assert_int_eq(channel_send(master, CHANNEL_HELLO, &hello, &master, 1), 0);
	ck_assert_int_eq(channel_receive(child, CHANNEL_CHILD, &message), 0);
	taken = message.fds[0];
	message.fds[0] = -1;
	channel_message_close(&message);
	ck_assert_int_ge(fcntl(taken, F_GETFD), 0);
	descriptor_close(&taken);
	close_pair();
}
END_TEST

START_TEST(both_ends_are_close_on_exec_and_every_type_has_a_name)
{
	open_pair();
	ck_assert_int_eq(fcntl(master, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(child, F_GETFD), FD_CLOEXEC);
	ck_assert_int_ne(fcntl(master, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(child, F_GETFL) & O_NONBLOCK, 0);
	for (int type = 0; type < CHANNEL_TYPE_COUNT; type++) {
		ck_assert_ptr_nonnull(channel_type_name((enum channel_type)type));
	}
	ck_assert_str_eq(channel_type_name(CHANNEL_TYPE_COUNT), "unknown");
	close_pair();
}
END_TEST

static const struct {
	const char *word;
	int slot; /* -1: no id */
	uint32_t serial;
} connections[] = {
	{"0-1", 0, 1},
	{"1023-4294967295", 1023, 4294967295},
	{"12-0", 12, 0},
	{"1024-1", -1, 0},
	{"-1-1", -1, 0},
	{"1-4294967296", -1, 0},
	{"1-99999999999", -1, 0},
	{"01-1", -1, 0},
	{"1-01", -1, 0},
	{"1-1x", -1, 0},
	{" 1-1", -1, 0},
	{"1 -1", -1, 0},
	{"1-+1", -1, 0},
	{"1", -1, 0},
	{"1-", -1, 0},
	{"", -1, 0},
	{"a-b", -1, 0},
};

START_TEST(a_connection_is_named_in_one_form)
{
	uint32_t serial = 0;
	int slot = 0;

	ck_assert_int_eq(channel_parse_connection(connections[_i].word, &slot, &serial),
		connections[_i].slot >= 0);
	if (connections[_i].slot >= 0) {
		ck_assert_int_eq(slot, connections[_i].slot);
		ck_assert_uint_eq(serial, connections[_i].serial);
	}
}
END_TEST

UNIT_TESTS("channel",
	   tcase_add_loop_test(tests, each_type_arrives_as_it_was_sent, 0, (int)ARRAY_LEN(types));
	   tcase_add_loop_test(
		   tests, the_wrong_direction_breaks_the_grammar, 0, (int)ARRAY_LEN(types));
	   tcase_add_test(tests, a_list_of_sockets_brings_its_descriptors_in_order);
	   tcase_add_loop_test(tests, a_list_that_contradicts_itself_is_refused, 0,
		   (int)ARRAY_LEN(contradictions));
	   tcase_add_test(tests, a_sentence_without_an_end_is_refused);
	   tcase_add_loop_test(tests, garbage_of_every_size_and_type_is_refused, 0, 2);
	   tcase_add_test(tests, a_size_that_is_not_the_size_is_refused);
	   tcase_add_loop_test(tests, unwanted_descriptors_never_stay, 0, (int)ARRAY_LEN(floods));
	   tcase_add_test(tests, an_empty_message_is_not_taken_for_the_end);
	   tcase_add_test(tests, a_message_past_the_largest_is_refused_whole);
	   tcase_add_test(tests, nothing_there_is_eagain_and_a_reader_who_sleeps_is_eagain_too);
	   tcase_add_test(tests, the_last_words_of_a_dead_child_are_read_before_its_end);
	   tcase_add_test(tests, want_of_descriptors_is_told_from_a_broken_grammar);
	   tcase_add_test(tests, a_descriptor_that_was_taken_is_not_closed);
	   tcase_add_test(tests, both_ends_are_close_on_exec_and_every_type_has_a_name);
	   tcase_add_loop_test(
		   tests, a_connection_is_named_in_one_form, 0, (int)ARRAY_LEN(connections));)
