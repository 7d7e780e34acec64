#include "common/endpoint.h"

#include <errno.h>
#include <string.h>

#include "common/defs.h"
#include "common/fault.h"
#include "tests/unit/run.h"

static const struct {
	const char *text;
	enum endpoint_kind kind;
	const char *name;
	unsigned port;
} good[] = {
	{"10.0.0.7:8080", ENDPOINT_ADDRESS, "", 0},
	{"[2001:db8::7]:80", ENDPOINT_ADDRESS, "", 0},
	{"unix:/run/java", ENDPOINT_ADDRESS, "", 0},
	{"java.internal:8080", ENDPOINT_HOST, "java.internal", 8080},
	{"java.internal.:8080", ENDPOINT_HOST, "java.internal.", 8080},
	{"java:1", ENDPOINT_HOST, "java", 1},
	{"a_b-c.9.d9:65535", ENDPOINT_HOST, "a_b-c.9.d9", 65535},
	{"10.0.0.7.in-addr:80", ENDPOINT_HOST, "10.0.0.7.in-addr", 80},
	{"srv:_http._tcp.java.internal", ENDPOINT_SRV, "_http._tcp.java.internal", 0},
	{"srv:web", ENDPOINT_SRV, "web", 0},
	{"srv.:80", ENDPOINT_HOST, "srv.", 80},
};

START_TEST(a_good_one_is_read_and_written_as_it_was)
{
	char text[ENDPOINT_TEXT_MAX];
	struct endpoint endpoint, again;
	struct fault why;

	ck_assert_int_eq(endpoint_parse(good[_i].text, &endpoint, &why), 0);
	ck_assert_int_eq(endpoint.kind, good[_i].kind);
	ck_assert_str_eq(endpoint.name, good[_i].name);
	ck_assert_uint_eq(endpoint.port, good[_i].port);
	ck_assert_str_eq(endpoint_format(&endpoint, text), good[_i].text);
	ck_assert_int_eq(endpoint_is_name(&endpoint), good[_i].kind != ENDPOINT_ADDRESS);
	ck_assert_int_eq(endpoint_parse(text, &again, &why), 0);
	ck_assert(endpoint_equal(&endpoint, &again));
}
END_TEST

static const struct {
	const char *text, *words;
} bad[] = {
	{"300.1.1.1:80", "'300.1.1.1' is not an IPv4/IPv6 address"},
	{"1.2.3:80", "is not an IPv4/IPv6 address"},
	{"java", "'java' has no port; hint: write 'java:80'"},
	{"java:", "the port after ':' is missing"},
	{"java:0", "port 0 out of range"},
	{"java:http", "port 'http' is not a number"},
	{"[java]:80", "a name in brackets"},
	{"java..x:80", "is not a name of DNS"},
	{"-java:80", "is not a name of DNS"},
	{"ja va:80", "is not a name of DNS"},
	{"http://10.0.0.7:8080/", "a URL; allowed: ADDRESS:PORT, [IPv6]:PORT, NAME:PORT"},
	{"tcp://java:80", "a URL; "},
	{"unix:///run/java", "is not in its plain form"},
	{"a:b:80", "is not an address"},
	{"unix:8080", "is not absolute"},
	{"srv:", "is not a name of DNS"},
	{"srv:8080", "'8080' is not a name of DNS"},
	{"srv:java:80", "an SRV name has no port, the records say it; hint: write 'srv:java'"},
	{"srv:a..b", "is not a name of DNS"},
	{"", "empty address"},
	{":80", "no address before"},
};

START_TEST(a_mistake_is_told_and_nothing_is_changed)
{
	struct endpoint endpoint = {.kind = ENDPOINT_NONE};
	struct fault why;

	ck_assert_int_eq(endpoint_parse(bad[_i].text, &endpoint, &why), -EINVAL);
	ck_assert_msg(strstr(why.text, bad[_i].words) != NULL, "%s", why.text);
	ck_assert_int_eq(endpoint.kind, ENDPOINT_NONE);
}
END_TEST

START_TEST(names_have_the_length_that_dns_has_room_for)
{
	char text[400];
	struct endpoint endpoint;
	struct fault why;

	memset(text, 'a', sizeof(text));
	text[63] = text[127] = text[191] = '.';
	strcpy(text + 253, ":80");
	ck_assert_int_eq(endpoint_parse(text, &endpoint, &why), 0);
	ck_assert_uint_eq(strlen(endpoint.name), 253);
	text[253] = 'a';
	strcpy(text + 254, ":80");
	ck_assert_int_eq(endpoint_parse(text, &endpoint, &why), -EINVAL);
	memset(text, 'a', 64);
	strcpy(text + 64, ":80");
	ck_assert_int_eq(endpoint_parse(text, &endpoint, &why), -EINVAL);
}
END_TEST

START_TEST(names_are_the_same_whatever_their_case)
{
	struct endpoint a, b;
	struct fault why;

	ck_assert_int_eq(endpoint_parse("Java:80", &a, &why), 0);
	ck_assert_int_eq(endpoint_parse("java:80", &b, &why), 0);
	ck_assert(endpoint_equal(&a, &b));
	ck_assert_int_eq(endpoint_parse("java:81", &b, &why), 0);
	ck_assert(!endpoint_equal(&a, &b));
	ck_assert_int_eq(endpoint_parse("srv:java", &b, &why), 0);
	ck_assert(!endpoint_equal(&a, &b));
}
END_TEST

UNIT_TESTS("endpoint",
	   tcase_add_loop_test(tests, a_good_one_is_read_and_written_as_it_was, 0, ARRAY_LEN(good));
	   tcase_add_loop_test(tests, a_mistake_is_told_and_nothing_is_changed, 0, ARRAY_LEN(bad));
	   tcase_add_test(tests, names_have_the_length_that_dns_has_room_for);
	   tcase_add_test(tests, names_are_the_same_whatever_their_case);)
