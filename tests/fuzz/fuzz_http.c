/* The head of an HTTP request. The first byte says how it is cut in two; cutting changes nothing.
 */
#include "monitor/http.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

static struct http_request whole, pieces;

static void
promise_line_bounds(const struct http_request *request, enum http_status status)
{
	PROMISE(request->head_len <= HTTP_HEAD_MAX + 1);
	PROMISE(request->fields <= HTTP_FIELDS_MAX + 1);
	if (status != HTTP_OK) {
		return;
	}
	PROMISE(request->path[0] == '/');
	PROMISE(strlen(request->path) + strlen(request->query) < HTTP_TARGET_MAX);
	PROMISE(strlen(request->host) < HTTP_HOST_MAX);
	PROMISE(request->host[0] != '\0' || request->is_old);
}

static void
check_questions(const struct http_request *request)
{
	unsigned long long value;

	/* An own origin of a host that is ours names that host. */
	PROMISE(!http_host_is_ours(request->host, "") || strlen(request->host) >= strlen("[::]"));
	PROMISE(!http_origin_is_own(request->origin, request->host) ||
		strlen(request->origin) == strlen(request->host) + strlen("http://"));
	PROMISE(!http_query_number(request->query, "after", &value) ||
		strstr(request->query, "after=") != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data + 1;
	size_t cut, used, first, rest = 0;
	enum http_status status, status_of_pieces;

	if (size == 0) {
		return 0;
	}
	size--;
	cut = size * data[0] / 255;
	http_request_init(&whole);
	status = http_request_feed(&whole, bytes, size, &used);
	PROMISE(used <= size);
	PROMISE(status != HTTP_MORE || used == size);
	promise_line_bounds(&whole, status);

	http_request_init(&pieces);
	status_of_pieces = http_request_feed(&pieces, bytes, cut, &first);
	if (status_of_pieces == HTTP_MORE) {
		status_of_pieces = http_request_feed(&pieces, bytes + cut, size - cut, &rest);
	}
	PROMISE(status_of_pieces == status);
	PROMISE(first + rest == used);
	if (status == HTTP_OK) {
		PROMISE(strcmp(whole.path, pieces.path) == 0);
		PROMISE(strcmp(whole.host, pieces.host) == 0);
		PROMISE(whole.keeps_alive == pieces.keeps_alive);
		check_questions(&whole);
	}
	return 0;
}
