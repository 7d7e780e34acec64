#include "monitor/http.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/run.h"

static struct http_request request;

static enum http_status
feed(const char *bytes, size_t len)
{
	size_t used;

	http_request_init(&request);
	return http_request_feed(&request, bytes, len, &used);
}

#define HOST "Host: localhost\r\n"

static const struct good {
	const char *head, *path, *query, *host, *origin;
	bool is_head, keeps_alive;
} good[] = {
	{"GET / HTTP/1.1\r\n" HOST "\r\n", "/", "", "localhost", "", false, true},
	{"HEAD / HTTP/1.1\r\n" HOST "\r\n", "/", "", "localhost", "", true, true},
	{"GET /metrics HTTP/1.0\r\n\r\n", "/metrics", "", "", "", false, false},
	{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "/", "", "", "", false, true},
	{"GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "/", "", "localhost", "", false,
		false},
	{"GET / HTTP/1.1\r\n" HOST "connection: keep-alive , Close\r\n\r\n", "/", "", "localhost",
		"", false, false},
	{"GET / HTTP/1.1\r\n" HOST "Connection: closed\r\n\r\n", "/", "", "localhost", "", false,
		true},
	{"GET /api/history?after=17&x HTTP/1.1\r\nhOsT:\t[::1]:7080 \t\r\nOrigin: http://a\r\n\r\n",
		"/api/history", "after=17&x", "[::1]:7080", "http://a", false, true},
	{"GET /?a?b HTTP/1.1\r\n" HOST "\r\n", "/", "a?b", "localhost", "", false, true},
	{"GET /../etc/passwd HTTP/1.1\r\n" HOST "\r\n", "/../etc/passwd", "", "localhost", "",
		false, true},
	{"GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "/", "", "localhost", "", false,
		true},
	{"GET / HTTP/1.1\r\n" HOST "Accept: a\xff\tb\r\nX:\r\n\r\n", "/", "", "localhost", "",
		false, true},
};

static void
check_good(const struct good *row)
{
	ck_assert_str_eq(request.path, row->path);
	ck_assert_str_eq(request.query, row->query);
	ck_assert_str_eq(request.host, row->host);
	ck_assert_str_eq(request.origin, row->origin);
	ck_assert_int_eq(request.is_head, row->is_head);
	ck_assert_int_eq(request.keeps_alive, row->keeps_alive);
}

START_TEST(a_good_head_is_understood_however_it_is_split)
{
	const struct good *row = &good[_i];
	size_t len = strlen(row->head), used;

	for (size_t cut = 0; cut < len; cut++) {
		http_request_init(&request);
		ck_assert_int_eq(http_request_feed(&request, row->head, cut, &used), HTTP_MORE);
		ck_assert_uint_eq(used, cut);
		ck_assert_int_eq(
			http_request_feed(&request, row->head + cut, len - cut, &used), HTTP_OK);
		ck_assert_uint_eq(used, len - cut);
		check_good(row);
	}
}
END_TEST

START_TEST(a_good_head_is_understood_byte_by_byte)
{
	const struct good *row = &good[_i];
	size_t len = strlen(row->head), used;

	http_request_init(&request);
	for (size_t i = 0; i < len; i++) {
		ck_assert_int_eq(http_request_feed(&request, row->head + i, 1, &used),
			i + 1 < len ? HTTP_MORE : HTTP_OK);
	}
	check_good(row);
}
END_TEST

START_TEST(what_follows_a_head_is_left_for_the_next)
{
	static const char two[] = "GET /a HTTP/1.1\r\n" HOST "\r\nGET /b HTTP/1.1\r\n" HOST "\r\n";
	size_t used, again;

	http_request_init(&request);
	ck_assert_int_eq(http_request_feed(&request, two, sizeof(two) - 1, &used), HTTP_OK);
	ck_assert_str_eq(request.path, "/a");
	http_request_init(&request);
	ck_assert_int_eq(
		http_request_feed(&request, two + used, sizeof(two) - 1 - used, &again), HTTP_OK);
	ck_assert_str_eq(request.path, "/b");
	ck_assert_uint_eq(used + again, sizeof(two) - 1);
}
END_TEST

#define BYTES(literal) literal, sizeof(literal) - 1

static const struct bad {
	const char *bytes;
	size_t len;
	enum http_status status;
} bad[] = {
	/* What is judged at once, before any end of a line. */
	{BYTES("GET / HTTP/1.1\n"), HTTP_BAD_REQUEST},
	{BYTES("GET / HTTP/1.1\rX"), HTTP_BAD_REQUEST},
	{BYTES("GET / HTTP/1.1\r\r"), HTTP_BAD_REQUEST},
	{BYTES("GET /\0"), HTTP_BAD_REQUEST},
	{BYTES("GET /\x1b"), HTTP_BAD_REQUEST},
	{BYTES("GET /\x7f"), HTTP_BAD_REQUEST},
	{BYTES("\n"), HTTP_BAD_REQUEST},
	{BYTES("\x16"), HTTP_BAD_REQUEST}, /* TLS */
	/* The request line. */
	{BYTES("\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET /\r\n"), HTTP_BAD_REQUEST}, /* HTTP/0.9 */
	{BYTES("GET  HTTP/1.1\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET  / HTTP/1.1\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET /  HTTP/1.1\r\n"), HTTP_BAD_REQUEST},
	{BYTES(" GET / HTTP/1.1\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET\t/\tHTTP/1.1\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET / HTTP/1.1 \r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET / http/1.1\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET / HTTP/1.10\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET / HTTP/2.0\r\n"), HTTP_VERSION_UNSUPPORTED},
	{BYTES("PRI * HTTP/2.0\r\n"), HTTP_VERSION_UNSUPPORTED},
	{BYTES("GET / HTTP/1.2\r\n"), HTTP_VERSION_UNSUPPORTED},
	{BYTES("POST / HTTP/1.1\r\n"), HTTP_METHOD_NOT_ALLOWED},
	{BYTES("get / HTTP/1.1\r\n"), HTTP_METHOD_NOT_ALLOWED},
	{BYTES("CONNECT a:1 HTTP/1.1\r\n"), HTTP_METHOD_NOT_ALLOWED},
	{BYTES("G(T / HTTP/1.1\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET * HTTP/1.1\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET http://localhost/ HTTP/1.1\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET /a b HTTP/1.1\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET /\xc3\xa9 HTTP/1.1\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET /#a HTTP/1.1\r\n"), HTTP_BAD_REQUEST},
	/* Fields. */
	{BYTES("GET / HTTP/1.1\r\n\r\n"), HTTP_BAD_REQUEST}, /* no Host */
	{BYTES("GET / HTTP/1.1\r\nHost:\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET / HTTP/1.1\r\n" HOST HOST), HTTP_BAD_REQUEST},
	{BYTES("GET / HTTP/1.1\r\nHost : localhost\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET / HTTP/1.1\r\n" HOST " folded\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET / HTTP/1.1\r\n" HOST "\tfolded: x\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET / HTTP/1.1\r\n: x\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET / HTTP/1.1\r\nno colon\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET / HTTP/1.1\r\nN\xc3\xa9: x\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET / HTTP/1.1\r\nOrigin: a\r\nOrigin: a\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET / HTTP/1.1\r\nContent-Length: 5\r\n"), HTTP_CONTENT_TOO_LARGE},
	{BYTES("GET / HTTP/1.1\r\nContent-Length: 0, 0\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET / HTTP/1.1\r\nContent-Length: -1\r\n"), HTTP_BAD_REQUEST},
	{BYTES("GET / HTTP/1.1\r\nExpect: 100-continue\r\n"), HTTP_EXPECTATION_FAILED},
};

START_TEST(a_bad_head_is_refused_at_its_last_byte_and_not_before)
{
	const struct bad *row = &bad[_i];
	size_t used;

	ck_assert_int_eq(feed(row->bytes, row->len), row->status);
	http_request_init(&request);
	ck_assert_int_eq(http_request_feed(&request, row->bytes, row->len - 1, &used), HTTP_MORE);
	ck_assert_int_eq(
		http_request_feed(&request, row->bytes + row->len - 1, 1, &used), row->status);
}
END_TEST

/* A head of exactly `len` bytes but for its empty line. */
static void
make_head(char *head, size_t len)
{
	static const char begin[] = "GET / HTTP/1.1\r\n" HOST "X: ";

	memset(head, 'x', len);
	memcpy(head, begin, sizeof(begin) - 1);
	memcpy(head + len - 2, "\r\n", 2);
}

START_TEST(a_head_has_8192_bytes_and_no_more)
{
	static char head[HTTP_HEAD_MAX + 1];
	size_t used;

	make_head(head, HTTP_HEAD_MAX - 2);
	memcpy(head + HTTP_HEAD_MAX - 2, "\r\n", 2);
	ck_assert_int_eq(feed(head, HTTP_HEAD_MAX), HTTP_OK);
	make_head(head, HTTP_HEAD_MAX - 1);
	memcpy(head + HTTP_HEAD_MAX - 1, "\r\n", 2);
	http_request_init(&request);
	ck_assert_int_eq(
		http_request_feed(&request, head, HTTP_HEAD_MAX + 1, &used), HTTP_FIELDS_TOO_LARGE);
	ck_assert_uint_eq(used, HTTP_HEAD_MAX + 1);
}
END_TEST

START_TEST(a_line_without_end_is_refused_at_the_same_length)
{
	static char line[HTTP_HEAD_MAX + 1];

	memset(line, 'x', sizeof(line));
	ck_assert_int_eq(feed(line, HTTP_HEAD_MAX), HTTP_MORE);
	ck_assert_int_eq(feed(line, HTTP_HEAD_MAX + 1), HTTP_FIELDS_TOO_LARGE);
}
END_TEST

START_TEST(the_65th_field_is_one_too_many)
{
	static const char line[] = "GET / HTTP/1.1\r\n", host[] = HOST, field[] = "A: b\r\n";
	size_t used;

	http_request_init(&request);
	ck_assert_int_eq(http_request_feed(&request, line, sizeof(line) - 1, &used), HTTP_MORE);
	ck_assert_int_eq(http_request_feed(&request, host, sizeof(host) - 1, &used), HTTP_MORE);
	for (int i = 2; i <= HTTP_FIELDS_MAX; i++) {
		ck_assert_int_eq(
			http_request_feed(&request, field, sizeof(field) - 1, &used), HTTP_MORE);
	}
	ck_assert_int_eq(http_request_feed(&request, field, sizeof(field) - 1, &used),
		HTTP_FIELDS_TOO_LARGE);
}
END_TEST

START_TEST(a_target_has_511_bytes_and_no_more)
{
	char head[HTTP_TARGET_MAX + 64];
	size_t len = HTTP_TARGET_MAX - 1;

	for (int more = 0; more <= 1; more++) {
		int end = snprintf(head, sizeof(head), "GET /%0*d HTTP/1.1\r\n" HOST "\r\n",
			(int)(len - 1) + more, 0);

		ck_assert_int_eq(feed(head, (size_t)end), more == 0 ? HTTP_OK : HTTP_URI_TOO_LONG);
	}
}
END_TEST

static const struct {
	const char *host;
	bool is_ours;
} hosts[] = {
	{"127.0.0.1", true},
	{"127.0.0.1:7080", true},
	{"192.0.2.7:80", true},
	{"[::1]", true},
	{"[::1]:7080", true},
	{"[fe80::1]:7080", true},
	{"localhost", true},
	{"LocalHost:7080", true},
	{"web-1", true},
	{"WEB-1:7080", true},
	{"evil.example", false},
	{"evil.example:7080", false},
	{"localhost.evil.example", false},
	{"localhost.", false},
	{"127.0.0.1.evil.example:7080", false},
	{"127.0.0.1:7080.evil.example", false},
	{"127.0.0.1:7080:1", false},
	{"127.1", false},
	{"0x7f000001", false},
	{"user@127.0.0.1", false},
	{"[::1", false},
	{"[::1]x", false},
	{"[localhost]", false},
	{"::1", false},
	{"[]", false},
	{":7080", false},
	{"127.0.0.1\xff", false},
};

START_TEST(a_host_is_ours_when_no_stranger_could_have_made_it_up)
{
	ck_assert_int_eq(http_host_is_ours(hosts[_i].host, "web-1"), hosts[_i].is_ours);
}
END_TEST

START_TEST(an_unknown_own_name_is_nobodys)
{
	ck_assert(!http_host_is_ours(":80", ""));
	ck_assert(!http_host_is_ours("web-1", ""));
}
END_TEST

static const struct {
	const char *origin, *host;
	bool is_own;
} origins[] = {
	{"http://127.0.0.1:7080", "127.0.0.1:7080", true},
	{"http://LOCALHOST", "localhost", true},
	{"http://127.0.0.1:8080", "127.0.0.1:7080", false},
	{"https://127.0.0.1:7080", "127.0.0.1:7080", false},
	{"http://evil.example", "127.0.0.1:7080", false},
	{"http://127.0.0.1:7080/", "127.0.0.1:7080", false},
	{"null", "127.0.0.1:7080", false},
	{"http://", "", true},
};

START_TEST(an_origin_is_own_when_it_is_the_host)
{
	ck_assert_int_eq(
		http_origin_is_own(origins[_i].origin, origins[_i].host), origins[_i].is_own);
}
END_TEST

static const struct {
	const char *query;
	bool is_there;
	unsigned long long value;
} queries[] = {
	{"after=17", true, 17},
	{"a=1&after=0&b=2", true, 0},
	{"&after=3", true, 3},
	{"after=9999999999999999999", true, 9999999999999999999ull},
	{"after=99999999999999999999", false, 0},
	{"", false, 0},
	{"after", false, 0},
	{"after=", false, 0},
	{"after=-1", false, 0},
	{"after=1x", false, 0},
	{"after=%31", false, 0},
	{"hereafter=1", false, 0},
	{"&&", false, 0},
};

START_TEST(a_number_is_found_in_a_query)
{
	unsigned long long value = 0;

	ck_assert_int_eq(
		http_query_number(queries[_i].query, "after", &value), queries[_i].is_there);
	ck_assert_uint_eq(value, queries[_i].value);
}
END_TEST

UNIT_TESTS(
	"http", tcase_add_loop_test(tests, a_good_head_is_understood_however_it_is_split, 0,
			(int)ARRAY_LEN(good));
	tcase_add_loop_test(tests, a_good_head_is_understood_byte_by_byte, 0, (int)ARRAY_LEN(good));
	tcase_add_test(tests, what_follows_a_head_is_left_for_the_next); tcase_add_loop_test(tests,
		a_bad_head_is_refused_at_its_last_byte_and_not_before, 0, (int)ARRAY_LEN(bad));
	tcase_add_test(tests, a_head_has_8192_bytes_and_no_more);
	tcase_add_test(tests, a_line_without_end_is_refused_at_the_same_length);
	tcase_add_test(tests, the_65th_field_is_one_too_many);
	tcase_add_test(tests, a_target_has_511_bytes_and_no_more); tcase_add_loop_test(tests,
		a_host_is_ours_when_no_stranger_could_have_made_it_up, 0, (int)ARRAY_LEN(hosts));
	tcase_add_test(tests, an_unknown_own_name_is_nobodys); tcase_add_loop_test(
		tests, an_origin_is_own_when_it_is_the_host, 0, (int)ARRAY_LEN(origins));
	tcase_add_loop_test(tests, a_number_is_found_in_a_query, 0, (int)ARRAY_LEN(queries));)
