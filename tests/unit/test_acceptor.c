#include "worker/acceptor.h"

#include <errno.h>
#include <sys/resource.h>

#include "tests/unit/run.h"
#include "tests/unit/worker_help.h"
#include "worker/pause.h"

#define NUMBER  7 /* of the socket */
#define CLIENTS 40

static struct address address;
static struct acceptor *acceptor;
static int clients[CLIENTS];
static size_t client_count;

static void
open_door(void)
{
	int fd = help_listen_explicit(4096, &address);

	ck_assert_int_eq(acceptor_open(&room.service, NUMBER, fd, room.settings, &acceptor), 0);
	room_turn_at_once();
	client_count = 0;
}

static void
use_config(void)
{
	room_use_config();
	acceptor_use(acceptor, room.settings);
}

static void
connect_clients(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int fd = help_connect(&address);

		ck_assert(help_is_connected(fd, HELP_WAIT_MS));
		ck_assert_uint_lt(client_count, CLIENTS);
		clients[client_count++] = fd;
	}
}

static void
leave(void)
{
	for (size_t i = 0; i < client_count; i++) {
		close(clients[i]);
	}
	room_close();
}

static void
add_worker(uint64_t open)
{
	struct board_slot *other = &room.service.board.slots[1];

	board_open_slot(&room.board, 1);
	atomic_store(&other->state, BOARD_WORKER_SERVING);
	atomic_store(&other->progress_ms, INT64_MAX / 2);
	stat_set(&other->stats[STAT_WORKER_open], open);
	stat_set(&other->claims, open);
	stat_set(&other->listeners[0].claims, open);
}

static const struct {
	size_t clients;
	uint64_t first_turn;
} batches[] = {{1, 1}, {2, 2}, {16, 16}, {17, 16}, {40, 16}};

START_TEST(a_turn_takes_a_batch_and_never_tries_an_empty_queue)
{
	room_open();
	open_door();
	connect_clients(batches[_i].clients);
	room_turn_at_once();
	ck_assert_uint_eq(room.service.open, batches[_i].first_turn);
	room_turn_until(room.service.open == batches[_i].clients);
	ck_assert_uint_eq(room_worker_stat(STAT_WORKER_empty_accepts), 0);
	ck_assert_uint_eq(room_worker_stat(STAT_WORKER_guard_rescues), 0);
	room_check_books();
	leave();
}
END_TEST

START_TEST(the_peer_is_known_even_if_it_reset_in_the_queue)
{
	const struct conn *conn;
	struct address from;

	room_open();
	open_door();
	connect_clients(1);
	from = help_bound(clients[0], false);
	net_reset_on_close(clients[0]);
	close(clients[--client_count]);
	room_turn_at_once();
	conn = room.service.conns;
	ck_assert_ptr_nonnull(conn);
	ck_assert_uint_eq(conn->peer.in4.sin_port, from.in4.sin_port);
	room_turn_until(room.service.conns == NULL);
	ck_assert_uint_eq(room_closed(CLOSE_gone_in_queue), 1);
	ck_assert_uint_eq(room_worker_stat(STAT_WORKER_accept_errors), 0);
	leave();
}
END_TEST

START_TEST(at_a_limit_clients_wait_in_the_queue_until_a_place_is_free)
{
	room_open();
	open_door();
	room.config.max_connections = 3;
	use_config();
	connect_clients(5);
	room_turn_until(acceptor->pause == BOARD_PAUSE_LIMIT);
	ck_assert_uint_eq(room.service.open, 3);
	ck_assert_uint_eq(atomic_load(&room.service.slot->pause), BOARD_PAUSE_LIMIT);
	ck_assert_uint_eq(acceptor_depth(acceptor), 2);
	ck_assert_uint_ge(room_worker_stat(STAT_WORKER_pauses_limit), 1);
	conn_close(room.service.conns, CLOSE_idle);
	room_turn_until(acceptor_depth(acceptor) == 1);
	ck_assert_uint_eq(room.service.open, 3);
	while (room.service.conns != NULL) {
		conn_close(room.service.conns, CLOSE_idle);
	}
	room_turn_until(room.service.open == 1 && acceptor->pause == 0);
	leave();
}
END_TEST

START_TEST(a_place_that_another_worker_frees_is_noticed_by_the_tick)
{
	room_open();
	open_door();
	add_worker(3);
	room.service.max_connections = 3;
	connect_clients(1);
	room_turn_until(acceptor->pause != 0);
	stat_set(&room.service.board.slots[1].claims, 2);
	room_turn_until(room.service.open == 1);
	leave();
}
END_TEST

START_TEST(at_a_limit_clients_can_be_refused_and_are_counted)
{
	unsigned char byte;

	room_open();
	open_door();
	room.config.max_connections = 3;
	room.config.on_limit = ON_LIMIT_REFUSE;
	use_config();
	connect_clients(30);
	room_turn_until(room_closed(CLOSE_refused_limit) == 27);
	ck_assert_uint_eq(room.service.open, 3);
	ck_assert_uint_eq(room_stat(STAT_LISTENER_accepted), 30);
	ck_assert_uint_eq(acceptor->pause, 0);
	ck_assert_int_eq(client_receive(clients[29], &byte, 1), -ECONNRESET);
	leave();
}
END_TEST

/* The other claims three places for one client that it then does not get. */
START_TEST(nobody_is_refused_for_places_that_another_worker_will_give_back)
{
	room_open();
	open_door();
	add_worker(3);
	room.service.max_connections = 3;
	room.config.on_limit = ON_LIMIT_REFUSE;
	use_config();
	stat_set(&room.service.board.slots[1].stats[STAT_WORKER_open], 2);
	connect_clients(2);
	room_turn_until(acceptor->pause == BOARD_PAUSE_LIMIT);
	ck_assert_uint_eq(room_closed(CLOSE_refused_limit), 0);
	stat_set(&room.service.board.slots[1].claims, 2);
	room_turn_until(room_closed(CLOSE_refused_limit) == 1);
	ck_assert_uint_eq(room.service.open, 1);
	leave();
}
END_TEST

START_TEST(a_worker_ahead_of_the_others_leaves_the_queue_to_them_for_a_moment)
{
	int64_t paused_ms;

	room_open();
	open_door();
	add_worker(0);
	connect_clients(20);
	room_turn_until(acceptor->pause == BOARD_PAUSE_BALANCE);
	/* Mean and margin, and one more because its wake-up may have been ours. */
	ck_assert_uint_ge(room.service.open, 5);
	ck_assert_uint_le(room.service.open, 5 + 8 + 1);
	paused_ms = room.service.now_ms;
	stat_set(&room.service.board.slots[1].stats[STAT_WORKER_open], 100);
	room_turn_until(room.service.open == 20);
	ck_assert_int_lt(room.service.now_ms - paused_ms, 50);
	ck_assert_uint_eq(acceptor->pause, 0);
	leave();
}
END_TEST

/* The other never takes any: it hangs in a handler, and nobody has noticed yet. */
START_TEST(nobody_waits_long_for_the_sake_of_balance)
{
	int64_t began_ms;

	room_open();
	open_door();
	add_worker(0);
	began_ms = room.service.now_ms;
	connect_clients(CLIENTS);
	room_turn_until(room.service.open == CLIENTS);
	ck_assert_int_ge(acceptor->last_accept_ms - began_ms, 50);
	ck_assert_int_le(acceptor->last_accept_ms - began_ms, 150);
	ck_assert_uint_ge(room_worker_stat(STAT_WORKER_pauses_balance), 1);
	leave();
}
END_TEST

START_TEST(a_deep_queue_is_everybodys)
{
	room_open();
	open_door();
	add_worker(0);
	acceptor->queue_limit = 32; /* deep from 3 on */
	connect_clients(CLIENTS);
	for (int i = 0; i < 3; i++) {
		room_turn_at_once();
		acceptor->queue_limit = 32;
	}
	ck_assert_uint_ge(room.service.open, CLIENTS - 2);
	leave();
}
END_TEST

START_TEST(accepting_pauses_before_the_descriptors_run_out)
{
	room_open();
	open_door();
	room.service.descriptor_limit = room.service.descriptors_used + 4 + 10; /* reserve: 4 */
	room.service.next_guard_ms = INT64_MAX; /* it would read the real limit */
	connect_clients(15);
	room_turn_until(acceptor->pause == BOARD_PAUSE_DESCRIPTORS);
	/* One more than fits: its wake-up may have been ours. */
	ck_assert_uint_ge(room.service.open, 10);
	ck_assert_uint_le(room.service.open, 11);
	ck_assert_uint_eq(room_worker_stat(STAT_WORKER_accept_errors), 0);
	conn_close(room.service.conns, CLOSE_idle);
	conn_close(room.service.conns, CLOSE_idle);
	room_turn_until(acceptor_depth(acceptor) < 4);
	leave();
}
END_TEST

static void
set_limit(rlim_t limit)
{
	struct rlimit files;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = limit;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
}

/* Numbers run out although the count says that there is room: low ones are free nowhere. */
START_TEST(a_real_emfile_pauses_and_passes)
{
	int64_t began_ms;

	room_open();
	open_door();
	connect_clients(1);
	set_limit((rlim_t)clients[0] + 1);
	room_turn_until(acceptor->pause == BOARD_PAUSE_DESCRIPTORS);
	ck_assert_uint_ge(room_worker_stat(STAT_WORKER_accept_errors), 1);
	began_ms = room.service.now_ms;
	while (room.service.now_ms < began_ms + 150) {
		room_turn();
	}
	ck_assert_uint_le(room_worker_stat(STAT_WORKER_accept_errors), 4);
	ck_assert_uint_le(room_worker_stat(STAT_WORKER_turns), 60);
	set_limit(1000);
	room_turn_until(room.service.open == 1);
	leave();
}
END_TEST

START_TEST(with_no_descriptor_anywhere_refusing_listeners_shed)
{
	unsigned char byte;

	room_open();
	open_door();
	room.config.on_limit = ON_LIMIT_REFUSE;
	use_config();
	room.service.descriptor_limit = 0;
	room.service.next_guard_ms = INT64_MAX;
	connect_clients(3);
	room_turn_until(room_worker_stat(STAT_WORKER_shed) >= 2);
	ck_assert_uint_eq(room_closed(CLOSE_shed), room_worker_stat(STAT_WORKER_shed));
	ck_assert_int_ge(room.service.reserve_fd, 0);
	ck_assert_int_eq(client_receive(clients[2], &byte, 1), -ECONNRESET);
	leave();
}
END_TEST

START_TEST(a_listener_that_was_shut_down_is_taken_up_again_when_healed)
{
	uint64_t turns;

	room_open();
	open_door();
	ck_assert_int_eq(shutdown(acceptor->exclusive.fd, SHUT_RDWR), 0);
	room_turn_until(acceptor->pause == BOARD_PAUSE_TROUBLE);
	turns = room_worker_stat(STAT_WORKER_turns);
	for (int i = 0; i < 20; i++) {
		room_turn();
	}
	ck_assert_uint_le(room_worker_stat(STAT_WORKER_turns) - turns, 20);
	ck_assert_uint_eq(acceptor->pause, BOARD_PAUSE_TROUBLE);
	ck_assert_int_eq(listen(acceptor->exclusive.fd, 16), 0);
	connect_clients(1);
	room_turn_until(room.service.open == 1);
	leave();
}
END_TEST

/* As if the worker that was woken had died: nobody is told, the client waits. */
START_TEST(the_guard_finds_a_client_whose_wake_up_was_lost)
{
	int64_t began_ms;

	room_open();
	open_door();
	exclusive_leave(&acceptor->exclusive);
	connect_clients(1);
	began_ms = room.service.now_ms;
	room_turn_until(room.service.open == 1);
	ck_assert_int_le(acceptor->last_accept_ms - began_ms, 120);
	ck_assert_uint_eq(room_worker_stat(STAT_WORKER_guard_rescues), 1);
	leave();
}
END_TEST

START_TEST(a_nudge_looks_at_once)
{
	room_open();
	open_door();
	exclusive_leave(&acceptor->exclusive);
	connect_clients(20);
	acceptors_look(&room.service);
	ck_assert_uint_eq(room.service.open, 16);
	leave();
}
END_TEST

START_TEST(a_queue_is_emptied_before_the_last_one_goes)
{
	room_open();
	open_door();
	connect_clients(CLIENTS);
	atomic_store(&room.service.slot->state, BOARD_WORKER_DRAINING);
	acceptors_leave(&room.service);
	ck_assert_uint_eq(room.service.open, CLIENTS);
	ck_assert_ptr_null(room.service.acceptors);
	leave();
}
END_TEST

START_TEST(a_queue_is_left_to_those_who_stay)
{
	room_open();
	open_door();
	add_worker(0);
	connect_clients(CLIENTS);
	atomic_store(&room.service.slot->state, BOARD_WORKER_DRAINING);
	acceptors_leave(&room.service);
	ck_assert_uint_eq(room.service.open, 1);
	leave();
}
END_TEST

START_TEST(closing_while_paused_leaves_no_pause_behind)
{
	room_open();
	open_door();
	room.service.max_connections = 1;
	connect_clients(2);
	room_turn_until(acceptor->pause == BOARD_PAUSE_LIMIT);
	ck_assert_ptr_eq(acceptor_find(&room.service, NUMBER), acceptor);
	acceptor_close(acceptor);
	ck_assert_ptr_null(acceptor_find(&room.service, NUMBER));
	ck_assert_uint_eq(room.service.paused_acceptors, 0);
	ck_assert_uint_eq(atomic_load(&room.service.slot->pause), 0);
	room_turn();
	leave();
}
END_TEST

START_TEST(a_unix_socket_is_served_the_same)
{
	char directory[] = "/tmp/test_acceptor.XXXXXX", path[64];
	int fd;

	room_open();
	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "unix:%s/socket", directory);
	address = help_address(path);
	fd = help_listen(&address, &help_options);
	ck_assert_int_eq(acceptor_open(&room.service, NUMBER, fd, room.settings, &acceptor), 0);
	client_count = 0;
	connect_clients(10);
	room_turn_until(room.service.open == 10);
	client_send(clients[3], "abc", 3);
	client_expect(clients[3], (const unsigned char *)"abc", 3);
	leave();
	ck_assert_int_eq(unlink(path + 5), 0);
	ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(descriptors_in_use_are_counted)
{
	int64_t before;

	room_open();
	open_door();
	before = room.service.descriptors_used;
	ck_assert_int_eq(before, descriptor_count_open());
	connect_clients(3);
	room_turn_until(room.service.open == 3);
	ck_assert_int_eq(room.service.descriptors_used, before + 3);
	ck_assert_int_eq(descriptor_count_open(), before + 6);
	while (room.service.conns != NULL) {
		conn_close(room.service.conns, CLOSE_idle);
	}
	ck_assert_int_eq(room.service.descriptors_used, before);
	leave();
}
END_TEST

UNIT_TESTS(
	"acceptor", tcase_add_loop_test(tests, a_turn_takes_a_batch_and_never_tries_an_empty_queue,
			    0, ARRAY_LEN(batches));
	tcase_add_test(tests, the_peer_is_known_even_if_it_reset_in_the_queue);
	tcase_add_test(tests, at_a_limit_clients_wait_in_the_queue_until_a_place_is_free);
	tcase_add_test(tests, a_place_that_another_worker_frees_is_noticed_by_the_tick);
	tcase_add_test(tests, at_a_limit_clients_can_be_refused_and_are_counted);
	tcase_add_test(tests, nobody_is_refused_for_places_that_another_worker_will_give_back);
	tcase_add_test(tests, a_worker_ahead_of_the_others_leaves_the_queue_to_them_for_a_moment);
	tcase_add_test(tests, nobody_waits_long_for_the_sake_of_balance);
	tcase_add_test(tests, a_deep_queue_is_everybodys);
	tcase_add_test(tests, accepting_pauses_before_the_descriptors_run_out);
	tcase_add_test(tests, a_real_emfile_pauses_and_passes);
	tcase_add_test(tests, with_no_descriptor_anywhere_refusing_listeners_shed);
	tcase_add_test(tests, a_listener_that_was_shut_down_is_taken_up_again_when_healed);
	tcase_add_test(tests, the_guard_finds_a_client_whose_wake_up_was_lost);
	tcase_add_test(tests, a_nudge_looks_at_once);
	tcase_add_test(tests, a_queue_is_emptied_before_the_last_one_goes);
	tcase_add_test(tests, a_queue_is_left_to_those_who_stay);
	tcase_add_test(tests, closing_while_paused_leaves_no_pause_behind);
	tcase_add_test(tests, a_unix_socket_is_served_the_same);
	tcase_add_test(tests, descriptors_in_use_are_counted);)
