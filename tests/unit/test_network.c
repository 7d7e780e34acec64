#include "common/network.h"

#include <stdio.h>
#include <string.h>

#include "common/address.h"
#include "common/fault.h"
#include "tests/unit/peer_help.h"
#include "tests/unit/run.h"

static const struct {
	const char *network, *address;
	bool is_inside;
} memberships[] = {
	{"10.0.0.0/8", "10.255.255.255", true},
	{"10.0.0.0/8", "11.0.0.0", false},
	{"10.0.0.0/8", "::ffff:10.1.2.3", true},
	{"192.0.2.7", "192.0.2.7", true},
	{"192.0.2.7", "192.0.2.6", false},
	{"0.0.0.0/0", "203.0.113.9", true},
	{"0.0.0.0/0", "2001:db8::1", false},
	{"::/0", "203.0.113.9", false},
	{"::/0", "::ffff:203.0.113.9", false},
	{"::/0", "2001:db8::1", true},
	{"::ffff:0:0/96", "203.0.113.9", true},
	{"2001:db8::/33", "2001:db8:7fff::", true},
	{"2001:db8::/33", "2001:db8:8000::", false},
	{"192.0.2.128/25", "192.0.2.127", false},
	{"192.0.2.128/25", "192.0.2.255", true},
};

START_TEST(addresses_are_inside_or_outside)
{
	struct network network;
	union peer member = help_peer(memberships[_i].address);
	struct fault why;

	ck_assert_int_eq(network_parse(memberships[_i].network, &network, &why), 0);
	ck_assert_int_eq(network_contains(&network, &member), memberships[_i].is_inside);
}
END_TEST

static const struct {
	const char *string, *complaint;
} refused[] = {
	{"10.0.0.1/8", "did you mean 10.0.0.0/8?"},
	{"2001:db8::1/64", "did you mean 2001:db8::/64?"},
	{"10.0.0.0/33", "allowed: 0..32"},
	{"::/129", "allowed: 0..128"},
	{"10.0.0.0/-1", "allowed: 0..32"},
	{"10.0.0.0/", "allowed: 0..32"},
	{"10.0.0.0/8x", "allowed: 0..32"},
	{"example.org", "is not an IPv4 or IPv6 network"},
	{"", "is not an IPv4 or IPv6 network"},
	{"1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111:2222:3333:4444/64",
		"is not an IPv4 or IPv6 network"},
};

START_TEST(what_is_no_network_is_refused_with_a_hint)
{
	struct network network;
	struct fault why;

	ck_assert_int_lt(network_parse(refused[_i].string, &network, &why), 0);
	ck_assert_msg(strstr(why.text, refused[_i].complaint) != NULL, "%s", why.text);
}
END_TEST

static const char *const round_trips[] = {
	"10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::/0", "0.0.0.0/0", "fe80::1/128"};

START_TEST(networks_print_as_they_parse)
{
	char buffer[NETWORK_TEXT_MAX];
	struct network network;

	ck_assert_int_eq(network_parse(round_trips[_i], &network, NULL), 0);
	ck_assert_str_eq(network_format(&network, buffer), round_trips[_i]);
}
END_TEST

START_TEST(a_source_is_an_ipv4_address_or_an_ipv6_net_of_64)
{
	union peer a = help_peer("192.0.2.1"), b = help_peer("::ffff:192.0.2.1");
	union peer c = help_peer("2001:db8:1:2:3::1"), d = help_peer("2001:db8:1:2:ffff::9");
	union peer unix_peer = {.any.sa_family = AF_UNIX};
	struct in6_addr one, other;

	ck_assert(network_source_of(&a, &one) && network_source_of(&b, &other));
	ck_assert_mem_eq(&one, &other, sizeof(one));
	ck_assert(network_source_of(&c, &one) && network_source_of(&d, &other));
	ck_assert_mem_eq(&one, &other, sizeof(one));
	ck_assert(!network_source_of(&unix_peer, &one));
}
END_TEST

#define SET_MAX 8

static struct network_set
set_of(const char *const *networks)
{
	struct network items[SET_MAX];
	struct network_list list = {items, 0};
	struct network_set set;

	for (; networks[list.count] != NULL; list.count++) {
		ck_assert_int_eq(network_parse(networks[list.count], &items[list.count], NULL), 0);
	}
	ck_assert_int_eq(network_set_make(&set, &list), 0);
	return set;
}

static const struct {
	const char *networks[SET_MAX];
	const char *address;
	bool is_inside;
} sets[] = {
	{{NULL}, "192.0.2.9", false},
	{{"10.0.0.0/8"}, "10.0.0.0", true},
	{{"10.0.0.0/8"}, "10.255.255.255", true},
	{{"10.0.0.0/8"}, "9.255.255.255", false},
	{{"10.0.0.0/8"}, "11.0.0.0", false},
	{{"192.0.2.0/24", "10.0.0.0/8"}, "10.1.2.3", true},
	{{"192.0.2.0/24", "10.0.0.0/8"}, "192.0.2.1", true},
	{{"192.0.2.0/24", "10.0.0.0/8"}, "192.0.1.1", false},
	{{"192.0.2.0/24", "10.0.0.0/8"}, "::ffff:192.0.2.1", true},
	/* within another, given before and behind it, and what lies between two of them */
	{{"10.1.0.0/16", "10.0.0.0/8", "10.0.0.0/30"}, "10.200.0.1", true},
	{{"10.0.0.0/30", "10.1.0.0/16", "10.0.0.0/8"}, "10.0.0.9", true},
	{{"10.0.0.0/8", "10.0.0.0/8"}, "10.0.0.9", true},
	{{"0.0.0.0/0", "::1"}, "203.0.113.9", true},
	{{"0.0.0.0/0", "::1"}, "::1", true},
	{{"0.0.0.0/0", "::1"}, "::2", false},
	/* IPv6 that surrounds mapped IPv4 in the order of the bits */
	{{"::/0", "10.0.0.0/8"}, "10.1.1.1", true},
	{{"::/0", "10.0.0.0/8"}, "192.0.2.1", false},
	{{"::/0", "10.0.0.0/8"}, "2001:db8::1", true},
	{{"::/64", "2001:db8::/32", "10.0.0.0/8"}, "10.1.1.1", true},
	{{"::/64", "2001:db8::/32", "10.0.0.0/8"}, "::1", true},
};

START_TEST(a_set_contains_what_one_of_its_networks_does)
{
	struct network_set set = set_of(sets[_i].networks);
	union peer member = help_peer(sets[_i].address), unix_peer = {.any.sa_family = AF_UNIX};

	ck_assert_int_eq(network_set_contains(&set, &member), sets[_i].is_inside);
	ck_assert(!network_set_contains(&set, &unix_peer));
	network_set_free(&set);
	ck_assert(!network_set_contains(&set, &member));
}
END_TEST

/* Against the answer of every network asked by itself. */
START_TEST(a_set_of_hundreds_answers_as_its_list)
{
	struct network items[256];
	struct network_list list = {items, ARRAY_LEN(items)};
	struct network_set set;
	union peer asked = {.in4 = {.sin_family = AF_INET}};
	uint32_t random = 1;

	for (size_t i = 0; i < list.count; i++) {
		char text[NETWORK_TEXT_MAX];
		unsigned bits = 4 + (random >> 20) % 29;

		random = random * 1664525 + 1013904223;
		asked.in4.sin_addr.s_addr = htonl(random & (UINT32_MAX << (32 - bits)));
		(void)snprintf(text, sizeof(text), "%s/%u", inet_ntoa(asked.in4.sin_addr), bits);
		ck_assert_int_eq(network_parse(text, &items[i], NULL), 0);
	}
	ck_assert_int_eq(network_set_make(&set, &list), 0);
	for (int i = 0; i < 20000; i++) {
		bool is_inside = false;

		random = random * 1664525 + 1013904223;
		asked.in4.sin_addr.s_addr = htonl(random);
		for (size_t k = 0; k < list.count; k++) {
			is_inside = is_inside || network_contains(&items[k], &asked);
		}
		ck_assert_int_eq(network_set_contains(&set, &asked), is_inside);
	}
	network_set_free(&set);
}
END_TEST

UNIT_TESTS("network", tcase_add_loop_test(tests, addresses_are_inside_or_outside, 0,
			      (int)ARRAY_LEN(memberships));
	   tcase_add_loop_test(
		   tests, what_is_no_network_is_refused_with_a_hint, 0, (int)ARRAY_LEN(refused));
	   tcase_add_loop_test(tests, networks_print_as_they_parse, 0, (int)ARRAY_LEN(round_trips));
	   tcase_add_test(tests, a_source_is_an_ipv4_address_or_an_ipv6_net_of_64);
	   tcase_add_loop_test(
		   tests, a_set_contains_what_one_of_its_networks_does, 0, (int)ARRAY_LEN(sets));
	   tcase_add_test(tests, a_set_of_hundreds_answers_as_its_list);)
