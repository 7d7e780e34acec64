#include "worker/session_line.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/run.h"

static char line[SESSION_LINE_MAX + 1];

static const char *
written(const struct session_facts *facts)
{
	size_t len = session_line_write(line, facts);

	ck_assert_uint_gt(len, 0);
	ck_assert_int_eq(line[len - 1], '\n');
	line[len - 1] = '\0';
	ck_assert_uint_eq(strlen(line), len - 1);
	return line;
}

static union peer
client_at(const char *address, uint16_t port)
{
	union peer peer = {.in4 = {.sin_family = AF_INET, .sin_port = htons(port)}};

	ck_assert_int_eq(inet_pton(AF_INET, address, &peer.in4.sin_addr), 1);
	return peer;
}

START_TEST(a_line_says_who_how_long_how_much_and_why)
{
	union peer client = client_at("192.0.2.7", 51234), sender = client_at("10.0.0.1", 80);
	struct session_facts facts = {.time = "2026-11-21T14:40:23.123Z",
		.listener = "web",
		.client = &client,
		.sender = &sender,
		.reason = CLOSE_idle,
		.slot = 3,
		.serial = 1234,
		.duration_ms = 600123,
		.queue_wait_ms = 7,
		.received_bytes = 5,
		.sent_bytes = UINT64_MAX};

	ck_assert_str_eq(written(&facts),
		"time=2026-11-21T14:40:23.123Z listener=web client=192.0.2.7:51234 "
		"via=10.0.0.1:80 reason=idle "
		"id=3-1234 duration_ms=600123 queue_ms=7 received_bytes=5 "
		"sent_bytes=18446744073709551615");
}
END_TEST

START_TEST(what_is_not_known_is_a_dash)
{
	union peer client = {.any = {.sa_family = AF_UNIX}};
	struct session_facts facts = {.time = "T",
		.listener = "web",
		.client = &client,
		.reason = CLOSE_refused_limit,
		.queue_wait_ms = -1,
		.upstream = "java",
		.server = "",
		.server_address = "",
		.place_wait_ms = -1,
		.connect_ms = -1};

	ck_assert_str_eq(written(&facts),
		"time=T listener=web client=unix via=- reason=refused_limit id=- duration_ms=0 "
		"queue_ms=- received_bytes=0 sent_bytes=0 upstream=java server=- "
		"server_address=- place_ms=- connect_ms=- connects=0 to_server_bytes=0 "
		"from_server_bytes=0");
}
END_TEST

/* One row for each byte: no value can end a field, a line, or begin another key. */
START_TEST(no_byte_of_a_value_breaks_the_line)
{
	union peer client = client_at("192.0.2.7", 1);
	char server[3] = {'s', (char)_i, '\0'}, escape[8];
	struct session_facts facts = {.time = "T",
		.listener = "web",
		.client = &client,
		.upstream = "java",
		.server = server,
		.server_address = "10.0.0.7:80"};
	bool is_plain = _i > ' ' && _i <= '~' && strchr("\\\"=", _i) == NULL;
	const char *value;

	snprintf(escape, sizeof(escape), is_plain ? "%c" : "\\x%02x", (unsigned)_i);
	value = strstr(written(&facts), " server=s");
	ck_assert_ptr_nonnull(value);
	value += strlen(" server=s");
	ck_assert_int_eq(strncmp(value, escape, strlen(escape)), 0);
	ck_assert_int_eq(
		strncmp(value + strlen(escape), " server_address=", strlen(" server_address=")), 0);
}
END_TEST

START_TEST(the_longest_line_has_room)
{
	char listener[BOARD_NAME_MAX], server[BOARD_SERVER_MAX], address[ADDRESS_TEXT_MAX];
	union peer client = {.in6 = {.sin6_family = AF_INET6, .sin6_port = 0xffff}};
	struct session_facts facts = {.time = "2026-11-21T14:40:23.123Z",
		.listener = listener,
		.client = &client,
		.sender = &client,
		.reason = CLOSE_backend_unreachable,
		.slot = 1023,
		.serial = UINT32_MAX,
		.duration_ms = INT64_MAX,
		.queue_wait_ms = INT64_MAX,
		.received_bytes = UINT64_MAX,
		.sent_bytes = UINT64_MAX,
		.upstream = listener,
		.server = server,
		.server_address = address,
		.place_wait_ms = INT64_MAX,
		.connect_ms = INT64_MAX,
		.connects = UINT32_MAX,
		.to_server_bytes = UINT64_MAX,
		.from_server_bytes = UINT64_MAX};
	const char *last = " from_server_bytes=18446744073709551615";

	memset(listener, '\n', sizeof(listener) - 1);
	memset(server, '\n', sizeof(server) - 1);
	memset(address, '\n', sizeof(address) - 1);
	memset(&client.in6.sin6_addr, 0xff, sizeof(client.in6.sin6_addr));
	listener[sizeof(listener) - 1] = server[sizeof(server) - 1] = '\0';
	address[sizeof(address) - 1] = '\0';
	(void)written(&facts);
	ck_assert_str_eq(line + strlen(line) - strlen(last), last);
}
END_TEST

UNIT_TESTS("session_line", tcase_add_test(tests, a_line_says_who_how_long_how_much_and_why);
	   tcase_add_test(tests, what_is_not_known_is_a_dash);
	   tcase_add_loop_test(tests, no_byte_of_a_value_breaks_the_line, 1, 256);
	   tcase_add_test(tests, the_longest_line_has_room);)
