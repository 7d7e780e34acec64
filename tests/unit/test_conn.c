#include "worker/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/run.h"
#include "tests/unit/worker_help.h"

#define MIB (1 << 20)

static struct protocol scripted; /* a protocol that a test makes up */

static void
use_scripted(struct protocol protocol)
{
	scripted = protocol;
	scripted.name = "scripted";
	room_use_config();
	room.settings->protocol = &scripted;
}

static unsigned char *
pattern(size_t len)
{
	unsigned char *bytes = malloc(len);

	ck_assert_ptr_nonnull(bytes);
	for (size_t i = 0; i < len; i++) {
		bytes[i] = (unsigned char)(i * 31 + i / 256);
	}
	return bytes;
}

START_TEST(a_connection_is_small)
{
	/* As much as glibc's malloc gives for 160 bytes, too: 176 with its own. */
	ck_assert_uint_le(sizeof(struct conn), 168);
}
END_TEST

/* Every way to cut the same message in two, and byte by byte. */
START_TEST(echo_gives_the_same_bytes_however_they_were_cut)
{
	static const unsigned char bytes[] = "The quick brown fox.\n";
	size_t len = sizeof(bytes), cut = (size_t)_i;
	int client;

	room_open();
	client = room_client();
	if (cut == len) {
		for (size_t i = 0; i < len; i++) {
			client_send(client, bytes + i, 1);
			client_expect(client, bytes + i, 1);
		}
	} else {
		client_send(client, bytes, cut);
		client_expect(client, bytes, cut);
		client_send(client, bytes + cut, len - cut);
		client_expect(client, bytes + cut, len - cut);
	}
	ck_assert_uint_eq(room_stat(STAT_LISTENER_received_bytes), len);
	ck_assert_uint_eq(room_stat(STAT_LISTENER_sent_bytes), len);
	close(client);
	room_turn_until(room.service.conns == NULL);
	ck_assert_uint_eq(room_closed(CLOSE_client), 1);
	room_close();
}
END_TEST

START_TEST(an_idle_connection_has_no_buffer)
{
	int client;

	room_open();
	client = room_client();
	client_send(client, "x", 1);
	client_expect(client, (const unsigned char *)"x", 1);
	ck_assert_ptr_null(room.service.conns->pending);
	close(client);
	room_close();
}
END_TEST

START_TEST(a_half_closed_client_gets_everything_then_the_end)
{
	size_t len = 200000, sent = 0;
	unsigned char *bytes, byte;
	int client;

	bytes = pattern(len);
	room_open();
	client = room_client();
	while (sent < len) {
		ssize_t part = send(client, bytes + sent, len - sent, MSG_DONTWAIT);

		sent += part > 0 ? (size_t)part : 0;
		room_turn();
	}
	ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
	client_expect(client, bytes, len);
	ck_assert_int_eq(client_receive(client, &byte, 1), 0);
	room_turn_until(room.service.conns == NULL);
	ck_assert_uint_eq(room_closed(CLOSE_client), 1);
	free(bytes);
	close(client);
	room_close();
}
END_TEST

START_TEST(the_end_of_file_closes_in_the_same_turn)
{
	int client;

	room_open();
	client = room_client();
	close(client);
	ck_assert(help_waits(conn_fd(room.service.conns), POLLIN, HELP_WAIT_MS));
	room_turn();
	ck_assert_ptr_null(room.service.conns);
	room_close();
}
END_TEST

/* Send and never read, until the server stops reading. @return bytes sent */
static size_t
stuff(int client, const unsigned char *bytes, size_t len)
{
	const struct conn *conn = room.service.conns;
	size_t sent = 0;
	int turns = 0;

	while (conn->pending == NULL || (conn->watcher.events & EV_READ) != 0) {
		ssize_t part = send(client, bytes + sent, len - sent, MSG_DONTWAIT);

		ck_assert_int_lt(turns++, 100000);
		sent += part > 0 ? (size_t)part : 0;
		ck_assert_uint_lt(sent, len);
		(part > 0 ? room_turn_at_once : room_turn)();
	}
	return sent;
}

static const size_t ceilings[] = {1000, 4096, 65536, 1 << 20};

START_TEST(a_client_that_does_not_read_is_not_read_from_beyond_the_ceiling)
{
	size_t len = 32 * MIB, sent;
	unsigned char *bytes = pattern(len);
	struct conn *conn;
	int client;

	room_open();
	room.config.max_pending_bytes = (int64_t)ceilings[_i];
	room_use_config();
	client = room_client();
	conn = room.service.conns;
	sent = stuff(client, bytes, len);
	ck_assert_uint_le(output_pending(conn->pending), ceilings[_i]);
	ck_assert_int_ne(conn->watcher.events & EV_WRITE, 0);
	client_expect(client, bytes, sent);
	room_turn_until(conn->pending == NULL && (conn->watcher.events & EV_READ) != 0);
	ck_assert_int_eq(conn->watcher.events & EV_WRITE, 0);
	client_send(client, "more", 4);
	client_expect(client, (const unsigned char *)"more", 4);
	free(bytes);
	close(client);
	room_close();
}
END_TEST

static void
stall(int client)
{
	size_t len = 32 * MIB;
	unsigned char *bytes = pattern(len);

	(void)stuff(client, bytes, len);
	free(bytes);
}

/* All that arrived, then -errno of the end. */
static ssize_t
read_to_the_end(int client)
{
	unsigned char bytes[65536];
	ssize_t got;

	do {
		got = client_receive(client, bytes, sizeof(bytes));
	} while (got > 0);
	return got;
}

START_TEST(a_client_that_takes_nothing_for_the_write_timeout_is_reset)
{
	int client;

	room_open();
	room.config.keepalive.idle_ms = CONFIG_NONE;
	room_use_config();
	client = room_client();
	stall(client);
	for (int quarter = 0; quarter < 3; quarter++) { /* as often as it is looked at */
		room_pass_ms(15000);
	}
	room_pass_ms(14999);
	ck_assert_ptr_nonnull(room.service.conns);
	room_pass_ms(1);
	ck_assert_ptr_null(room.service.conns);
	ck_assert_uint_eq(room_closed(CLOSE_write_timeout), 1);
	ck_assert_int_eq(read_to_the_end(client), -ECONNRESET);
	close(client);
	room_close();
}
END_TEST

/* Alive with a closed window: the kernel's answers to probes show it, so only the write timeout
 * counts, and it counts exactly. */
START_TEST(a_live_client_that_does_not_read_has_the_whole_write_timeout)
{
	int client;

	room_open();
	client = room_client();
	stall(client);
	for (int64_t passed = 0; passed < 59500; passed += 500) {
		room_pass_ms(500);
		ck_assert_ptr_nonnull(room.service.conns);
	}
	room_pass_ms(1000);
	ck_assert_ptr_null(room.service.conns);
	ck_assert_uint_eq(room_closed(CLOSE_write_timeout), 1);
	close(client);
	room_close();
}
END_TEST

START_TEST(each_piece_that_the_client_takes_begins_the_write_timeout_anew)
{
	static unsigned char bytes[MIB];
	int client;

	room_open();
	client = room_client();
	for (int i = 0; i < 4; i++) {
		uint64_t sent;

		stall(client);
		sent = room_stat(STAT_LISTENER_sent_bytes);
		room_pass_ms(50000);
		while (room_stat(STAT_LISTENER_sent_bytes) == sent) {
			(void)recv(client, bytes, sizeof(bytes), MSG_DONTWAIT);
			room_turn(); /* also sets the clock right */
		}
		ck_assert_ptr_nonnull(room.service.conns);
	}
	stall(client);
	room_pass_ms(60000);
	ck_assert_uint_eq(room_closed(CLOSE_write_timeout), 1);
	close(client);
	room_close();
}
END_TEST

START_TEST(a_silent_client_is_closed_at_the_idle_timeout)
{
	int client;

	room_open();
	client = room_client();
	room_pass_ms(11999); /* keepalive as a whole: 12 s */
	room_pass_ms(1);
	room_pass_ms(600000 - 12000 - 1);
	ck_assert_ptr_nonnull(room.service.conns);
	room_pass_ms(1);
	ck_assert_ptr_null(room.service.conns);
	ck_assert_uint_eq(room_closed(CLOSE_idle), 1);
	ck_assert_int_eq(read_to_the_end(client), 0);
	close(client);
	room_close();
}
END_TEST

static const struct {
	int64_t idle_ms, keepalive_ms, closes_after_ms;
} idle_rows[] = {
	{100, CONFIG_NONE, 100},
	{100, 6000, 100},
	{12000, 6000, 12000},
	{12001, 6000, 12001},
	{CONFIG_NONE, CONFIG_NONE, 0},
	{CONFIG_NONE, 6000, 0},
};

START_TEST(the_idle_timeout_is_what_was_configured)
{
	int64_t after_ms = idle_rows[_i].closes_after_ms;
	int client;

	room_open();
	room.config.idle_timeout_ms = idle_rows[_i].idle_ms;
	room.config.keepalive.idle_ms = idle_rows[_i].keepalive_ms;
	room_use_config();
	client = room_client();
	for (int64_t step = 0; step < (after_ms == 0 ? 100000000 : after_ms - 1);) {
		int64_t left = (after_ms == 0 ? 100000000 : after_ms - 1) - step;
		int64_t part = left < 1000 || after_ms == 0 ? left : 1000;

		room_pass_ms(part);
		step += part;
	}
	ck_assert_ptr_nonnull(room.service.conns);
	if (after_ms > 0) {
		room_pass_ms(1);
		ck_assert_uint_eq(room_closed(CLOSE_idle), 1);
	}
	close(client);
	room_close();
}
END_TEST

START_TEST(a_talking_client_is_closed_at_its_lifetime)
{
	int client;

	room_open();
	room.config.lifetime_ms = 5000;
	room_use_config();
	client = room_client();
	room_pass_ms(4999);
	timeouts_on_activity(room.service.conns);
	ck_assert_ptr_nonnull(room.service.conns);
	room_pass_ms(1);
	ck_assert_ptr_null(room.service.conns);
	ck_assert_uint_eq(room_closed(CLOSE_lifetime), 1);
	close(client);
	room_close();
}
END_TEST

static void
reset(int client)
{
	net_reset_on_close(client);
	close(client);
}

START_TEST(a_reset_is_told_from_one_before_the_accept)
{
	int client;

	room_open();
	client = room_client();
	reset(client);
	room_turn_until(room.service.conns == NULL);
	ck_assert_uint_eq(room_closed(CLOSE_gone_in_queue), 1);
	ck_assert_uint_eq(room_stat(STAT_LISTENER_gone_in_queue), 1);
	client = room_client();
	client_send(client, "x", 1);
	client_expect(client, (const unsigned char *)"x", 1);
	reset(client);
	room_turn_until(room.service.conns == NULL);
	ck_assert_uint_eq(room_closed(CLOSE_reset), 1);
	ck_assert_uint_eq(room_stat(STAT_LISTENER_gone_in_queue), 1);
	client = room_client();
	room_turn();
	room_turn();
	reset(client);
	room_turn_until(room.service.conns == NULL);
	ck_assert_uint_eq(room_closed(CLOSE_reset), 2);
	room_close();
}
END_TEST

static const struct {
	int error;
	enum verdict_kind kind;
	enum close_reason reason;
} errors[] = {
	{EAGAIN, VERDICT_GO_ON, 0},
	{EINTR, VERDICT_GO_ON, 0},
	{ECONNRESET, VERDICT_FAILED, CLOSE_reset},
	{EPIPE, VERDICT_FAILED, CLOSE_reset},
	{ETIMEDOUT, VERDICT_FAILED, CLOSE_peer_unreachable},
	{EHOSTUNREACH, VERDICT_FAILED, CLOSE_peer_unreachable},
	{ENETUNREACH, VERDICT_FAILED, CLOSE_peer_unreachable},
	{ENOMEM, VERDICT_FAILED, CLOSE_no_memory},
	{ENOBUFS, VERDICT_FAILED, CLOSE_no_memory},
	{EBADF, VERDICT_FAILED, CLOSE_error},
	{EIO, VERDICT_FAILED, CLOSE_error},
};

START_TEST(every_error_but_two_ends_the_connection)
{
	struct verdict verdict;
	int client;

	room_open();
	client = room_client();
	room.service.turn += 5;
	verdict = conn_judge(room.service.conns, errors[_i].error);
	ck_assert_int_eq(verdict.kind, errors[_i].kind);
	if (verdict.kind != VERDICT_GO_ON) {
		ck_assert_int_eq(verdict.reason, errors[_i].reason);
	}
	close(client);
	room_close();
}
END_TEST

/* --- protocols of the tests' own --- */

static struct verdict
say_goodbye(struct conn *conn, const unsigned char *bytes, size_t len)
{
	struct verdict verdict = conn_send(conn, "goodbye", 7);

	(void)bytes;
	(void)len;
	return verdict.kind == VERDICT_GO_ON ? verdict_done(CLOSE_handler) : verdict;
}

/* Closing on unread bytes is a reset and may destroy the goodbye on its way. */
START_TEST(the_last_words_arrive_even_if_the_client_talks_on)
{
	static const unsigned char chatter[100000];
	unsigned char byte;
	int client;

	room_open();
	use_scripted((struct protocol){.on_received = say_goodbye});
	client = room_client();
	client_send(client, "hello", 5);
	room_turn_until(room.service.conns->phase == CONN_LINGERING);
	client_send(client, chatter, sizeof(chatter));
	client_expect(client, (const unsigned char *)"goodbye", 7);
	ck_assert_int_eq(client_receive(client, &byte, 1), 0);
	close(client);
	room_turn_until(room.service.conns == NULL);
	ck_assert_uint_eq(room_closed(CLOSE_handler), 1);
	room_close();
}
END_TEST

START_TEST(a_client_that_never_closes_is_not_waited_for)
{
	int client;

	room_open();
	use_scripted((struct protocol){.on_received = say_goodbye});
	client = room_client();
	client_send(client, "hello", 5);
	room_turn_until(room.service.conns->phase == CONN_LINGERING);
	room_pass_ms(5000);
	ck_assert_ptr_null(room.service.conns);
	ck_assert_uint_eq(room_closed(CLOSE_handler), 1);
	close(client);
	room_close();
}
END_TEST

static enum close_reason closed_with;
static unsigned closed_times, written_times;

static void
note_close(struct conn *conn, enum close_reason reason)
{
	ck_assert_ptr_nonnull(conn);
	closed_with = reason;
	closed_times++;
}

static struct verdict
greet(struct conn *conn)
{
	unsigned char *state = conn_state(conn);

	for (size_t i = 0; i < 100; i++) {
		ck_assert_uint_eq(state[i], 0);
		state[i] = 1;
	}
	return conn_send(conn, "welcome", 7);
}

static struct verdict
leave(struct conn *conn)
{
	(void)conn;
	return verdict_done(CLOSE_drain);
}

START_TEST(hooks_are_called_at_their_moments)
{
	int client;

	room_open();
	use_scripted((struct protocol){.state_size = 100,
		.descriptors = 2,
		.on_open = greet,
		.on_received = say_goodbye,
		.on_drain = leave,
		.on_close = note_close});
	closed_times = 0;
	client = room_client();
	client_expect(client, (const unsigned char *)"welcome", 7);
	conn_drain(room.service.conns);
	ck_assert_int_eq(room.service.conns->phase, CONN_LINGERING);
	conn_drain(room.service.conns);
	close(client);
	room_turn_until(room.service.conns == NULL);
	ck_assert_uint_eq(closed_times, 1);
	ck_assert_int_eq(closed_with, CLOSE_drain);
	room_close();
}
END_TEST

static struct verdict
refuse(struct conn *conn)
{
	(void)conn;
	return verdict_failed(CLOSE_protocol_error);
}

START_TEST(a_connection_may_end_before_it_has_begun)
{
	int client;
	unsigned char byte;

	room_open();
	use_scripted((struct protocol){.on_open = refuse, .on_received = say_goodbye});
	client = room_client();
	ck_assert_ptr_null(room.service.conns);
	ck_assert_uint_eq(room_closed(CLOSE_protocol_error), 1);
	ck_assert_int_eq(client_receive(client, &byte, 1), -ECONNRESET);
	close(client);
	room_close();
}
END_TEST

static struct verdict
fail_at_once(struct conn *conn, const unsigned char *bytes, size_t len)
{
	(void)conn;
	(void)bytes;
	(void)len;
	return verdict_failed(CLOSE_error);
}

/* A clean end would tell the client that it got everything. */
START_TEST(a_failure_is_a_reset)
{
	unsigned char byte;
	int client;

	room_open();
	use_scripted((struct protocol){.on_received = fail_at_once});
	client = room_client();
	client_send(client, "x", 1);
	ck_assert_int_eq(client_receive(client, &byte, 1), -ECONNRESET);
	ck_assert_uint_eq(room_closed(CLOSE_error), 1);
	close(client);
	room_close();
}
END_TEST

static struct verdict
end_after_writing(struct conn *conn)
{
	ck_assert_ptr_null(conn->pending);
	written_times++;
	return verdict_done(CLOSE_client);
}

static struct verdict
answer_after_the_end(struct conn *conn)
{
	static unsigned char big[16 * MIB];

	return conn_send(conn, big, sizeof(big));
}

START_TEST(a_protocol_may_go_on_sending_after_the_clients_end)
{
	int client;

	room_open();
	room.config.max_pending_bytes = 32 * MIB;
	use_scripted((struct protocol){.on_received = say_goodbye,
		.on_end = answer_after_the_end,
		.on_writable = end_after_writing});
	written_times = 0;
	client = room_client();
	ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
	room_turn_until(room.service.conns->phase == CONN_ENDED);
	ck_assert_int_eq(room.service.conns->watcher.events & EV_READ, 0);
	ck_assert_int_eq(read_to_the_end(client), 0);
	ck_assert_uint_eq(written_times, 1);
	close(client);
	room_turn_until(room.service.conns == NULL);
	room_close();
}
END_TEST

START_TEST(more_than_the_ceiling_at_once_ends_the_connection)
{
	int client;

	room_open();
	use_scripted((struct protocol){.on_received = say_goodbye, .on_end = answer_after_the_end});
	client = room_client();
	ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
	room_turn_until(room.service.conns == NULL);
	ck_assert_uint_eq(room_closed(CLOSE_error), 1);
	close(client);
	room_close();
}
END_TEST

START_TEST(settings_live_as_long_as_a_connection_that_began_with_them)
{
	const struct settings *first;
	int old_client, new_client;

	room_open();
	old_client = room_client();
	first = room.settings;
	room.config.idle_timeout_ms = 1;
	room_use_config();
	new_client = room_client();
	ck_assert_ptr_eq(room.service.conns->next->settings, first);
	room_pass_ms(1);
	ck_assert_uint_eq(room_closed(CLOSE_idle), 1);
	ck_assert_ptr_eq(room.service.conns->settings, first);
	close(old_client);
	close(new_client);
	room_close();
}
END_TEST

START_TEST(many_connections_come_and_go_in_any_order)
{
	static int clients[200];
	unsigned seed = (unsigned)_i;

	room_open();
	for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
		clients[i] = room_client();
	}
	for (int step = 0; step < 500; step++) {
		size_t i = (size_t)rand_r(&seed) % ARRAY_LEN(clients);

		if (rand_r(&seed) % 3 == 0) {
			close(clients[i]);
			clients[i] = room_client();
		} else {
			client_send(clients[i], &i, sizeof(i));
			client_expect(clients[i], (const unsigned char *)&i, sizeof(i));
		}
	}
	room_turn_until(room.service.open == ARRAY_LEN(clients));
	room_check_books();
	for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
		close(clients[i]);
	}
	room_turn_until(room.service.open == 0);
	room_close();
}
END_TEST

UNIT_TESTS(
	"conn", tcase_add_test(tests, a_connection_is_small);
	tcase_add_loop_test(tests, echo_gives_the_same_bytes_however_they_were_cut, 1, 23);
	tcase_add_test(tests, an_idle_connection_has_no_buffer);
	tcase_add_test(tests, a_half_closed_client_gets_everything_then_the_end);
	tcase_add_test(tests, the_end_of_file_closes_in_the_same_turn);
	tcase_add_loop_test(tests, a_client_that_does_not_read_is_not_read_from_beyond_the_ceiling,
		0, ARRAY_LEN(ceilings));
	tcase_add_test(tests, a_client_that_takes_nothing_for_the_write_timeout_is_reset);
	tcase_add_test(tests, a_live_client_that_does_not_read_has_the_whole_write_timeout);
	tcase_add_test(tests, each_piece_that_the_client_takes_begins_the_write_timeout_anew);
	tcase_add_test(tests, a_silent_client_is_closed_at_the_idle_timeout); tcase_add_loop_test(
		tests, the_idle_timeout_is_what_was_configured, 0, ARRAY_LEN(idle_rows));
	tcase_add_test(tests, a_talking_client_is_closed_at_its_lifetime);
	tcase_add_test(tests, a_reset_is_told_from_one_before_the_accept);
	tcase_add_loop_test(tests, every_error_but_two_ends_the_connection, 0, ARRAY_LEN(errors));
	tcase_add_test(tests, the_last_words_arrive_even_if_the_client_talks_on);
	tcase_add_test(tests, a_client_that_never_closes_is_not_waited_for);
	tcase_add_test(tests, hooks_are_called_at_their_moments);
	tcase_add_test(tests, a_connection_may_end_before_it_has_begun);
	tcase_add_test(tests, a_failure_is_a_reset);
	tcase_add_test(tests, a_protocol_may_go_on_sending_after_the_clients_end);
	tcase_add_test(tests, more_than_the_ceiling_at_once_ends_the_connection);
	tcase_add_test(tests, settings_live_as_long_as_a_connection_that_began_with_them);
	tcase_add_loop_test(tests, many_connections_come_and_go_in_any_order, 0, 5);)
