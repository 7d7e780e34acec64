#include "master/upgrade_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "master/slots.h"
#include "tests/unit/run.h"

/* Where things are in the form: magic and version, then the head's prologue and its first field. */
#define VERSION_AT   8
#define HEAD_AT      16
#define HEAD_BODY_AT 24

static struct upgrade_state state, read_back;
static uint8_t *bytes;
static size_t len;
static struct fault why;

static void
create(void)
{
	struct upgrade_socket *socket;
	struct upgrade_worker *worker;
	struct upgrade_holding *holding;
	int64_t slot;

	(void)strcpy(state.head.version, "1.2.3");
	(void)strcpy(state.head.program, "/usr/sbin/acceptd");
	state.head.channel = INT64_MIN;
	state.head.board = 10;
	state.head.config = 11;
	state.head.log = state.head.session_log = state.head.pid_file = state.head.notify =
		state.head.monitor_channel = state.head.binary = -1;
	state.head.generation = 7;
	state.head.wanted = state.head.configured_workers = 3;
	for (slot = 0; slot < 3; slot++) {
		worker = upgrade_state_add(&state, UPGRADE_WORKERS);
		ck_assert_ptr_nonnull(worker);
		ck_assert_int_eq(worker->waker, -1);
		worker->slot = 5 * slot;
		worker->state = SLOT_READY;
		worker->pid = 100 + slot;
		worker->channel = 20 + slot;
		(void)strcpy(worker->ending, "made no progress");
	}
	socket = upgrade_state_add(&state, UPGRADE_SOCKETS);
	*socket = (struct upgrade_socket){.number = 1, .fd = 30, .listener = -1, .is_retiring = 1};
	(void)strcpy(socket->address, "127.0.0.1:80");
	holding = upgrade_state_add(&state, UPGRADE_HOLDINGS);
	holding->number = 1;
	holding->has[127] = 0x80;
	((struct upgrade_asker *)upgrade_state_add(&state, UPGRADE_ASKERS))->id = UINT32_MAX;
}

static void
destroy(void)
{
	upgrade_state_free(&state);
	upgrade_state_free(&read_back);
	free(bytes);
	bytes = NULL;
}

static void
write_state(void)
{
	free(bytes);
	ck_assert_int_eq(upgrade_state_write(&state, &bytes, &len), 0);
}

static int
read_state(void)
{
	upgrade_state_free(&read_back);
	return upgrade_state_read(bytes, len, &read_back, &why);
}

START_TEST(what_is_written_is_read_back)
{
	write_state();
	ck_assert_int_eq(read_state(), 0);
	ck_assert_mem_eq(&read_back.head, &state.head, sizeof(state.head));
	ck_assert_uint_eq(read_back.worker_count, 3);
	ck_assert_mem_eq(read_back.workers, state.workers, 3 * sizeof(*state.workers));
	ck_assert_uint_eq(read_back.socket_count, 1);
	ck_assert_mem_eq(read_back.sockets, state.sockets, sizeof(*state.sockets));
	ck_assert_uint_eq(read_back.holding_count, 1);
	ck_assert_mem_eq(read_back.holdings, state.holdings, sizeof(*state.holdings));
	ck_assert_uint_eq(read_back.asker_count, 1);
	ck_assert_int_eq(read_back.askers[0].id, UINT32_MAX);
	ck_assert_uint_eq(read_back.door_count + read_back.passed_count, 0);
}
END_TEST

START_TEST(a_thousand_workers_pass)
{
	upgrade_state_free(&state);
	create();
	state.worker_count = 0;
	free(state.workers);
	state.workers = NULL;
	for (int i = 0; i < BOARD_SLOTS; i++) {
		struct upgrade_worker *worker = upgrade_state_add(&state, UPGRADE_WORKERS);

		worker->slot = i;
		worker->pid = 1000 + i;
		worker->state = SLOT_DRAINING;
		worker->channel = 100 + i;
	}
	write_state();
	ck_assert_int_eq(read_state(), 0);
	ck_assert_uint_eq(read_back.worker_count, BOARD_SLOTS);
	ck_assert_int_eq(read_back.workers[BOARD_SLOTS - 1].pid, 1000 + BOARD_SLOTS - 1);
}
END_TEST

START_TEST(another_version_is_refused_and_both_are_named)
{
	write_state();
	bytes[VERSION_AT] = UPGRADE_STATE_VERSION + 8;
	ck_assert_int_eq(read_state(), -EPROTO);
	ck_assert_ptr_nonnull(strstr(why.text, "hands over state version 9, this program "
					       "understands version 1"));
}
END_TEST

START_TEST(a_state_that_is_cut_anywhere_is_refused)
{
	size_t whole;

	write_state();
	whole = len;
	for (len = 0; len < whole; len++) {
		int status = read_state();

		/* Between two records it is whole again, but for those that follow. */
		ck_assert_msg(status == -EBADMSG || (status == 0 && read_back.asker_count == 0),
			"cut at %zu: %d", len, status);
	}
}
END_TEST

START_TEST(something_else_is_no_state)
{
	write_state();
	bytes[0] = 'A';
	ck_assert_int_eq(read_state(), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(why.text, "not the state of an acceptd"));
}
END_TEST

/* Kind 200 and a field numbered 999: from a program that knows more than we do. */
START_TEST(what_is_not_known_is_passed_over)
{
	static const uint8_t record[] = {200, 0, 0, 0, 3, 0, 0, 0, 'n', 'e', 'w'};
	static const uint8_t field[] = {0xe7, 3, 0, 0, 2, 0, 0, 0, 'o', 'k'};
	uint8_t *more;
	uint32_t head_len;

	write_state();
	more = malloc(len + sizeof(record) + sizeof(field));
	memcpy(more, bytes, HEAD_BODY_AT);
	memcpy(more + HEAD_BODY_AT, field, sizeof(field));
	memcpy(more + HEAD_BODY_AT + sizeof(field), bytes + HEAD_BODY_AT, len - HEAD_BODY_AT);
	memcpy(&head_len, bytes + HEAD_AT + 4, sizeof(head_len));
	head_len += sizeof(field);
	memcpy(more + HEAD_AT + 4, &head_len, sizeof(head_len));
	memcpy(more + len + sizeof(field), record, sizeof(record));
	len += sizeof(record) + sizeof(field);
	free(bytes);
	bytes = more;
	ck_assert_int_eq(read_state(), 0);
	ck_assert_uint_eq(read_back.worker_count, 3);
}
END_TEST

static void
head_has_no_board(void)
{
	state.head.board = -1;
}
static void
board_is_a_standard_stream(void)
{
	state.head.board = 2;
}
static void
nobody_is_wanted(void)
{
	state.head.wanted = 0;
}
static void
two_have_one_slot(void)
{
	state.workers[1].slot = state.workers[0].slot;
}
static void
slot_is_beyond_the_board(void)
{
	state.workers[1].slot = BOARD_SLOTS;
}
static void
state_is_unknown(void)
{
	state.workers[1].state = SLOT_STATE_COUNT;
}
static void
worker_is_init(void)
{
	state.workers[1].pid = 1;
}
static void
nobody_has_a_channel(void)
{
	state.workers[1].pid = 0;
	state.workers[1].state = SLOT_EMPTY;
}
static void
nobody_is_init(void)
{
	state.workers[1].pid = 1;
	state.workers[1].state = SLOT_EMPTY;
	state.workers[1].channel = -1;
}
static void
descriptor_has_two_owners(void)
{
	state.workers[1].channel = state.head.board;
}
static void
flag_is_two(void)
{
	state.sockets[0].is_lost = 2;
}
static void
listener_is_beyond_the_board(void)
{
	state.sockets[0].board_listener = BOARD_LISTENERS;
}

static const struct {
	void (*damage)(void);
	const char *said;
} damages[] = {
	{head_has_no_board, "the board or the configuration in force is missing"},
	{board_is_a_standard_stream, "the record of a master has a board that makes no sense"},
	{nobody_is_wanted, "the record of a master has a wanted that makes no sense"},
	{two_have_one_slot, "two workers have the same slot"},
	{slot_is_beyond_the_board, "the record of a worker has a slot that makes no sense"},
	{state_is_unknown, "the record of a worker has a state that makes no sense"},
	{worker_is_init, "the record of a worker has a pid that makes no sense"},
	{nobody_has_a_channel, "the record of a worker has a pid that makes no sense"},
	{nobody_is_init, "the record of a worker has a pid that makes no sense"},
	{descriptor_has_two_owners, "a descriptor is given twice"},
	{flag_is_two, "the record of a socket has a is_lost that makes no sense"},
	{listener_is_beyond_the_board,
		"the record of a socket has a board_listener that makes no sense"},
};

START_TEST(what_makes_no_sense_is_named)
{
	damages[_i].damage();
	write_state();
	ck_assert_int_eq(read_state(), -EBADMSG);
	ck_assert_str_eq(why.text, damages[_i].said);
}
END_TEST

static int
count_one(int fd, const char *what, void *arg)
{
	int *sum = arg;

	ck_assert_ptr_nonnull(what);
	*sum += fd;
	return fd == 22 ? -EBADF : 0;
}

START_TEST(every_descriptor_is_visited_until_somebody_objects)
{
	int sum = 0;

	state.workers[2].channel = 40;
	ck_assert_int_eq(upgrade_state_visit(&state, count_one, &sum), 0);
	ck_assert_int_eq(sum, 10 + 11 + 20 + 21 + 40 + 30);
	state.workers[2].channel = 22;
	ck_assert_int_eq(upgrade_state_visit(&state, count_one, &sum), -EBADF);
}
END_TEST

UNIT_TESTS("upgrade_state", tcase_add_checked_fixture(tests, create, destroy);
	   tcase_add_test(tests, what_is_written_is_read_back);
	   tcase_add_test(tests, a_thousand_workers_pass);
	   tcase_add_test(tests, another_version_is_refused_and_both_are_named);
	   tcase_add_test(tests, a_state_that_is_cut_anywhere_is_refused);
	   tcase_add_test(tests, something_else_is_no_state);
	   tcase_add_test(tests, what_is_not_known_is_passed_over);
	   tcase_add_loop_test(tests, what_makes_no_sense_is_named, 0, (int)ARRAY_LEN(damages));
	   tcase_add_test(tests, every_descriptor_is_visited_until_somebody_objects);)
