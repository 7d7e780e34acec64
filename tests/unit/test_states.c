#include "monitor/states.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/config.h"
#include "common/fault.h"
#include "monitor/render.h"
#include "tests/unit/run.h"

static union peer
local_of(const char *where)
{
	static const unsigned char prefix[12] = {[10] = 0xff, 0xff};
	bool is_mapped = strncmp(where, "mapped ", 7) == 0;
	struct address address;
	struct fault why;
	union peer peer;

	ck_assert_int_eq(address_parse(where + (is_mapped ? 7 : 0), &address, &why), 0);
	memset(&peer, 0, sizeof(peer));
	if (is_mapped) { /* IPv4 at a socket of IPv6 */
		peer.in6.sin6_family = AF_INET6;
		peer.in6.sin6_port = address.in4.sin_port;
		memcpy(&peer.in6.sin6_addr.s6_addr[0], prefix, sizeof(prefix));
		memcpy(&peer.in6.sin6_addr.s6_addr[12], &address.in4.sin_addr, 4);
		return peer;
	}
	memcpy(&peer, &address.any,
		address.len < sizeof(peer) ? address.len : (socklen_t)sizeof(peer));
	return peer;
}

static const struct {
	const char *listens, *local;
	bool is_counted;
} addresses[] = {
	{"127.0.0.1:80", "127.0.0.1:80", true},
	{"127.0.0.1:80", "127.0.0.2:80", false},
	{"127.0.0.1:80", "127.0.0.1:81", false},
	{"0.0.0.0:80", "127.0.0.2:80", true},
	{"0.0.0.0:80", "mapped 127.0.0.2:80", true},
	{"0.0.0.0:80", "[::1]:80", false},
	{"127.0.0.1:80", "mapped 127.0.0.1:80", true},
	{"[::1]:80", "[::1]:80", true},
	{"[::1]:80", "[::2]:80", false},
	{"[::1]:80", "127.0.0.1:80", false},
	{"[::]:80", "[::2]:80", true},
	{"[::]:80", "127.0.0.1:80", false},
	{"*:80", "[::2]:80", true},
	{"*:80", "127.0.0.1:80", true},
	{"unix:/x", "127.0.0.1:80", false},
};

START_TEST(a_socket_belongs_to_the_listener_of_its_address)
{
	struct address address;
	struct listener_config listener = {.addresses = {.items = &address, .count = 1}};
	struct sock_diag_socket socket = {.state = SOCK_DIAG_ESTABLISHED};
	struct states_row row = {.name = "one"};
	struct fault why;

	ck_assert_int_eq(address_parse(addresses[_i].listens, &address, &why), 0);
	socket.local = local_of(addresses[_i].local);
	states_count(&row, &listener, &socket);
	ck_assert_uint_eq(row.counts[SOCK_DIAG_ESTABLISHED], addresses[_i].is_counted ? 1 : 0);
}
END_TEST

START_TEST(the_oldest_close_wait_is_kept)
{
	static const uint32_t ages[] = {10, 5000, 70};
	struct address address;
	struct listener_config listener = {.addresses = {.items = &address, .count = 1}};
	struct states_row row = {.name = "one"};
	struct fault why;

	ck_assert_int_eq(address_parse("127.0.0.1:80", &address, &why), 0);
	for (size_t i = 0; i < ARRAY_LEN(ages); i++) {
		struct sock_diag_socket socket = {
			.state = SOCK_DIAG_CLOSE_WAIT, .quiet_ms = ages[i]};

		socket.local = local_of("127.0.0.1:80");
		states_count(&row, &listener, &socket);
		socket.state = SOCK_DIAG_ESTABLISHED;
		socket.quiet_ms = 99999;
		states_count(&row, &listener, &socket);
	}
	ck_assert_uint_eq(row.counts[SOCK_DIAG_CLOSE_WAIT], 3);
	ck_assert_uint_eq(row.oldest_close_wait_ms, 5000);
}
END_TEST

static char *
show(const struct states *states, const char *listener, enum render_form form)
{
	const struct render render = {.form = form, .width = 80};
	char *shown = NULL;
	size_t len;
	FILE *stream = open_memstream(&shown, &len);

	ck_assert_int_eq(states_render(states, listener, &render, stream), 0);
	ck_assert_int_eq(fclose(stream), 0);
	return shown;
}

START_TEST(states_are_shown_as_ss_names_them_and_as_keys)
{
	static struct states states = {.count = 2, .rows = {{.name = "a"}, {.name = "b"}}};
	char *text, *json;

	states.rows[1].counts[SOCK_DIAG_CLOSE_WAIT] = 4;
	states.rows[1].oldest_close_wait_ms = 61000;
	text = show(&states, NULL, RENDER_TEXT);
	json = show(&states, "b", RENDER_JSON);
	ck_assert_ptr_nonnull(strstr(text, "CLOSE_WAIT"));
	ck_assert_ptr_nonnull(strstr(text, "\na "));
	ck_assert_ptr_nonnull(strstr(json, "\"close_wait\":4"));
	ck_assert_ptr_nonnull(strstr(json, "\"oldest_close_wait_ms\":61000"));
	ck_assert_ptr_null(strstr(json, "\"a\""));
	free(text);
	free(json);
}
END_TEST

UNIT_TESTS("states", tcase_add_loop_test(tests, a_socket_belongs_to_the_listener_of_its_address, 0,
			     ARRAY_LEN(addresses));
	   tcase_add_test(tests, the_oldest_close_wait_is_kept);
	   tcase_add_test(tests, states_are_shown_as_ss_names_them_and_as_keys);)
