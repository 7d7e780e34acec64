#include "worker/prelude.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/ioctl.h>

#include "common/net.h"
#include "common/proxy_protocol.h"
#include "tests/unit/run.h"
#include "tests/unit/worker_help.h"

#define SIGNATURE     "\r\n\r\n\0\r\nQUIT\n"
#define V2_TCP4       SIGNATURE "\x21\x11\x00\x0c\xc6\x33\x64\x07\xc0\x00\x02\x01\x30\x39\x00\x50"
#define V1_TCP4       "PROXY TCP4 198.51.100.7 192.0.2.1 12345 80\r\n"
#define BYTES(string) (const unsigned char *)(string), sizeof(string) - 1

static struct network everywhere;

/* As of a listener with accept_proxy whose senders are all trusted. */
static void
open_room(void)
{
	room_open();
	ck_assert_int_eq(network_parse("0.0.0.0/0", &everywhere, NULL), 0);
	room.config.accept_proxy = true;
	room.config.trusted = (struct network_list){&everywhere, 1};
	room.config.proxy_timeout_ms = 3000;
	room_use_config();
}

static void
send_all(int client, const unsigned char *bytes, size_t len)
{
	if (len > 0) {
		client_send(client, bytes, len);
	}
}

static size_t
unread_bytes(void)
{
	int count = -1;

	ck_assert_int_eq(ioctl(conn_fd(room.service.conns), FIONREAD, &count), 0);
	return (size_t)count;
}

/* Until the worker has seen all of the `sent` bytes; in the header it takes each from the socket.
 */
static void
let_it_read(size_t sent)
{
	const struct conn *conn = room.service.conns;
	struct net_connection look = {0};

	room_turn_until(net_connection_look(conn_fd(conn), &look) == 0 &&
			look.received_bytes == sent && unread_bytes() == 0);
}

static const struct {
	const unsigned char *bytes;
	size_t len;
	const char *client, *target; /* NULL: the sender itself */
} headers[] = {
	{BYTES(V1_TCP4), "198.51.100.7:12345", "192.0.2.1:80"},
	{BYTES("PROXY TCP6 2001:db8::7 2001:db8::1 12345 80\r\n"), "[2001:db8::7]:12345",
		"[2001:db8::1]:80"},
	{BYTES("PROXY UNKNOWN\r\n"), NULL, NULL},
	{BYTES("PROXY UNKNOWN some words\r\n"), NULL, NULL},
	{BYTES(V2_TCP4), "198.51.100.7:12345", "192.0.2.1:80"},
	{BYTES(SIGNATURE "\x21\x11\x00\x11\xc6\x33\x64\x07\xc0\x00\x02\x01\x30\x39\x00\x50"
			 "\x02\x00\x02hi"),
		"198.51.100.7:12345", "192.0.2.1:80"},
	{BYTES(SIGNATURE "\x20\x00\x00\x00"), NULL, NULL},
	{BYTES(SIGNATURE "\x21\x00\x00\x00"), NULL, NULL},
};

static void
expect_addresses(int row)
{
	const struct conn *conn = room.service.conns;
	char text[ADDRESS_TEXT_MAX], own[ADDRESS_TEXT_MAX];
	union peer target;

	prelude_target(conn, &target);
	(void)peer_format(&target, text);
	if (headers[row].client == NULL) {
		ck_assert_str_eq(peer_format(&conn->peer, own), "0.0.0.0:0"); /* as room_client */
		ck_assert(strncmp(text, "127.0.0.1:", 10) == 0);
		ck_assert_ptr_null(prelude_sender(conn));
		return;
	}
	ck_assert_str_eq(text, headers[row].target);
	ck_assert_str_eq(peer_format(&conn->peer, text), headers[row].client);
	ck_assert_ptr_nonnull(prelude_sender(conn));
	ck_assert_str_eq(peer_format(prelude_sender(conn), own), "0.0.0.0:0");
}

/* The header and two bytes of the client, cut in two at every place: the client's bytes, and no
 * others, reach the protocol. */
START_TEST(a_header_is_taken_however_it_was_cut)
{
	unsigned char bytes[256];
	size_t len = headers[_i].len + 2;

	memcpy(bytes, headers[_i].bytes, headers[_i].len);
	memcpy(bytes + headers[_i].len, "hi", 2);
	open_room();
	for (size_t cut = 0; cut <= len; cut++) {
		uint64_t before = room_stat(STAT_LISTENER_received_bytes);
		int client = room_client();

		ck_assert_int_eq(room.service.conns->phase, CONN_PRELUDE);
		send_all(client, bytes, cut);
		if (cut > 0 && cut < headers[_i].len) {
			let_it_read(cut);
			ck_assert_int_eq(room.service.conns->phase, CONN_PRELUDE);
		}
		send_all(client, bytes + cut, len - cut);
		client_expect(client, (const unsigned char *)"hi", 2);
		expect_addresses(_i);
		ck_assert_uint_eq(room_stat(STAT_LISTENER_received_bytes) - before, 2);
		close(client);
		room_turn_until(room.service.conns == NULL);
	}
	ck_assert_uint_eq(room_closed(CLOSE_client), len + 1);
	room_close();
}
END_TEST

START_TEST(a_header_is_taken_byte_by_byte)
{
	int client;

	open_room();
	client = room_client();
	for (size_t i = 0; i < headers[_i].len; i++) {
		ck_assert_int_eq(room.service.conns->phase, CONN_PRELUDE);
		client_send(client, headers[_i].bytes + i, 1);
		let_it_read(i + 1);
	}
	room_turn_until(room.service.conns->phase == CONN_FRESH);
	expect_addresses(_i);
	client_send(client, "x", 1);
	client_expect(client, (const unsigned char *)"x", 1);
	close(client);
	room_close();
}
END_TEST

START_TEST(the_longest_header_is_taken)
{
	unsigned char bytes[PROXY_V2_MAX + 1];
	size_t rest = PROXY_V2_MAX - 16;
	int client;

	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, V2_TCP4, sizeof(V2_TCP4) - 1);
	bytes[14] = (unsigned char)(rest >> 8);
	bytes[15] = (unsigned char)rest;
	bytes[28] = 0x04; /* one TLV, of nothing, that fills it */
	bytes[29] = (unsigned char)((rest - 15) >> 8);
	bytes[30] = (unsigned char)(rest - 15);
	bytes[PROXY_V2_MAX] = 'x';
	open_room();
	client = room_client();
	client_send(client, bytes, PROXY_V2_MAX - 1);
	let_it_read(PROXY_V2_MAX - 1);
	ck_assert_int_eq(room.service.conns->phase, CONN_PRELUDE);
	client_send(client, bytes + PROXY_V2_MAX - 1, 2);
	client_expect(client, (const unsigned char *)"x", 1);
	expect_addresses(0);
	close(client);
	room_close();
}
END_TEST

START_TEST(a_second_header_is_the_clients_own)
{
	int client;

	open_room();
	client = room_client();
	client_send(client, V1_TCP4 V1_TCP4, 2 * (sizeof(V1_TCP4) - 1));
	client_expect(client, BYTES(V1_TCP4));
	close(client);
	room_close();
}
END_TEST

START_TEST(an_end_right_behind_the_header_is_the_clients_end)
{
	unsigned char byte;
	int client;

	open_room();
	client = room_client();
	client_send(client, V1_TCP4 "bye", sizeof(V1_TCP4) + 2);
	ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
	client_expect(client, (const unsigned char *)"bye", 3);
	ck_assert_int_eq(client_receive(client, &byte, 1), 0);
	room_turn_until(room.service.conns == NULL);
	ck_assert_uint_eq(room_closed(CLOSE_client), 1);
	close(client);
	room_close();
}
END_TEST

static void
expect_reset(int client, enum close_reason reason)
{
	unsigned char byte;

	room_turn_until(room.service.conns == NULL);
	ck_assert_int_eq(client_receive(client, &byte, 1), -ECONNRESET);
	ck_assert_uint_eq(room_closed(reason), 1);
	ck_assert_uint_eq(room_stat(STAT_LISTENER_received_bytes), 0);
	close(client);
	room_close();
}

static const struct {
	const unsigned char *bytes;
	size_t len;
} bad[] = {
	{BYTES("GET / HTTP/1.0\r\n\r\n")},
	{BYTES("\x16\x03\x01\x02\x00\x01")}, /* the beginning of a TLS hello */
	{BYTES("PROXY TCP4 198.51.100.7 192.0.2.1 12345\r\n")},
	{BYTES("PROXY UNKNOWN "
	       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	       "aaaaaaaaaaaaaaaaaaaa\r\n")},
	{BYTES(SIGNATURE "\x21\x11\x02\x09")},
	{BYTES(SIGNATURE "\x21\x11\x00\x10\xc6\x33\x64\x07\xc0\x00\x02\x01\x30\x39\x00\x50"
			 "\x02\x00\x02h")},
};

START_TEST(what_is_no_header_is_reset)
{
	int client;

	open_room();
	client = room_client();
	client_send(client, bad[_i].bytes, bad[_i].len);
	expect_reset(client, CLOSE_proxy_header);
}
END_TEST

START_TEST(what_turns_out_to_be_no_header_is_reset)
{
	int client;

	open_room();
	client = room_client();
	client_send(client, bad[_i].bytes, bad[_i].len - 1);
	room_turn();
	if (room.service.conns != NULL) {
		client_send(client, bad[_i].bytes + bad[_i].len - 1, 1);
	}
	expect_reset(client, CLOSE_proxy_header);
}
END_TEST

START_TEST(a_sender_who_is_not_trusted_is_reset_unread)
{
	struct network other;
	int client;

	open_room();
	ck_assert_int_eq(network_parse("192.0.2.0/24", &other, NULL), 0);
	room.config.trusted.items = &other;
	room_use_config();
	client = room_client();
	ck_assert_ptr_null(room.service.conns);
	expect_reset(client, CLOSE_untrusted);
}
END_TEST

START_TEST(no_byte_moves_the_deadline_of_a_header)
{
	int64_t expires_ms;
	int client;

	open_room();
	client = room_client();
	expires_ms = room.service.conns->activity.expires_ms;
	ck_assert_int_eq(expires_ms, room.service.now_ms + 3000);
	for (size_t i = 0; i + 1 < sizeof(V1_TCP4) - 1; i++) {
		client_send(client, &V1_TCP4[i], 1);
		let_it_read(i + 1);
		ck_assert_int_eq(room.service.conns->activity.expires_ms, expires_ms);
	}
	room_pass_ms(expires_ms - 1 - room.service.now_ms);
	ck_assert_ptr_nonnull(room.service.conns);
	room_pass_ms(1);
	ck_assert_ptr_null(room.service.conns);
	expect_reset(client, CLOSE_proxy_timeout);
}
END_TEST

START_TEST(the_idle_time_begins_behind_the_header)
{
	int client;

	open_room();
	room.config.idle_timeout_ms = 5000;
	room.config.keepalive.idle_ms = CONFIG_NONE;
	room_use_config();
	client = room_client();
	client_send(client, BYTES(V1_TCP4));
	room_turn_until(room.service.conns->phase == CONN_FRESH);
	room_pass_ms(4900);
	ck_assert_ptr_nonnull(room.service.conns);
	room_pass_ms(100);
	ck_assert_ptr_null(room.service.conns);
	ck_assert_uint_eq(room_closed(CLOSE_idle), 1);
	close(client);
	room_close();
}
END_TEST

START_TEST(a_look_whether_we_live_is_no_fault)
{
	int client;

	open_room();
	client = room_client();
	close(client);
	room_turn_until(room.service.conns == NULL);
	ck_assert_uint_eq(room_closed(CLOSE_client), 1);
	room_close();
}
END_TEST

START_TEST(an_end_within_the_header_is_a_bad_header)
{
	int client;

	open_room();
	client = room_client();
	client_send(client, V1_TCP4, 10);
	ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
	expect_reset(client, CLOSE_proxy_header);
}
END_TEST

/* --- who hears of it, and when --- */

static int opened, closed, drained;

static struct verdict
count_open(struct conn *conn)
{
	char text[ADDRESS_TEXT_MAX];

	ck_assert_str_eq(peer_format(&conn->peer, text), "198.51.100.7:12345");
	opened++;
	memset(conn_state(conn), 0xff, conn->settings->protocol->state_size);
	return verdict_go_on();
}

static struct verdict
count_drain(struct conn *conn)
{
	(void)conn;
	drained++;
	return verdict_go_on();
}

static void
count_close(struct conn *conn, enum close_reason reason)
{
	(void)conn;
	(void)reason;
	closed++;
}

static struct verdict
ignore_bytes(struct conn *conn, const unsigned char *bytes, size_t len)
{
	(void)conn;
	(void)bytes;
	(void)len;
	return verdict_go_on();
}

/* The odd size of the state is on purpose: what is behind it has to be aligned. */
static const struct protocol counting = {.name = "counting",
	.state_size = 13,
	.on_open = count_open,
	.on_received = ignore_bytes,
	.on_drain = count_drain,
	.on_close = count_close};

static void
open_counting_room(void)
{
	open_room();
	room.settings->protocol = &counting;
}

START_TEST(the_protocol_hears_of_a_client_after_its_header)
{
	union peer target;
	char text[ADDRESS_TEXT_MAX];
	int client;

	open_counting_room();
	client = room_client();
	client_send(client, V1_TCP4, 20);
	let_it_read(20);
	ck_assert_int_eq(opened, 0);
	client_send(client, &V1_TCP4[20], sizeof(V1_TCP4) - 1 - 20);
	room_turn_until(opened == 1);
	prelude_target(room.service.conns, &target);
	ck_assert_str_eq(peer_format(&target, text), "192.0.2.1:80");
	conn_close(room.service.conns, CLOSE_killed);
	ck_assert_int_eq(closed, 1);
	close(client);
	room_close();
}
END_TEST

START_TEST(the_protocol_never_hears_of_one_that_ends_before)
{
	int client;

	open_counting_room();
	client = room_client();
	client_send(client, V1_TCP4, 20);
	let_it_read(20);
	conn_drain(room.service.conns);
	conn_close(room.service.conns, CLOSE_drain);
	ck_assert_int_eq(opened + closed + drained, 0);
	close(client);
	room_close();
}
END_TEST

START_TEST(a_client_whose_header_comes_while_the_worker_finishes_is_told)
{
	int client;

	open_counting_room();
	client = room_client();
	atomic_store(&room.service.slot->state, BOARD_WORKER_DRAINING);
	conn_drain(room.service.conns);
	ck_assert_int_eq(drained, 0);
	client_send(client, BYTES(V1_TCP4));
	room_turn_until(opened == 1);
	ck_assert_int_eq(drained, 1);
	close(client);
	room_close();
}
END_TEST

static const struct {
	const char *deny;
	bool is_let_in;
} judged[] = {
	{"198.51.100.0/24", false}, {"127.0.0.0/8", true},
	{"0.0.0.0/32", true}, /* the sender, in these tests */
};

START_TEST(the_gate_judges_the_client_and_not_the_sender)
{
	struct network denied;
	int client;

	open_room();
	ck_assert_int_eq(network_parse(judged[_i].deny, &denied, NULL), 0);
	room.config.deny = (struct network_list){&denied, 1};
	room_use_config();
	client = room_client();
	client_send(client, V1_TCP4 "x", sizeof(V1_TCP4));
	if (judged[_i].is_let_in) {
		client_expect(client, (const unsigned char *)"x", 1);
		close(client);
		room_close();
	} else {
		expect_reset(client, CLOSE_denied);
	}
}
END_TEST

START_TEST(whoever_may_use_a_unix_socket_is_trusted)
{
	union peer sender = {.any = {.sa_family = AF_UNIX}};
	struct census census;
	char text[ADDRESS_TEXT_MAX];
	int pair[2];

	open_room();
	room.config.trusted.count = 0;
	room_use_config();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	ck_assert_uint_eq(admission_claim(room.settings, 1, &census), 1);
	ck_assert_int_eq(conn_open(room.settings, pair[0], &sender, -1), 0);
	client_send(pair[1], V1_TCP4 "x", sizeof(V1_TCP4));
	client_expect(pair[1], (const unsigned char *)"x", 1);
	ck_assert_str_eq(peer_format(&room.service.conns->peer, text), "198.51.100.7:12345");
	ck_assert_str_eq(peer_format(prelude_sender(room.service.conns), text), "unix");
	close(pair[1]);
	room_close();
}
END_TEST

UNIT_TESTS(
	"prelude", tcase_add_loop_test(
			   tests, a_header_is_taken_however_it_was_cut, 0, (int)ARRAY_LEN(headers));
	tcase_add_loop_test(tests, a_header_is_taken_byte_by_byte, 0, (int)ARRAY_LEN(headers));
	tcase_add_test(tests, the_longest_header_is_taken);
	tcase_add_test(tests, a_second_header_is_the_clients_own);
	tcase_add_test(tests, an_end_right_behind_the_header_is_the_clients_end);
	tcase_add_loop_test(tests, what_is_no_header_is_reset, 0, (int)ARRAY_LEN(bad));
	tcase_add_loop_test(tests, what_turns_out_to_be_no_header_is_reset, 0, (int)ARRAY_LEN(bad));
	tcase_add_test(tests, a_sender_who_is_not_trusted_is_reset_unread);
	tcase_add_test(tests, no_byte_moves_the_deadline_of_a_header);
	tcase_add_test(tests, the_idle_time_begins_behind_the_header);
	tcase_add_test(tests, a_look_whether_we_live_is_no_fault);
	tcase_add_test(tests, an_end_within_the_header_is_a_bad_header);
	tcase_add_test(tests, the_protocol_hears_of_a_client_after_its_header);
	tcase_add_test(tests, the_protocol_never_hears_of_one_that_ends_before);
	tcase_add_test(tests, a_client_whose_header_comes_while_the_worker_finishes_is_told);
	tcase_add_loop_test(
		tests, the_gate_judges_the_client_and_not_the_sender, 0, (int)ARRAY_LEN(judged));
	tcase_add_test(tests, whoever_may_use_a_unix_socket_is_trusted);)
