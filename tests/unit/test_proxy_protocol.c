#include "common/proxy_protocol.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "tests/unit/run.h"

#define SIGNATURE     "\r\n\r\n\0\r\nQUIT\n"
#define BYTES(string) string, sizeof(string) - 1

static union peer
peer4(const char *address, unsigned port)
{
	union peer made;

	memset(&made, 0, sizeof(made));
	made.in4.sin_family = AF_INET;
	made.in4.sin_port = htons((uint16_t)port);
	ck_assert_int_eq(inet_pton(AF_INET, address, &made.in4.sin_addr), 1);
	return made;
}

static union peer
peer6(const char *address, unsigned port)
{
	union peer made;

	memset(&made, 0, sizeof(made));
	made.in6.sin6_family = AF_INET6;
	made.in6.sin6_port = htons((uint16_t)port);
	ck_assert_int_eq(inet_pton(AF_INET6, address, &made.in6.sin6_addr), 1);
	return made;
}

static const struct {
	const char *bytes;
	size_t len;
	bool is_local;
	const char *client; /* as peer_format writes it */
	const char *target;
} good[] = {
	{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 65535\r\n"), false, "192.0.2.1:1",
		"192.0.2.2:65535"},
	{BYTES("PROXY TCP6 2001:db8::1 2001:db8::2 5 0\r\n"), false, "[2001:db8::1]:5",
		"[2001:db8::2]:0"},
	{BYTES("PROXY UNKNOWN\r\n"), true, NULL, NULL},
	{BYTES("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), true, NULL, NULL},
	{BYTES(SIGNATURE "\x20\x00\x00\x00"), true, NULL, NULL},
	{BYTES(SIGNATURE "\x20\x11\x00\x03"
			 "abc"),
		true, NULL, NULL},
	{BYTES(SIGNATURE "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x01\xff\xff"), false,
		"192.0.2.1:1", "192.0.2.2:65535"},
	{BYTES(SIGNATURE "\x21\x11\x00\x11\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x01\x00\x02"
			 "\x04\x00\x02zz"),
		false, "192.0.2.1:1", "192.0.2.2:2"},
	{BYTES(SIGNATURE "\x21\x11\x00\x13\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x01\x00\x02"
			 "\x03\x00\x04\x4f\xff\xf3\x3d"),
		false, "192.0.2.1:1", "192.0.2.2:2"},
	{BYTES(SIGNATURE "\x21\x00\x00\x00"), true, NULL, NULL},
};

static void
assert_reads(int row, const char *bytes, size_t len, size_t header_len)
{
	char text[ADDRESS_TEXT_MAX];
	struct proxy_header header;
	struct fault why;

	ck_assert_int_eq(proxy_header_read(bytes, len, &header, &why), (int)header_len);
	ck_assert_int_eq(header.is_local, good[row].is_local);
	if (good[row].client != NULL) {
		ck_assert_str_eq(peer_format(&header.client, text), good[row].client);
		ck_assert_str_eq(peer_format(&header.target, text), good[row].target);
	}
}

START_TEST(good_headers_are_read_and_what_follows_is_left)
{
	char longer[256];

	assert_reads(_i, good[_i].bytes, good[_i].len, good[_i].len);
	memcpy(longer, good[_i].bytes, good[_i].len);
	memcpy(longer + good[_i].len, "GET /", 5);
	assert_reads(_i, longer, good[_i].len + 5, good[_i].len);
}
END_TEST

START_TEST(every_beginning_of_a_good_header_asks_for_more)
{
	struct proxy_header header;

	for (size_t len = 0; len < good[_i].len; len++) {
		/* exactly sized, so that a sanitizer sees a read past what was received */
		char *part = malloc(len + 1);

		memcpy(part, good[_i].bytes, len);
		ck_assert_int_eq(proxy_header_read(part, len, &header, NULL), -EAGAIN);
		free(part);
	}
}
END_TEST

static const struct {
	const char *bytes;
	size_t len;
} bad[] = {
	{BYTES("G")},
	{BYTES("PROXX")},
	{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n")},
	{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n")},
	{BYTES("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n")},
	{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n")},
	{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 -2\r\n")},
	{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n")},
	{BYTES("PROXY TCP4 ::1 ::2 1 2\r\n")},
	{BYTES("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n")},
	{BYTES("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n")},
	{BYTES("PROXY UNKNOWNX\r\n")},
	{BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n")},
	{BYTES("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n")},
	{BYTES("PROXY \n")},
	{BYTES("PROXY UNKNOWN "
	       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	       "aaaaaaaaaaaaaaaaaaaaaaaaa")},
	{BYTES(SIGNATURE "\x11\x11\x00\x00")},
	{BYTES(SIGNATURE "\x22\x11\x00\x00")},
	{BYTES(SIGNATURE "\x21\x12\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x01\xff\xff")},
	{BYTES(SIGNATURE "\x21\x11\x00\x0b\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x01\xff")},
	{BYTES(SIGNATURE "\x21\x11\xff\xff")},
	{BYTES(SIGNATURE "\x21\x11\x00\x0f\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x01\x00\x02"
			 "\x04\x00\x02")},
	{BYTES(SIGNATURE "\x21\x11\x00\x13\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x01\x00\x02"
			 "\x03\x00\x04\x4f\xff\xf3\x3c")},
	{BYTES(SIGNATURE "\x21\x11\x00\x12\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x01\x00\x02"
			 "\x03\x00\x03\x01\x02\x03")},
	{BYTES(SIGNATURE
		"\x21\x11\x00\x0e\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x01\x00\x02\x04\x00")},
};

START_TEST(bad_headers_are_refused_with_a_sentence)
{
	struct proxy_header header;
	struct fault why = {0};

	ck_assert_int_eq(proxy_header_read(bad[_i].bytes, bad[_i].len, &header, &why), -EPROTO);
	ck_assert_uint_gt(strlen(why.text), 5);
}
END_TEST

static const enum proxy_version versions[] = {PROXY_V1, PROXY_V2};

START_TEST(what_is_written_reads_back)
{
	union peer pairs[][2] = {
		{peer4("192.0.2.1", 1), peer4("198.51.100.7", 443)},
		{peer6("2001:db8::1", 65535),
			peer6("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65535)},
	};
	unsigned char buffer[PROXY_WRITE_MAX];
	struct proxy_header header;
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		len = proxy_header_write(versions[_i], &pairs[i][0], &pairs[i][1], buffer);
		ck_assert_int_eq(proxy_header_read(buffer, len, &header, NULL), (int)len);
		ck_assert_mem_eq(&header.client, &pairs[i][0], sizeof(union peer));
		ck_assert_mem_eq(&header.target, &pairs[i][1], sizeof(union peer));
	}
}
END_TEST

START_TEST(mapped_addresses_are_written_as_ipv4_and_strangers_as_unknown)
{
	union peer mapped = peer6("::ffff:192.0.2.1", 7), plain = peer4("192.0.2.2", 8);
	union peer six = peer6("2001:db8::1", 9), nobody = {.any.sa_family = AF_UNIX};
	unsigned char buffer[PROXY_WRITE_MAX];
	struct proxy_header header;
	size_t len;

	len = proxy_header_write(PROXY_V1, &mapped, &plain, buffer);
	ck_assert_int_eq(strncmp((char *)buffer, "PROXY TCP4 192.0.2.1 192.0.2.2 7 8\r\n", len), 0);
	len = proxy_header_write(versions[_i], &nobody, &plain, buffer);
	ck_assert_int_eq(proxy_header_read(buffer, len, &header, NULL), (int)len);
	ck_assert(header.is_local);
	len = proxy_header_write(versions[_i], &six, &plain, buffer);
	ck_assert_int_eq(proxy_header_read(buffer, len, &header, NULL), (int)len);
	ck_assert(header.is_local);
	ck_assert_uint_eq(proxy_header_write(PROXY_NONE, &plain, &plain, buffer), 0);
}
END_TEST

UNIT_TESTS(
	"proxy_protocol", tcase_add_loop_test(tests, good_headers_are_read_and_what_follows_is_left,
				  0, (int)ARRAY_LEN(good));
	tcase_add_loop_test(
		tests, every_beginning_of_a_good_header_asks_for_more, 0, (int)ARRAY_LEN(good));
	tcase_add_loop_test(tests, bad_headers_are_refused_with_a_sentence, 0, (int)ARRAY_LEN(bad));
	tcase_add_loop_test(tests, what_is_written_reads_back, 0, 2); tcase_add_loop_test(
		tests, mapped_addresses_are_written_as_ipv4_and_strangers_as_unknown, 0, 2);)
