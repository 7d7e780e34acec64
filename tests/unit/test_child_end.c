#include "common/child_end.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/board.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "tests/unit/run.h"

#define HEARD_MAX 8

static int master;
static struct ev_loop *loop;
static struct {
	struct child_end end;
	size_t heard, most;
	uint64_t generations[HEARD_MAX];
	int lost;
	unsigned losses;
} child;

static bool
on_message(struct child_end *end, struct channel_message *message)
{
	(void)end;
	ck_assert_int_eq(message->type, CHANNEL_COMMIT);
	ck_assert_uint_lt(child.heard, HEARD_MAX);
	child.generations[child.heard++] = message->commit.generation;
	return child.heard < child.most;
}

static void
on_lost(struct child_end *end, int error)
{
	(void)end;
	child.lost = error;
	child.losses++;
}

static void
setup(void)
{
	int fd;

	memset(&child, 0, sizeof(child));
	child.most = HEARD_MAX;
	child.end.on_message = on_message;
	child.end.on_lost = on_lost;
	loop = loop_new();
	ck_assert_ptr_nonnull(loop);
	ck_assert_int_eq(channel_pair(&master, &fd), 0);
	child_end_start(&child.end, loop, fd);
}

static void
teardown(void)
{
	child_end_stop(&child.end);
	ck_assert_int_eq(child.end.fd, -1);
	descriptor_close(&master);
	ev_loop_destroy(loop);
}

static void
tell(enum channel_type type, const void *payload, const int *fd)
{
	ck_assert_int_eq(channel_send(master, type, payload, fd, fd != NULL ? 1 : 0), 0);
}

static void
tell_commit(uint64_t generation)
{
	struct channel_commit commit = {.generation = generation};

	tell(CHANNEL_COMMIT, &commit, NULL);
}

START_TEST(messages_are_heard_in_order_until_the_owner_has_enough)
{
	child.most = 2;
	for (uint64_t generation = 1; generation <= 3; generation++) {
		tell_commit(generation);
	}
	ev_run(loop, EVRUN_ONCE);
	ck_assert_uint_eq(child.heard, 2);
	child.most = HEARD_MAX;
	ev_run(loop, EVRUN_ONCE);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(child.generations[i], i + 1);
	}
	ck_assert_uint_eq(child.losses, 0);
}
END_TEST

START_TEST(the_log_goes_where_the_master_says)
{
	struct channel_log log = {.sink = LOG_FILE, .level = LOG_LEVEL_WARNING};
	char line[256] = "";
	int file = memfd_create("log", MFD_CLOEXEC);

	ck_assert_int_ge(file, 0);
	tell(CHANNEL_LOG, &log, &file);
	ev_run(loop, EVRUN_ONCE);
	log_warning("so it is");
	log_info("not this");
	ck_assert_int_gt(pread(file, line, sizeof(line) - 1, 0), 0);
	ck_assert_ptr_nonnull(strstr(line, "so it is"));
	ck_assert_ptr_null(strstr(line, "not this"));
	ck_assert_uint_eq(child.heard, 0);
	close(file);
}
END_TEST

/* As libev tells it that the kernel does not take the channel into its epoll set. */
START_TEST(a_deaf_child_hears_again)
{
	struct channel_log log = {.sink = LOG_FILE, .level = LOG_LEVEL_ERROR};
	char line[256] = "";
	int file = memfd_create("log", MFD_CLOEXEC);

	tell(CHANNEL_LOG, &log, &file);
	ev_run(loop, EVRUN_ONCE);
	ev_io_stop(loop, &child.end.watcher);
	ev_invoke(loop, &child.end.watcher, EV_ERROR | EV_READ | EV_WRITE);
	ck_assert_int_gt(pread(file, line, sizeof(line) - 1, 0), 0);
	ck_assert_ptr_nonnull(strstr(line, "fs.epoll.max_user_watches"));
	tell_commit(7);
	while (child.heard == 0) {
		ev_run(loop, EVRUN_ONCE);
	}
	ck_assert_uint_eq(child.generations[0], 7);
	close(file);
}
END_TEST

START_TEST(what_the_master_said_last_is_heard_before_its_end)
{
	tell_commit(1);
	descriptor_close(&master);
	ev_run(loop, EVRUN_ONCE);
	ck_assert_uint_eq(child.heard, 1);
	ck_assert_int_eq(child.lost, -EPIPE);
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(child.losses, 1);
}
END_TEST

START_TEST(a_broken_grammar_is_a_loss)
{
	ck_assert_int_eq(send(master, "nonsense", 8, 0), 8);
	ev_run(loop, EVRUN_ONCE);
	ck_assert_uint_eq(child.heard, 0);
	ck_assert_int_eq(child.lost, -EPROTO);
}
END_TEST

START_TEST(what_is_said_arrives)
{
	struct channel_message message;

	child_end_say(&child.end, CHANNEL_READY, NULL);
	ck_assert_int_eq(channel_receive(master, CHANNEL_MASTER, &message), 0);
	ck_assert_int_eq(message.type, CHANNEL_READY);
	child_end_refuse(&child.end, 3, "too late");
	ck_assert_int_eq(channel_receive(master, CHANNEL_MASTER, &message), 0);
	ck_assert_int_eq(message.type, CHANNEL_REFUSED);
	ck_assert_uint_eq(message.refused.generation, 3);
	ck_assert_str_eq(message.refused.why, "too late");
	descriptor_close(&master);
	child_end_say(&child.end, CHANNEL_READY, NULL); /* told by on_lost */
}
END_TEST

/* --- the greeting --- */

static void
greet(pid_t pid, int board_fd)
{
	struct channel_hello hello = {.master_pid = (int32_t)pid};

	tell(CHANNEL_HELLO, &hello, &board_fd);
}

START_TEST(the_greeting_brings_the_board)
{
	struct board written, board;
	struct fault why;
	int memory;

	ck_assert_int_eq(board_create(&written, &memory, &why), 0);
	board_open_slot(&written, 1);
	greet(getppid(), memory);
	ck_assert_msg(child_end_meet(child.end.fd, 1, &board, &why) == 0, "%s", why.text);
	stat_set(&board.slots[1].stats[STAT_WORKER_turns], 5);
	ck_assert_uint_eq(stat_get(&written.slots[1].stats[STAT_WORKER_turns]), 5);
	board_detach(&board);
	board_detach(&written);
	close(memory);
}
END_TEST

START_TEST(who_is_not_greeted_by_its_parent_does_not_begin)
{
	struct board board;
	struct fault why;
	int memory = memfd_create("board", MFD_CLOEXEC);

	greet(getpid(), memory); /* no parent of ours */
	ck_assert_int_eq(child_end_meet(child.end.fd, 1, &board, &why), -ESRCH);
	tell_commit(1);
	ck_assert_int_eq(child_end_meet(child.end.fd, 1, &board, &why), -EPROTO);
	greet(getppid(), memory); /* an empty file is no board */
	ck_assert_int_lt(child_end_meet(child.end.fd, 1, &board, &why), 0);
	descriptor_close(&master);
	ck_assert_int_eq(child_end_meet(child.end.fd, 1, &board, &why), -EPIPE);
	ck_assert_uint_gt(strlen(why.text), 0);
	close(memory);
}
END_TEST

UNIT_TESTS("child_end", tcase_add_checked_fixture(tests, setup, teardown);
	   tcase_add_test(tests, messages_are_heard_in_order_until_the_owner_has_enough);
	   tcase_add_test(tests, the_log_goes_where_the_master_says);
	   tcase_add_test(tests, a_deaf_child_hears_again);
	   tcase_add_test(tests, what_the_master_said_last_is_heard_before_its_end);
	   tcase_add_test(tests, a_broken_grammar_is_a_loss);
	   tcase_add_test(tests, what_is_said_arrives);
	   tcase_add_test(tests, the_greeting_brings_the_board);
	   tcase_add_test(tests, who_is_not_greeted_by_its_parent_does_not_begin);)
