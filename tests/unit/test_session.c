#include "worker/session.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/run.h"
#include "tests/unit/worker_help.h"
#include "worker/pipes.h"
#include "worker/upstream.h"

#define WRITE_TIMEOUT_MS 60000
#define HALF_CLOSE_MS    30000
#define FULL_BYTES       (32 << 20) /* more than all the buffers of one direction hold */

/* A back end's listener and the sessions to it; the tests hold the other ends. */
static struct {
	int listener;
	struct address address;
	int64_t descriptors_before;
} back;

static void
use_upstream(const char *options)
{
	static struct findings findings;
	struct config *config = NULL;
	char text[1024], address[ADDRESS_TEXT_MAX], name[ENDPOINT_TEXT_MAX];

	(void)address_format(&back.address, address);
	(void)snprintf(text, sizeof(text),
		"listeners = ( { name = \"test\"; address = \"127.0.0.1:1\"; protocol = \"proxy\"; "
		"upstream = \"u\"; } ); upstreams = ( { name = \"u\"; %s servers = ( { address = "
		"\"%s\"; } ); } );",
		options, address);
	ck_assert_msg(config_load_text(text, "t.conf", &config, &findings) == 0, "%s",
		findings.items[0].text);
	ck_assert_int_eq(board_upstream_index(&room.board, "u"), 0);
	ck_assert_int_eq(
		board_server_index(&room.board, 0, config_server_name(&config->servers[0], name)),
		0);
	ck_assert_int_eq(upstreams_prepare(&room.service, config), 0);
	upstreams_commit(&room.service);
	config_free(&config);
}

static void
use_settings(void)
{
	settings_release(&room.settings);
	room.settings =
		settings_new(&room.service, &room.config, 0, upstream_find(&room.service, "u"));
	ck_assert_ptr_nonnull(room.settings);
}

static void
stage_open(const char *upstream_options)
{
	struct address any = help_any_port("127.0.0.1");

	room_open();
	back.descriptors_before = room.service.descriptors_used;
	back.listener = help_listen(&any, &help_options);
	back.address = help_bound(back.listener, false);
	use_upstream(upstream_options);
	room.config.protocol = PROTOCOL_proxy;
	room.config.write_timeout_ms = WRITE_TIMEOUT_MS;
	room.config.half_close_timeout_ms = HALF_CLOSE_MS;
	use_settings();
}

/* Every test ends with every place at the server free. */
static void
stage_close(void)
{
	while (room.service.conns != NULL) {
		conn_close(room.service.conns, CLOSE_drain);
	}
	ck_assert_uint_eq(stat_get(&room.service.slot->servers[0].held), 0);
	ck_assert_uint_eq(stat_get(&room.service.slot->servers[0].unproven), 0);
	ck_assert_uint_eq(stat_get(&room.service.slot->servers[0].settled), 0);
	ck_assert_uint_eq(stat_get(&room.service.slot->upstreams[0].waiting), 0);
	pipes_fini(&room.service);
	ck_assert_int_eq(room.service.descriptors_used, back.descriptors_before);
	close(back.listener);
	settings_release(&room.settings);
	upstreams_fini(&room.service);
	room_close();
}

/* The only session, if it is there. */
static struct session *
session(void)
{
	return room.service.conns == NULL ? NULL : conn_state(room.service.conns);
}

/* Both ends of a new session, which is open. */
static void
session_begin(int *client, int *server)
{
	*client = room_client();
	*server = help_accept(back.listener);
	room_turn_until(session()->state == SESSION_OPEN);
}

static void
expect_word(int from, int to)
{
	client_send(from, "word", 4);
	client_expect(to, (const unsigned char *)"word", 4);
}

static bool
is_stuck(const struct stream *stream, const ev_io *source)
{
	return stream_kept(stream) > 0 && (source->events & EV_READ) == 0;
}

/* Until every buffer on the way is full, as nobody reads at the other end, and we read no more. */
static void
fill(int fd)
{
	static char bytes[65536];
	size_t written = 0;
	int stuck_turns = 0;

	while (stuck_turns < 2) {
		const struct session *filled = session();
		ssize_t taken = send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);

		written += taken > 0 ? (size_t)taken : 0;
		ck_assert_uint_lt(written, FULL_BYTES);
		room_turn();
		stuck_turns = is_stuck(&filled->up, &room.service.conns->watcher) ||
					      is_stuck(&filled->down, &filled->back)
				      ? stuck_turns + 1
				      : 0;
	}
}

static void
reset(int fd)
{
	net_reset_on_close(fd);
	close(fd);
}

static void
expect_end(enum close_reason reason)
{
	room_turn_until(room.service.conns == NULL);
	for (int i = 0; i < CLOSE_COUNT; i++) {
		ck_assert_msg(room_closed((enum close_reason)i) == (i == (int)reason ? 1 : 0),
			"expected %s, is %s", close_reason_name(reason),
			close_reason_name((enum close_reason)i));
	}
}

/* So much time, in steps as it passes. */
static void
pass_ms(int64_t ms)
{
	for (int64_t passed = 0; passed < ms && room.service.conns != NULL; passed += 250) {
		room_pass_ms(250);
	}
}

START_TEST(words_go_there_and_back)
{
	int client, server;

	stage_open("");
	session_begin(&client, &server);
	expect_word(client, server);
	expect_word(server, client);
	ck_assert_int_eq(session()->request.state, UPSTREAM_PROVEN);
	close(client);
	ck_assert_int_eq(client_receive(server, &(char){0}, 1), 0);
	close(server);
	expect_end(CLOSE_client);
	stage_close();
}
END_TEST

/* Whoever ends first hears the other out, and is the reason. */
START_TEST(each_side_ends_for_itself)
{
	bool is_client = _i == 0;
	int client, server, first, second;

	stage_open("");
	session_begin(&client, &server);
	first = is_client ? client : server;
	second = is_client ? server : client;
	client_send(first, "last", 4);
	ck_assert_int_eq(shutdown(first, SHUT_WR), 0);
	client_expect(second, (const unsigned char *)"last", 4);
	ck_assert_int_eq(client_receive(second, &(char){0}, 1), 0);
	for (int i = 0; i < 3; i++) {
		expect_word(second, first);
	}
	close(second);
	ck_assert_int_eq(client_receive(first, &(char){0}, 1), 0);
	expect_end(is_client ? CLOSE_client : CLOSE_backend);
	close(first);
	stage_close();
}
END_TEST

START_TEST(a_reset_is_passed_on_as_one)
{
	bool is_client = _i == 0;
	int client, server;

	stage_open("");
	session_begin(&client, &server);
	expect_word(client, server);
	reset(is_client ? client : server);
	ck_assert_int_eq(client_receive(is_client ? server : client, &(char){0}, 1), -ECONNRESET);
	expect_end(is_client ? CLOSE_reset : CLOSE_backend_reset);
	close(is_client ? server : client);
	stage_close();
}
END_TEST

/* While we do not read from a side because the other one is slow, its reset is no event. */
START_TEST(a_reset_behind_full_buffers_is_found)
{
	bool is_client = _i == 0;
	int client, server;

	stage_open("");
	session_begin(&client, &server);
	fill(is_client ? client : server);
	reset(is_client ? client : server);
	for (int i = 0; i < 3 && room.service.conns != NULL; i++) {
		room_turn(); /* for what the kernel has to tell at once */
	}
	pass_ms(3000);
	expect_end(is_client ? CLOSE_reset : CLOSE_backend_reset);
	close(is_client ? server : client);
	stage_close();
}
END_TEST

/* It ended, nobody listens to it any more, and then it is gone. */
START_TEST(a_reset_after_an_end_is_found)
{
	bool is_client = _i == 0;
	int client, server, gone;

	stage_open("");
	session_begin(&client, &server);
	gone = is_client ? client : server;
	expect_word(client, server);
	ck_assert_int_eq(shutdown(gone, SHUT_WR), 0);
	ck_assert_int_eq(client_receive(is_client ? server : client, &(char){0}, 1), 0);
	reset(gone);
	for (int i = 0; i < 3; i++) {
		room_turn();
	}
	pass_ms(3000);
	if (is_client) {
		expect_end(CLOSE_reset);
	} else { /* its answer is whole: the client is not disturbed */
		ck_assert_ptr_nonnull(session());
		ck_assert(session()->is_cut);
	}
	close(is_client ? server : client);
	stage_close();
}
END_TEST

START_TEST(a_side_that_takes_nothing_has_limited_time)
{
	bool is_client = _i == 0;
	int client, server;

	stage_open("");
	session_begin(&client, &server);
	fill(is_client ? server : client);
	pass_ms(WRITE_TIMEOUT_MS - 5000);
	ck_assert_ptr_nonnull(session());
	pass_ms(10000);
	expect_end(CLOSE_write_timeout);
	close(client);
	close(server);
	stage_close();
}
END_TEST

START_TEST(a_slow_reader_is_waited_for)
{
	bool is_client = _i == 0;
	int client, server;
	int64_t since_ms;
	static char bytes[1 << 20];

	stage_open("");
	session_begin(&client, &server);
	fill(is_client ? server : client);
	since_ms = session()->waits_since_ms;
	while (session()->waits_since_ms == since_ms) {
		(void)recv(is_client ? client : server, bytes, sizeof(bytes), MSG_DONTWAIT);
		room_turn();
	}
	close(client);
	close(server);
	stage_close();
}
END_TEST

static bool
is_read_only(const ev_io *watcher)
{
	return (watcher->events & (EV_READ | EV_WRITE)) == EV_READ;
}

/* Whichever side did not read, both are read from again, and words go there and back. */
START_TEST(after_a_jam_all_is_as_before)
{
	bool is_client = _i == 0;
	int client, server, slow;
	static char bytes[1 << 20];

	stage_open("");
	session_begin(&client, &server);
	fill(is_client ? server : client);
	slow = is_client ? client : server;
	while (!is_read_only(&room.service.conns->watcher) || !is_read_only(&session()->back)) {
		(void)recv(slow, bytes, sizeof(bytes), MSG_DONTWAIT);
		room_turn();
	}
	while (help_waits(slow, POLLIN, 0) || net_unacknowledged_bytes(session()->back.fd) > 0 ||
		net_unacknowledged_bytes(conn_fd(room.service.conns)) > 0) {
		(void)recv(slow, bytes, sizeof(bytes), MSG_DONTWAIT);
		room_turn();
	}
	expect_word(client, server);
	expect_word(server, client);
	ck_assert_int_eq(session()->waits_for, WAIT_NOTHING);
	close(client);
	close(server);
	stage_close();
}
END_TEST

START_TEST(what_comes_the_other_way_is_no_reason_to_wait_longer)
{
	int client, server;
	int64_t since_ms;

	stage_open("");
	session_begin(&client, &server);
	fill(client);
	since_ms = session()->waits_since_ms;
	for (int i = 0; i < 10; i++) {
		expect_word(server, client);
		ck_assert_int_eq(session()->waits_for, WAIT_STALL);
		ck_assert_int_eq(session()->waits_since_ms, since_ms);
	}
	close(client);
	close(server);
	stage_close();
}
END_TEST

START_TEST(a_half_closed_session_has_limited_time_after_each_byte)
{
	bool is_client = _i == 0;
	int client, server;

	stage_open("");
	session_begin(&client, &server);
	ck_assert_int_eq(shutdown(is_client ? client : server, SHUT_WR), 0);
	room_turn_until(session()->waits_for == WAIT_HALF_CLOSE);
	for (int i = 0; i < 3; i++) {
		pass_ms(HALF_CLOSE_MS - 2000);
		ck_assert_ptr_nonnull(session());
		expect_word(is_client ? server : client, is_client ? client : server);
	}
	pass_ms(HALF_CLOSE_MS + 3000);
	expect_end(CLOSE_half_closed);
	close(client);
	close(server);
	stage_close();
}
END_TEST

START_TEST(a_session_that_lives_is_kept_alive_and_a_short_one_does_not_pay)
{
	int client, server, value = 99;
	socklen_t len = sizeof(value);

	stage_open("");
	session_begin(&client, &server);
	ck_assert_int_eq(getsockopt(session()->back.fd, SOL_SOCKET, SO_KEEPALIVE, &value, &len), 0);
	ck_assert_int_eq(value, 0);
	pass_ms(2000);
	ck_assert_int_eq(getsockopt(session()->back.fd, SOL_SOCKET, SO_KEEPALIVE, &value, &len), 0);
	ck_assert_int_eq(value, 1);
	ck_assert_int_eq(
		getsockopt(session()->back.fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, &len), 0);
	ck_assert_int_eq(value, 6);
	expect_word(client, server);
	ck_assert_ptr_null(session()->patience.next); /* nothing is left to look at */
	close(client);
	close(server);
	stage_close();
}
END_TEST

START_TEST(nobody_there_refuses)
{
	int client;

	stage_open("on_down = \"refuse\";");
	close(back.listener);
	client = room_client();
	expect_end(CLOSE_connect_refused);
	ck_assert_int_eq(client_receive(client, &(char){0}, 1), -ECONNRESET);
	close(client);
	back.listener = dup(0);
	stage_close();
}
END_TEST

START_TEST(a_handshake_has_limited_time)
{
	int fillers[3], client;

	stage_open("on_down = \"refuse\"; connect_timeout = \"2s\";");
	ck_assert_int_eq(listen(back.listener, 1), 0);
	for (size_t i = 0; i < ARRAY_LEN(fillers); i++) {
		fillers[i] = help_connect(&back.address); /* its accept queue is full */
	}
	client = room_client();
	room_turn();
	ck_assert_int_eq(session()->state, SESSION_CONNECTING);
	pass_ms(1500);
	ck_assert_ptr_nonnull(session());
	pass_ms(1000);
	expect_end(CLOSE_connect_timeout);
	close(client);
	for (size_t i = 0; i < ARRAY_LEN(fillers); i++) {
		close(fillers[i]);
	}
	stage_close();
}
END_TEST

/* With one place at the server, the second client waits. */
static void
begin_waiting(int *first, int *server, int *second)
{
	session_begin(first, server);
	*second = room_client();
	ck_assert_int_eq(session()->state, SESSION_WAITING);
}

static void
stage_open_narrow(void)
{
	static const char options[] = "queue_timeout = \"1h\";";

	stage_open(options);
	stat_set(&room.board.writable->servers[0].max_connections, 1 + 1);
}

START_TEST(who_waits_may_say_all_and_is_served_later)
{
	int first, server, second, other;

	stage_open_narrow();
	begin_waiting(&first, &server, &second);
	client_send(second, "request", 7);
	ck_assert_int_eq(shutdown(second, SHUT_WR), 0);
	room_turn_until(session()->up.has_ended);
	close(first);
	close(server);
	room_turn_until(help_waits(back.listener, POLLIN, 0));
	other = help_accept(back.listener);
	client_expect(other, (const unsigned char *)"request", 7);
	ck_assert_int_eq(client_receive(other, &(char){0}, 1), 0);
	client_send(other, "answer", 6);
	client_expect(second, (const unsigned char *)"answer", 6);
	close(other);
	close(second);
	room_turn_until(room.service.conns == NULL);
	stage_close();
}
END_TEST

START_TEST(who_leaves_while_it_waits_is_gone)
{
	bool is_reset = _i == 1;
	int first, server, second;

	stage_open_narrow();
	begin_waiting(&first, &server, &second);
	if (is_reset) { /* behind what is kept for a server, so much that we do not read */
		fill(second);
		reset(second);
		pass_ms(3000);
	} else {
		close(second);
	}
	room_turn_until(room_closed(is_reset ? CLOSE_reset : CLOSE_client) == 1);
	ck_assert_uint_eq(stat_get(&room.service.slot->upstreams[0].waiting), 0);
	expect_word(first, server);
	close(first);
	close(server);
	stage_close();
}
END_TEST

UNIT_TESTS("session", tcase_add_test(tests, words_go_there_and_back);
	   tcase_add_loop_test(tests, each_side_ends_for_itself, 0, 2);
	   tcase_add_loop_test(tests, a_reset_is_passed_on_as_one, 0, 2);
	   tcase_add_loop_test(tests, a_reset_behind_full_buffers_is_found, 0, 2);
	   tcase_add_loop_test(tests, a_reset_after_an_end_is_found, 0, 2);
	   tcase_add_loop_test(tests, a_side_that_takes_nothing_has_limited_time, 0, 2);
	   tcase_add_loop_test(tests, a_slow_reader_is_waited_for, 0, 2);
	   tcase_add_loop_test(tests, after_a_jam_all_is_as_before, 0, 2);
	   tcase_add_test(tests, what_comes_the_other_way_is_no_reason_to_wait_longer);
	   tcase_add_loop_test(tests, a_half_closed_session_has_limited_time_after_each_byte, 0, 2);
	   tcase_add_test(tests, a_session_that_lives_is_kept_alive_and_a_short_one_does_not_pay);
	   tcase_add_test(tests, nobody_there_refuses);
	   tcase_add_test(tests, a_handshake_has_limited_time);
	   tcase_add_test(tests, who_waits_may_say_all_and_is_served_later);
	   tcase_add_loop_test(tests, who_leaves_while_it_waits_is_gone, 0, 2);)
