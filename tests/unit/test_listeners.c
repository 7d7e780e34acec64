/* The list of listening sockets and its changes, with real sockets on loopback. */
#include "master/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/board.h"
#include "common/config.h"
#include "common/fault.h"
#include "common/net.h"
#include "master/listeners_change.h"
#include "master/listeners_watch.h"
#include "master/master.h"
#include "tests/unit/fake_fleet.h"
#include "tests/unit/net_help.h"
#include "tests/unit/run.h"

#define ADDRESSES 4

static struct master master;
static struct listeners listeners;
static struct address addresses[ADDRESSES];
static struct listener_config rows[ADDRESSES];
static struct config config;
static char directory[32];

static void
setup(void)
{
	static const char *const names[ADDRESSES] = {"one", "two", "three", "four"};
	struct fault why;

	(void)snprintf(directory, sizeof(directory), "/tmp/acceptd-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(board_create(&master.board, &master.board_memory, &why), 0);
	master.listeners = &listeners;
	master.config = &config;
	master.somaxconn.now = 4096;
	config.listeners = rows;
	for (int i = 0; i < ADDRESSES; i++) {
		addresses[i] = help_free_address();
		rows[i] = (struct listener_config){
			.name = (char *)names[i],
			.addresses = {.items = &addresses[i], .count = 1},
			.backlog = 16,
			.unix_mode = 0600,
		};
	}
}

static void
teardown(void)
{
	char command[64];

	listeners_close_all(&listeners);
	board_detach(&master.board);
	(void)snprintf(command, sizeof(command), "rm -rf %s", directory);
	ck_assert_int_eq(system(command), 0);
}

static void
change_to(size_t first, size_t count)
{
	struct listeners_change *change;
	struct fault why;

	config.listeners = &rows[first];
	config.listener_count = count;
	ck_assert_int_eq(listeners_prepare(&listeners, &config, &change, &why), 0);
	listeners_commit(&master, &change);
}

/* @return a connected socket, or negative errno; never waits */
static int
try_connect(const struct address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM, 0);

	if (connect(fd, &address->any, address->len) != 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

static void
expect_served(const struct address *address, int listener)
{
	int client = try_connect(address);
	union peer peer;
	int server;

	ck_assert_int_ge(client, 0);
	server = net_accept(listener, &peer);
	ck_assert_int_ge(server, 0);
	close(server);
	close(client);
}

START_TEST(the_first_configuration_opens_its_sockets)
{
	change_to(0, 2);
	ck_assert_uint_eq(listeners.count, 2);
	ck_assert_uint_eq(listeners.sockets[0].number, 1);
	ck_assert_uint_eq(listeners.sockets[1].number, 2);
	ck_assert_int_eq(listeners.sockets[1].listener, 1);
	ck_assert_uint_eq(listeners.sockets[0].effective_backlog, 16);
	ck_assert_int_eq(fcntl(listeners.sockets[0].fd, F_GETFD), FD_CLOEXEC);
	expect_served(&addresses[0], listeners.sockets[0].fd);
	expect_served(&addresses[1], listeners.sockets[1].fd);
}
END_TEST

START_TEST(what_stays_is_not_touched_and_what_comes_is_opened)
{
	int fd;
	uint32_t number;

	change_to(0, 2);
	fd = listeners.sockets[1].fd;
	number = listeners.sockets[1].number;
	rows[1].backlog = 40;
	change_to(1, 2);
	ck_assert_uint_eq(listeners.count, 3);
	ck_assert_int_eq(listeners.sockets[0].fd, fd);
	ck_assert_uint_eq(listeners.sockets[0].number, number);
	ck_assert_int_eq(listeners.sockets[0].listener, 0);
	ck_assert_uint_eq(listeners.sockets[0].effective_backlog, 40);
	ck_assert_int_eq(listeners.sockets[2].listener, -1);
	ck_assert(listeners.sockets[2].is_retiring);
	expect_served(&addresses[2], listeners.sockets[1].fd);
}
END_TEST

START_TEST(a_failing_prepare_leaves_no_trace)
{
	struct listeners_change *change;
	struct listening_socket before[2];
	struct fault why;
	int stranger;

	change_to(0, 2);
	memcpy(before, listeners.sockets, sizeof(before));
	stranger = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(stranger, &addresses[3].any, addresses[3].len), 0);
	ck_assert_int_eq(listen(stranger, 1), 0);
	config.listeners = &rows[1];
	config.listener_count = 3;
	ck_assert_int_eq(listeners_prepare(&listeners, &config, &change, &why), -EADDRINUSE);
	ck_assert_msg(strstr(why.text, "listener four: ") != NULL, "says: %s", why.text);
	ck_assert_msg(strstr(why.text, "Address already in use") != NULL, "says: %s", why.text);
	ck_assert_msg(strstr(why.text, "pid ") != NULL, "says: %s", why.text);
	ck_assert_uint_eq(listeners.count, 2);
	ck_assert_mem_eq(before, listeners.sockets, sizeof(before));
	ck_assert_int_eq(try_connect(&addresses[2]), -ECONNREFUSED);
	expect_served(&addresses[0], listeners.sockets[0].fd);
	close(stranger);
}
END_TEST

START_TEST(a_rollback_leaves_no_trace)
{
	struct listeners_change *change;
	struct fault why;

	change_to(0, 1);
	config.listener_count = 2;
	ck_assert_int_eq(listeners_prepare(&listeners, &config, &change, &why), 0);
	listeners_rollback(&change);
	ck_assert_ptr_null(change);
	ck_assert_uint_eq(listeners.count, 1);
	ck_assert_int_eq(try_connect(&addresses[1]), -ECONNREFUSED);
	expect_served(&addresses[0], listeners.sockets[0].fd);
	listeners_rollback(&change);
}
END_TEST

START_TEST(queued_clients_of_a_removed_listener_are_kept)
{
	int client;
	union peer peer;

	change_to(0, 2);
	client = try_connect(&addresses[0]);
	ck_assert_int_ge(client, 0);
	change_to(1, 1);
	ck_assert_uint_eq(listeners.count, 2);
	ck_assert(listeners.sockets[1].is_retiring);
	ck_assert_int_ge(net_accept(listeners.sockets[1].fd, &peer), 0);
	close(client);
}
END_TEST

START_TEST(a_removed_listener_comes_back_as_the_same_socket)
{
	uint32_t number;
	int fd;

	change_to(0, 2);
	number = listeners.sockets[0].number;
	fd = listeners.sockets[0].fd;
	change_to(1, 1);
	change_to(0, 2);
	ck_assert_uint_eq(listeners.count, 2);
	ck_assert_int_eq(listeners.sockets[0].fd, fd);
	ck_assert_uint_eq(listeners.sockets[0].number, number);
	ck_assert(!listeners.sockets[0].is_retiring);
	expect_served(&addresses[0], fd);
}
END_TEST

START_TEST(one_that_was_released_comes_back_under_a_new_number)
{
	change_to(0, 2);
	change_to(1, 1);
	listeners.sockets[1].is_released = true;
	change_to(0, 2);
	ck_assert_uint_eq(listeners.count, 2);
	ck_assert_uint_eq(listeners.sockets[0].number, 3);
	ck_assert(!listeners.sockets[0].is_released);
}
END_TEST

START_TEST(an_empty_retired_socket_is_released_then_closed)
{
	change_to(0, 2);
	change_to(1, 1);
	fake_fleet.holds = true;
	listeners_watch(&master);
	ck_assert_uint_eq(fake_fleet.released, 0); /* the last handshakes may still be under way */
	listeners.sockets[1].quiet_since_ms -= 60 * 1000;
	listeners_watch(&master);
	ck_assert_uint_eq(fake_fleet.released, 1);
	ck_assert_uint_eq(listeners.count, 2);
	fake_fleet.holds = false;
	listeners_watch(&master);
	ck_assert_uint_eq(listeners.count, 1);
	ck_assert_int_eq(try_connect(&addresses[0]), -ECONNREFUSED);
	expect_served(&addresses[1], listeners.sockets[0].fd);
}
END_TEST

START_TEST(a_retired_socket_with_clients_waits)
{
	int client;

	change_to(0, 2);
	client = try_connect(&addresses[0]);
	change_to(1, 1);
	ck_assert(listeners.sockets[1].is_shut || geteuid() != 0);
	listeners.sockets[1].is_shut = true;
	listeners_watch(&master);
	ck_assert_int_eq(listeners.sockets[1].quiet_since_ms, 0);
	listeners_watch(&master);
	ck_assert_uint_eq(fake_fleet.released, 0);
	close(client);
}
END_TEST

START_TEST(the_board_shows_the_queue_of_each_listener)
{
	struct board_listener_head *head;
	int client;

	change_to(0, 1);
	client = try_connect(&addresses[0]);
	listeners_watch(&master);
	head = &master.board.writable->listeners[listeners.sockets[0].board_listener];
	ck_assert_str_eq(head->name, "one");
	ck_assert_uint_eq(stat_get(&head->queue[STAT_QUEUE_depth]), 1);
	ck_assert_uint_eq(stat_get(&head->queue[STAT_QUEUE_limit]), 16);
	ck_assert_uint_eq(stat_get(&head->queue[STAT_QUEUE_asked]), 16);
	ck_assert_uint_eq(stat_get(&head->queue[STAT_QUEUE_peak]), 1);
	net_accept(listeners.sockets[0].fd, &(union peer){0});
	listeners_watch(&master);
	ck_assert_uint_eq(stat_get(&head->queue[STAT_QUEUE_depth]), 0);
	ck_assert_uint_eq(stat_get(&head->queue[STAT_QUEUE_peak]), 1);
	close(client);
}
END_TEST

static void
damage_by_shutdown(int fd)
{
	ck_assert_int_eq(shutdown(fd, SHUT_RD), 0);
}
static void
damage_by_backlog(int fd)
{
	ck_assert_int_eq(listen(fd, 0), 0);
}
static void
damage_by_filter(int fd)
{
	int status = net_listener_shut_out(fd);

	ck_assert(status == 0 || status == -EPERM); /* damaged either way */
}
static void (*const damages[])(int fd) = {damage_by_shutdown, damage_by_backlog, damage_by_filter};

START_TEST(a_damaged_listener_is_healed_once)
{
	struct net_queue queue;
	board_cell *healed = &master.board.writable->stats[STAT_MASTER_listeners_healed];

	change_to(0, 1);
	ck_assert(!listeners_heal(&master));
	ck_assert_uint_eq(stat_get(healed), 0);
	damages[_i](listeners.sockets[0].fd);
	ck_assert(!listeners_heal(&master));
	ck_assert(!listeners_heal(&master));
	ck_assert_uint_eq(stat_get(healed), 1);
	ck_assert_int_eq(net_listener_sample(listeners.sockets[0].fd, &queue), 0);
	ck_assert(queue.is_listening);
	ck_assert_uint_eq(queue.limit, 16);
	expect_served(&addresses[0], listeners.sockets[0].fd);
}
END_TEST

static void
use_unix_path(void)
{
	char string[64];
	struct fault why;

	(void)snprintf(string, sizeof(string), "unix:%s/socket", directory);
	ck_assert_int_eq(address_parse(string, &addresses[0], &why), 0);
}

START_TEST(a_removed_unix_socket_loses_its_path_and_comes_back_new)
{
	const char *path = addresses[0].un.sun_path;

	use_unix_path();
	change_to(0, 2);
	ck_assert_int_eq(access(path, F_OK), 0);
	expect_served(&addresses[0], listeners.sockets[0].fd);
	change_to(1, 1);
	ck_assert_int_eq(access(path, F_OK), -1);
	change_to(0, 2);
	ck_assert_uint_eq(listeners.count, 3);
	expect_served(&addresses[0], listeners.sockets[0].fd);
	listeners_close_all(&listeners);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(a_unix_socket_that_was_shut_down_is_opened_anew)
{
	use_unix_path();
	change_to(0, 1);
	damage_by_shutdown(listeners.sockets[0].fd);
	ck_assert(listeners_heal(&master));
	ck_assert(listeners_heal(&master)); /* as long as nobody has done it */
	ck_assert_uint_eq(stat_get(&master.board.writable->stats[STAT_MASTER_listeners_healed]), 1);
	change_to(0, 1);
	ck_assert(!listeners_heal(&master));
	ck_assert_uint_eq(listeners.count, 2);
	ck_assert_uint_eq(listeners.sockets[0].number, 2);
	expect_served(&addresses[0], listeners.sockets[0].fd);
	listeners.sockets[1].quiet_since_ms = 1;
	listeners_watch(&master);
	ck_assert_uint_eq(listeners.count, 1);
	expect_served(&addresses[0], listeners.sockets[0].fd); /* its path is still there */
}
END_TEST

START_TEST(a_path_that_somebody_else_took_is_left_alone)
{
	const char *path = addresses[0].un.sun_path;

	use_unix_path();
	change_to(0, 1);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	listeners_close_all(&listeners);
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(a_passed_socket_is_used_and_given_back)
{
	static struct activation activation;
	struct net_options options = {.backlog = 5};
	struct fault why;
	int fd = net_listen(&addresses[0], &options, &why);

	ck_assert_int_ge(fd, 0);
	activation.sockets[0] = (struct activation_socket){.fd = fd, .address = addresses[0]};
	activation.count = 1;
	listeners.activation = &activation;
	change_to(0, 2);
	ck_assert_int_eq(listeners.sockets[0].fd, fd);
	ck_assert(listeners.sockets[0].was_inherited);
	ck_assert_uint_eq(listeners.sockets[0].effective_backlog, 16);
	change_to(1, 1);
	expect_served(&addresses[0], fd); /* nobody is kept out: the manager listens on */
	listeners_close_all(&listeners);
	ck_assert_int_eq(activation.sockets[0].fd, fd);
	expect_served(&addresses[0], fd);
	activation_close(&activation);
}
END_TEST

static bool
knows_odd(const void *child, uint32_t number)
{
	(void)child;
	return number % 2 == 1;
}

START_TEST(a_child_is_told_of_all_and_given_what_it_lacks)
{
	struct channel_listeners payload;
	int fds[CHANNEL_DESCRIPTORS_MAX];
	size_t fd_count, cursor = 0;

	change_to(0, 3);
	listeners.sockets[0].is_retiring = true;
	ck_assert(
		listeners_describe(&listeners, &cursor, knows_odd, NULL, &payload, fds, &fd_count));
	ck_assert_uint_eq(payload.count, 3);
	ck_assert_uint_eq(payload.sockets[0].is_retiring, 1);
	ck_assert_uint_eq(payload.new_mask[0], 2);
	ck_assert_uint_eq(fd_count, 1);
	ck_assert_int_eq(fds[0], listeners.sockets[1].fd);
	ck_assert(!listeners_describe(
		&listeners, &cursor, knows_odd, NULL, &payload, fds, &fd_count));
}
END_TEST

/* A worker knows nothing of its listener: those that had it before empty it. */
START_TEST(a_child_does_not_hear_of_a_queue_on_its_way_out_that_it_never_had)
{
	struct channel_listeners payload;
	int fds[CHANNEL_DESCRIPTORS_MAX];
	size_t fd_count, cursor = 0;

	change_to(0, 3);
	listeners.sockets[1].is_retiring = true;
	ck_assert(listeners_are_retiring(&listeners));
	ck_assert(
		listeners_describe(&listeners, &cursor, knows_odd, NULL, &payload, fds, &fd_count));
	ck_assert_uint_eq(payload.count, 2);
	ck_assert_uint_eq(payload.sockets[1].number, listeners.sockets[2].number);
	ck_assert_uint_eq(fd_count, 0);
}
END_TEST

START_TEST(a_long_list_takes_several_messages_and_skips_what_was_released)
{
	enum { COUNT = 130 };
	static struct listening_socket many[COUNT];
	struct listeners list = {.sockets = many, .count = COUNT};
	struct channel_listeners payload;
	int fds[CHANNEL_DESCRIPTORS_MAX];
	size_t fd_count, cursor = 0;
	uint32_t expected = 1;

	for (int i = 0; i < COUNT; i++) {
		many[i].number = (uint32_t)i + 1;
		many[i].is_released = i == 70;
	}
	while (listeners_describe(&list, &cursor, NULL, NULL, &payload, fds, &fd_count)) {
		ck_assert_uint_eq(fd_count, payload.count);
		for (uint32_t i = 0; i < payload.count; i++) {
			expected += expected == 71;
			ck_assert_uint_eq(payload.sockets[i].number, expected++);
		}
	}
	ck_assert_uint_eq(expected, COUNT + 1);
}
END_TEST

UNIT_TESTS("listeners", tcase_add_checked_fixture(tests, setup, teardown);
	   tcase_add_test(tests, the_first_configuration_opens_its_sockets);
	   tcase_add_test(tests, what_stays_is_not_touched_and_what_comes_is_opened);
	   tcase_add_test(tests, a_failing_prepare_leaves_no_trace);
	   tcase_add_test(tests, a_rollback_leaves_no_trace);
	   tcase_add_test(tests, queued_clients_of_a_removed_listener_are_kept);
	   tcase_add_test(tests, a_removed_listener_comes_back_as_the_same_socket);
	   tcase_add_test(tests, one_that_was_released_comes_back_under_a_new_number);
	   tcase_add_test(tests, an_empty_retired_socket_is_released_then_closed);
	   tcase_add_test(tests, a_retired_socket_with_clients_waits);
	   tcase_add_test(tests, the_board_shows_the_queue_of_each_listener);
	   tcase_add_loop_test(tests, a_damaged_listener_is_healed_once, 0,
		   sizeof(damages) / sizeof(damages[0]));
	   tcase_add_test(tests, a_removed_unix_socket_loses_its_path_and_comes_back_new);
	   tcase_add_test(tests, a_unix_socket_that_was_shut_down_is_opened_anew);
	   tcase_add_test(tests, a_path_that_somebody_else_took_is_left_alone);
	   tcase_add_test(tests, a_passed_socket_is_used_and_given_back);
	   tcase_add_test(tests, a_child_is_told_of_all_and_given_what_it_lacks);
	   tcase_add_test(tests, a_child_does_not_hear_of_a_queue_on_its_way_out_that_it_never_had);
	   tcase_add_test(tests, a_long_list_takes_several_messages_and_skips_what_was_released);)
