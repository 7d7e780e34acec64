#include "common/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/fault.h"
#include "tests/unit/run.h"

#define LONGEST_PATH                                                                               \
	"/2345678901234567890123456789012345678901234567890123456789012345678901234567890123456"   \
	"789012345678901234567"

static const char *const addresses[] = {
	"127.0.0.1:80",
	"0.0.0.0:1",
	"255.255.255.254:65535",
	"[::1]:80",
	"[::]:80",
	"[2001:db8::dead:beef]:65535",
	"[fe80::1%2]:7000",
	"[fe80::1%2147483647]:7000",
	"*:80",
	"unix:/run/acceptd/echo.sock",
	"unix:/run/a b/ü.sock",
	"unix:/...",
	"unix:" LONGEST_PATH,
};

START_TEST(a_canonical_address_is_printed_as_it_was_written)
{
	struct address address;
	char buffer[ADDRESS_TEXT_MAX];

	ck_assert_int_eq(address_parse(addresses[_i], &address, NULL), 0);
	ck_assert_ptr_eq(address_format(&address, buffer), buffer);
	ck_assert_str_eq(buffer, addresses[_i]);
}
END_TEST

static const struct {
	const char *written, *printed;
} spellings[] = {
	{"127.0.0.1:0080", "127.0.0.1:80"},
	{"[0:0:0:0:0:0:0:1]:80", "[::1]:80"},
	{"[2001:DB8::0]:80", "[2001:db8::]:80"},
	{"[::1.2.3.4]:80", "[::1.2.3.4]:80"},
};

START_TEST(another_spelling_is_printed_in_the_canonical_one)
{
	struct address address;
	char buffer[ADDRESS_TEXT_MAX];

	ck_assert_int_eq(address_parse(spellings[_i].written, &address, NULL), 0);
	ck_assert_str_eq(address_format(&address, buffer), spellings[_i].printed);
}
END_TEST

#define PORTS "; allowed: 1..65535"
#define FORMS "; allowed: ADDRESS:PORT, [IPv6]:PORT, *:PORT, unix:/PATH"
#define NO_NAMES                                                                                   \
	" is not an IPv4/IPv6 address; hint: names are not resolved here, write an address or "    \
	"'*'"
#define NO_IPV6                                                                                    \
	" in brackets is not an IPv6 address; hint: brackets are for IPv6 only, names are not "    \
	"resolved here"
#define NO_BRACKETS " without brackets; hint: write [IPv6]:PORT, as '[::1]:80'"
#define ONE_MACHINE                                                                                \
	" is a multicast or broadcast address; hint: TCP needs the address of one machine"
#define NO_NUMBER                                                                                  \
	" is not a number; allowed: 1..2147483647; hint: 'ip link' shows the number before the "   \
	"name"
#define NOT_PLAIN                                                                                  \
	" is not in its plain form; hint: write it without '//', '/./', '/../' and a '/' at the "  \
	"end"

static const struct {
	const char *string, *sentence;
} mistakes[] = {
	{"127.0.0.1:70000", "port 70000 out of range" PORTS},
	{"127.0.0.1:65536", "port 65536 out of range" PORTS},
	{"127.0.0.1:0", "port 0 out of range" PORTS},
	{"127.0.0.1:-1", "port -1 out of range" PORTS},
	{"*:99999999999999999999", "port 99999999999999999999 out of range" PORTS},
	{"127.0.0.1:http", "port 'http' is not a number" PORTS},
	{"127.0.0.1: 80", "port ' 80' is not a number" PORTS},
	{"127.0.0.1:+80", "port '+80' is not a number" PORTS},
	{"127.0.0.1:80\n", "port '80\\x0a' is not a number" PORTS},
	{"127.0.0.1:", "the port after ':' is missing" PORTS},
	{"[::1]:", "the port after ':' is missing" PORTS},
	{"*:", "the port after ':' is missing" PORTS},
	{"127.0.0.1", "'127.0.0.1' has no port; hint: write '127.0.0.1:80'"},
	{"*", "'*' has no port; hint: write '*:80'"},
	{"[::1]", "'[::1]' has no ':PORT' after ']'; hint: write '[::1]:80'"},
	{"[::1]80", "'[::1]80' has no ':PORT' after ']'; hint: write '[::1]:80'"},
	{"300.1.1.1:80", "'300.1.1.1'" NO_NAMES},
	{"1.2.3:80", "'1.2.3'" NO_NAMES},
	{"010.0.0.1:80", "'010.0.0.1'" NO_NAMES}, /* octal to some, decimal to others */
	{"localhost:80", "'localhost'" NO_NAMES},
	{"**:80", "'**'" NO_NAMES},
	{" 127.0.0.1:80", "' 127.0.0.1'" NO_NAMES},
	{"\033[2J:80", "'\\x1b[2J'" NO_NAMES},
	{"a-name-that-is-longer-than-any-address-could-be-and-then-some-more.example:80",
		"'a-name-that-is-longer-than-any-address-could-be-and-then-some-more."
		"example'" NO_NAMES},
	{"224.0.0.1:80", "'224.0.0.1'" ONE_MACHINE},
	{"255.255.255.255:80", "'255.255.255.255'" ONE_MACHINE},
	{"[ff02::1]:80", "'ff02::1'" ONE_MACHINE},
	{"[::ffff:1.2.3.4]:80",
		"'::ffff:1.2.3.4' is an IPv4 address in IPv6; hint: write '1.2.3.4'"},
	{"::1", "IPv6 address '::1'" NO_BRACKETS},
	{"::1:80", "IPv6 address '::1:80'" NO_BRACKETS},
	{"fe80::1:80", "IPv6 address 'fe80::1:80'" NO_BRACKETS},
	{"[::1", "'[' without ']' in '[::1'; allowed: [IPv6]:PORT"},
	{"[]:80", "''" NO_IPV6},
	{"[127.0.0.1]:80", "'127.0.0.1'" NO_IPV6},
	{"[*]:80", "'*'" NO_IPV6},
	{"[::1::2]:80", "'::1::2'" NO_IPV6},
	{"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80",
		"'0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000'" NO_NAMES},
	{"[fe80::1]:80", "link-local address 'fe80::1' without its interface; hint: write "
			 "'[fe80::1%2]:PORT' with the number that 'ip link' shows"},
	{"[fe80::1%eth0]:80", "interface 'eth0'" NO_NUMBER},
	{"[fe80::1%0]:80", "interface '0'" NO_NUMBER},
	{"[fe80::1%4294967298]:80", "interface '4294967298'" NO_NUMBER},
	{"[fe80::1%]:80", "interface ''" NO_NUMBER},
	{"[::1%2]:80", "interface '%2' with an address that is not link-local (fe80::/10)"},
	{"", "empty address" FORMS},
	{"a:b:c", "'a:b:c' is not an address" FORMS},
	{"example", "'example' is not an address" FORMS},
	{"http://127.0.0.1:80", "'http://127.0.0.1:80' is not an address" FORMS},
	{"80", "'80' is a port without an address; hint: write '*:80' for every address"},
	{":80", "no address before ':80'; hint: write '*:80' for every address"},
	{"/run/x", "'/run/x' is a path; hint: write 'unix:/run/x'"},
	{"unix:", "path '' is not absolute; allowed: unix:/PATH"},
	{"unix:run/x", "path 'run/x' is not absolute; allowed: unix:/PATH"},
	{"unix:@x", "path '@x' is not absolute; allowed: unix:/PATH; hint: abstract sockets have "
		    "no permissions"},
	{"unix:/", "path '/'" NOT_PLAIN},
	{"unix:/run/", "path '/run/'" NOT_PLAIN},
	{"unix:/run//x", "path '/run//x'" NOT_PLAIN},
	{"unix://run/x", "path '//run/x'" NOT_PLAIN},
	{"unix:/run/./x", "path '/run/./x'" NOT_PLAIN},
	{"unix:/run/../x", "path '/run/../x'" NOT_PLAIN},
	{"unix:/run/..", "path '/run/..'" NOT_PLAIN},
	{"unix:/run/x\n", "path '/run/x\\x0a' has a control character"},
	{"unix:/run/\x7f", "path '/run/\\x7f' has a control character"},
	{"unix:" LONGEST_PATH "8", "path '" LONGEST_PATH
				   "8' has 108 bytes; allowed: at most 107 in the name of a unix "
				   "socket"},
};

START_TEST(a_mistake_is_named_with_what_is_allowed)
{
	struct address address, before;
	struct fault why;

	memset(&address, 0x5a, sizeof(address));
	before = address;
	ck_assert_int_eq(address_parse(mistakes[_i].string, &address, &why), -EINVAL);
	ck_assert_str_eq(why.text, mistakes[_i].sentence);
	ck_assert_int_eq(why.code, -EINVAL);
	ck_assert_mem_eq(&address, &before, sizeof(address));
}
END_TEST

START_TEST(the_longest_mistake_fits_its_sentence)
{
	char string[5000];
	struct address address;
	struct fault why;

	memset(string, '\n', sizeof(string) - 1);
	string[sizeof(string) - 1] = '\0';
	memcpy(string, "unix:", 5);
	ck_assert_int_eq(address_parse(string, &address, &why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why.text, "not absolute"));
	string[5] = '/';
	ck_assert_int_eq(address_parse(string, &address, &why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why.text, "has 4994 bytes"));
}
END_TEST

START_TEST(the_longest_address_fits_its_buffer)
{
	struct address address = {.len = sizeof(struct sockaddr_in6)};
	char buffer[ADDRESS_TEXT_MAX];

	address.in6.sin6_family = AF_INET6;
	memset(&address.in6.sin6_addr, 0xfe, sizeof(address.in6.sin6_addr));
	address.in6.sin6_scope_id = UINT32_MAX;
	address.in6.sin6_port = 0xffff;
	ck_assert_str_eq(address_format(&address, buffer),
		"[fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe%4294967295]:65535");
}
END_TEST

/* unix(7): the kernel neither demands nor promises the terminating zero. */
START_TEST(a_path_without_its_zero_is_printed_to_its_end_and_no_further)
{
	struct {
		struct address address;
		char behind[16];
	} guarded = {.behind = "behind"};
	char buffer[ADDRESS_TEXT_MAX], want[ADDRESS_TEXT_MAX];
	size_t room = sizeof(guarded.address.un.sun_path);

	guarded.address.un.sun_family = AF_UNIX;
	memset(guarded.address.un.sun_path, 'p', room);
	guarded.address.len = sizeof(struct sockaddr_un);
	snprintf(want, sizeof(want), "unix:%.*s", (int)room, guarded.address.un.sun_path);
	ck_assert_str_eq(address_format(&guarded.address, buffer), want);
	guarded.address.len = offsetof(struct sockaddr_un, sun_path) + 3;
	ck_assert_str_eq(address_format(&guarded.address, buffer), "unix:ppp");
	guarded.address.len = offsetof(struct sockaddr_un, sun_path);
	ck_assert_str_eq(address_format(&guarded.address, buffer), "unix:");
}
END_TEST

static const struct {
	int family;
	const char *host;
	uint32_t scope;
	const char *printed;
} peers[] = {
	{AF_INET, "192.0.2.7", 0, "192.0.2.7:51234"},
	{AF_INET6, "2001:db8::7", 0, "[2001:db8::7]:51234"},
	{AF_INET6, "fe80::7", 3, "[fe80::7%3]:51234"},
	{AF_INET6, "::ffff:192.0.2.7", 0, "192.0.2.7:51234"},
	{AF_UNIX, NULL, 0, "unix"},
	{AF_UNSPEC, NULL, 0, "unknown"},
	{AF_NETLINK, NULL, 0, "unknown"},
};

START_TEST(a_peer_is_printed_as_a_person_knows_it)
{
	union peer peer = {.any.sa_family = (sa_family_t)peers[_i].family};
	char buffer[ADDRESS_TEXT_MAX];

	if (peers[_i].family == AF_INET) {
		peer.in4.sin_port = htons(51234);
		ck_assert_int_eq(inet_pton(AF_INET, peers[_i].host, &peer.in4.sin_addr), 1);
	} else if (peers[_i].family == AF_INET6) {
		peer.in6.sin6_port = htons(51234);
		peer.in6.sin6_scope_id = peers[_i].scope;
		ck_assert_int_eq(inet_pton(AF_INET6, peers[_i].host, &peer.in6.sin6_addr), 1);
	}
	ck_assert_str_eq(peer_format(&peer, buffer), peers[_i].printed);
}
END_TEST

START_TEST(the_port_is_in_host_order)
{
	struct address address;

	ck_assert_int_eq(address_parse("127.0.0.1:258", &address, NULL), 0);
	ck_assert_uint_eq(address_port(&address), 258);
	ck_assert_int_eq(address_parse("[::1]:258", &address, NULL), 0);
	ck_assert_uint_eq(address_port(&address), 258);
	ck_assert_int_eq(address_parse("unix:/x", &address, NULL), 0);
	ck_assert_uint_eq(address_port(&address), 0);
}
END_TEST

static const struct {
	const char *a, *b;
	bool is_equal, overlaps;
} pairs[] = {
	{"127.0.0.1:80", "127.0.0.1:80", true, true},
	{"127.0.0.1:80", "127.0.0.1:81", false, false},
	{"127.0.0.1:80", "127.0.0.2:80", false, false},
	{"0.0.0.0:80", "127.0.0.1:80", false, true},
	{"0.0.0.0:80", "127.0.0.1:81", false, false},
	{"*:80", "127.0.0.1:80", false, true},
	{"*:80", "0.0.0.0:80", false, true},
	{"*:80", "[::1]:80", false, true},
	{"*:80", "[::]:80", false, true},
	{"*:80", "*:80", true, true},
	{"*:80", "*:81", false, false},
	{"[::]:80", "0.0.0.0:80", false, false},
	{"[::]:80", "127.0.0.1:80", false, false},
	{"[::]:80", "[::1]:80", false, true},
	{"[::]:80", "[fe80::1%2]:80", false, true},
	{"[::1]:80", "0.0.0.0:80", false, false},
	{"[::1]:80", "[0:0::1]:80", true, true},
	{"[fe80::1%2]:80", "[fe80::1%2]:80", true, true},
	{"[fe80::1%2]:80", "[fe80::1%3]:80", false, false},
	{"unix:/x", "unix:/x", true, true},
	{"unix:/x", "unix:/xy", false, false},
	{"unix:/x", "*:80", false, false},
};

START_TEST(equality_and_overlap_do_not_depend_on_the_order)
{
	struct address a, b;

	ck_assert_int_eq(address_parse(pairs[_i].a, &a, NULL), 0);
	ck_assert_int_eq(address_parse(pairs[_i].b, &b, NULL), 0);
	ck_assert_int_eq(address_equal(&a, &b), pairs[_i].is_equal);
	ck_assert_int_eq(address_equal(&b, &a), pairs[_i].is_equal);
	ck_assert_int_eq(address_overlaps(&a, &b), pairs[_i].overlaps);
	ck_assert_int_eq(address_overlaps(&b, &a), pairs[_i].overlaps);
}
END_TEST

/* What the kernel says to the same pairs, on a port of its choice. */
static const char *const hosts[] = {"127.0.0.1", "127.0.0.2", "0.0.0.0", "*", "[::]", "[::1]"};

static int
try_listen(const struct address *address)
{
	int one = 1, is_v6_only = !address->is_dual;
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		return -errno;
	}
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	if (address->any.sa_family == AF_INET6) {
		ck_assert_int_eq(
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_v6_only, sizeof(is_v6_only)),
			0);
	}
	if (bind(fd, &address->any, address->len) != 0 || listen(fd, 1) != 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

static struct address
address_at(const char *host, unsigned port)
{
	struct address address;
	char string[64];

	snprintf(string, sizeof(string), "%s:%u", host, port ? port : 1);
	ck_assert_int_eq(address_parse(string, &address, NULL), 0);
	if (port == 0 && address.any.sa_family == AF_INET) {
		address.in4.sin_port = 0;
	} else if (port == 0) {
		address.in6.sin6_port = 0;
	}
	return address;
}

static unsigned
port_of(int fd)
{
	struct address address = {.len = sizeof(struct sockaddr_un)};

	ck_assert_int_eq(getsockname(fd, &address.any, &address.len), 0);
	return address_port(&address);
}

START_TEST(the_kernel_refuses_exactly_what_overlaps)
{
	const char *first_host = hosts[_i / (int)ARRAY_LEN(hosts)];
	const char *second_host = hosts[_i % (int)ARRAY_LEN(hosts)];
	struct address first = address_at(first_host, 0), second;
	int first_fd = try_listen(&first), second_fd;
	unsigned port;

	if (first_fd == -EADDRNOTAVAIL || first_fd == -EAFNOSUPPORT) {
		return; /* a machine without IPv6 */
	}
	ck_assert_int_ge(first_fd, 0);
	port = port_of(first_fd);
	first = address_at(first_host, port);
	second = address_at(second_host, port);
	second_fd = try_listen(&second);
	if (second_fd == -EADDRNOTAVAIL || second_fd == -EAFNOSUPPORT) {
		close(first_fd);
		return;
	}
	if (address_overlaps(&first, &second)) {
		ck_assert_msg(second_fd == -EADDRINUSE, "%s and %s: got %d", first_host,
			second_host, second_fd);
	} else {
		ck_assert_msg(
			second_fd >= 0, "%s and %s: got %d", first_host, second_host, second_fd);
		close(second_fd);
	}
	close(first_fd);
}
END_TEST

UNIT_TESTS(
	"address", tcase_add_loop_test(tests, a_canonical_address_is_printed_as_it_was_written, 0,
			   ARRAY_LEN(addresses));
	tcase_add_loop_test(
		tests, another_spelling_is_printed_in_the_canonical_one, 0, ARRAY_LEN(spellings));
	tcase_add_loop_test(tests, a_mistake_is_named_with_what_is_allowed, 0, ARRAY_LEN(mistakes));
	tcase_add_test(tests, the_longest_mistake_fits_its_sentence);
	tcase_add_test(tests, the_longest_address_fits_its_buffer);
	tcase_add_test(tests, a_path_without_its_zero_is_printed_to_its_end_and_no_further);
	tcase_add_loop_test(tests, a_peer_is_printed_as_a_person_knows_it, 0, ARRAY_LEN(peers));
	tcase_add_test(tests, the_port_is_in_host_order); tcase_add_loop_test(
		tests, equality_and_overlap_do_not_depend_on_the_order, 0, ARRAY_LEN(pairs));
	tcase_add_loop_test(tests, the_kernel_refuses_exactly_what_overlaps, 0,
		ARRAY_LEN(hosts) * ARRAY_LEN(hosts));)
