/* Bytes are gathered to lines and a line is judged when it is whole; a byte that no line may have
 * is judged at once, so that nobody is kept waiting for an end that cannot come. */
#include "monitor/http.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void
http_request_init(struct http_request *request)
{
	memset(request, 0, offsetof(struct http_request, line));
}

/* RFC 9110, 5.6.2. Bytes beyond ASCII are no letters here, whatever the locale. */
static bool
is_token(const char *word, size_t len)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < len; i++) {
		char c = word[i];
		bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (!is_letter && !(c >= '0' && c <= '9') &&
			(c == '\0' || strchr(others, c) == NULL)) {
			return false;
		}
	}
	return len > 0;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* --- the request line --- */

static enum http_status
take_method(struct http_request *request, const char *word, size_t len)
{
	if (!is_token(word, len)) {
		return HTTP_BAD_REQUEST;
	}
	request->is_head = len == 4 && memcmp(word, "HEAD", 4) == 0;
	return request->is_head || (len == 3 && memcmp(word, "GET", 3) == 0)
		       ? HTTP_MORE
		       : HTTP_METHOD_NOT_ALLOWED;
}

/* The absolute form is for proxies; nothing else uses it towards us. */
static enum http_status
take_target(struct http_request *request, const char *target, size_t len)
{
	const char *mark;
	size_t path_len;

	if (len == 0 || target[0] != '/') {
		return HTTP_BAD_REQUEST;
	}
	if (len >= HTTP_TARGET_MAX) {
		return HTTP_URI_TOO_LONG;
	}
	for (size_t i = 0; i < len; i++) {
		if (target[i] <= ' ' || target[i] >= 0x7f || target[i] == '#') {
			return HTTP_BAD_REQUEST;
		}
	}
	mark = memchr(target, '?', len);
	path_len = mark == NULL ? len : (size_t)(mark - target);
	memcpy(request->path, target, path_len);
	request->path[path_len] = '\0';
	if (mark != NULL) {
		memcpy(request->query, mark + 1, len - path_len - 1);
		request->query[len - path_len - 1] = '\0';
	}
	return HTTP_MORE;
}

static enum http_status
take_version(struct http_request *request, const char *word, size_t len)
{
	if (len != strlen("HTTP/1.1") || memcmp(word, "HTTP/", 5) != 0 || !is_digit(word[5]) ||
		word[6] != '.' || !is_digit(word[7])) {
		return HTTP_BAD_REQUEST;
	}
	if (word[5] != '1' || word[7] > '1') {
		return HTTP_VERSION_UNSUPPORTED;
	}
	request->is_old = word[7] == '0';
	request->keeps_alive = !request->is_old;
	return HTTP_MORE;
}

static enum http_status
take_request_line(struct http_request *request)
{
	const char *line = request->line;
	size_t len = request->line_len;
	const char *first = memchr(line, ' ', len);
	const char *last = memrchr(line, ' ', len);
	enum http_status status;

	if (first == NULL || first == last) {
		return HTTP_BAD_REQUEST;
	}
	status = take_version(request, last + 1, len - (size_t)(last + 1 - line));
	if (status == HTTP_MORE) {
		status = take_method(request, line, (size_t)(first - line));
	}
	return status != HTTP_MORE ? status
				   : take_target(request, first + 1, (size_t)(last - first - 1));
}

/* --- fields --- */

static enum http_status
take_once(bool *is_there, char *to, const char *value, size_t len)
{
	if (*is_there || len >= HTTP_HOST_MAX || len == 0) {
		return HTTP_BAD_REQUEST;
	}
	*is_there = true;
	memcpy(to, value, len);
	to[len] = '\0';
	return HTTP_MORE;
}

static enum http_status
take_host(struct http_request *request, const char *value, size_t len)
{
	return take_once(&request->has_host, request->host, value, len);
}

static enum http_status
take_origin(struct http_request *request, const char *value, size_t len)
{
	return take_once(&request->has_origin, request->origin, value, len);
}

/* No body is read, so none may be announced: it would be taken for the next request. */
static enum http_status
take_length(struct http_request *request, const char *value, size_t len)
{
	if (request->has_length || len == 0) {
		return HTTP_BAD_REQUEST;
	}
	request->has_length = true;
	for (size_t i = 0; i < len; i++) {
		if (!is_digit(value[i])) {
			return HTTP_BAD_REQUEST;
		}
		if (value[i] != '0') {
			return HTTP_CONTENT_TOO_LARGE;
		}
	}
	return HTTP_MORE;
}

static enum http_status
refuse_coding(struct http_request *request, const char *value, size_t len)
{
	(void)request, (void)value, (void)len;
	return HTTP_BAD_REQUEST;
}

static enum http_status
refuse_expectation(struct http_request *request, const char *value, size_t len)
{
	(void)request, (void)value, (void)len;
	return HTTP_EXPECTATION_FAILED;
}

static bool
is_word(const char *word, size_t len, const char *wanted)
{
	return len == strlen(wanted) && strncasecmp(word, wanted, len) == 0;
}

/* A list of words; "close" wins over all others. */
static enum http_status
take_connection(struct http_request *request, const char *value, size_t len)
{
	const char *end = value + len;
	bool closes = false, keeps = false;

	while (value < end) {
		size_t word = 0;

		while (value + word < end && strchr(", \t", value[word]) == NULL) {
			word++;
		}
		closes = closes || is_word(value, word, "close");
		keeps = keeps || is_word(value, word, "keep-alive");
		value += word + 1;
	}
	request->keeps_alive = !closes && (request->keeps_alive || keeps);
	return HTTP_MORE;
}

/* All other fields say nothing that we heed. */
static const struct field {
	const char *name;
	enum http_status (*take)(struct http_request *request, const char *value, size_t len);
} fields[] = {
	{"connection", take_connection},
	{"content-length", take_length},
	{"expect", refuse_expectation},
	{"host", take_host},
	{"origin", take_origin},
	{"transfer-encoding", refuse_coding},
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static enum http_status
take_field(struct http_request *request)
{
	const char *name = request->line, *end = name + request->line_len;
	const char *colon = memchr(name, ':', request->line_len);
	const char *value;

	if (++request->fields > HTTP_FIELDS_MAX) {
		return HTTP_FIELDS_TOO_LARGE;
	}
	/* A folded line begins with a blank, which is no token either. */
	if (colon == NULL || !is_token(name, (size_t)(colon - name))) {
		return HTTP_BAD_REQUEST;
	}
	for (value = colon + 1; value < end && is_blank(*value); value++) {
	}
	while (end > value && is_blank(end[-1])) {
		end--;
	}
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (is_word(name, (size_t)(colon - name), fields[i].name)) {
			return fields[i].take(request, value, (size_t)(end - value));
		}
	}
	return HTTP_MORE;
}

/* --- lines --- */

static enum http_status
take_line(struct http_request *request)
{
	if (request->path[0] == '\0') {
		return take_request_line(request);
	}
	if (request->line_len > 0) {
		return take_field(request);
	}
	return request->has_host || request->is_old ? HTTP_OK : HTTP_BAD_REQUEST;
}

/* The CR stays in the line until its LF comes. */
static enum http_status
take_byte(struct http_request *request, char byte)
{
	bool is_after_cr = request->line_len > 0 && request->line[request->line_len - 1] == '\r';
	enum http_status status;

	if (++request->head_len > HTTP_HEAD_MAX) {
		return HTTP_FIELDS_TOO_LARGE;
	}
	if (is_after_cr != (byte == '\n') || byte == 0x7f ||
		((unsigned char)byte < ' ' && strchr("\r\n\t", byte) == NULL) || byte == '\0') {
		return HTTP_BAD_REQUEST;
	}
	if (byte != '\n') {
		request->line[request->line_len++] = byte;
		return HTTP_MORE;
	}
	request->line_len--;
	status = take_line(request);
	request->line_len = 0;
	return status;
}

enum http_status
http_request_feed(struct http_request *request, const char *bytes, size_t len, size_t *used)
{
	enum http_status status = HTTP_MORE;

	for (*used = 0; *used < len && status == HTTP_MORE; (*used)++) {
		status = take_byte(request, bytes[*used]);
	}
	return status;
}

const char *
http_status_text(enum http_status status)
{
	static const struct {
		enum http_status status;
		const char *text;
	} texts[] = {
		{HTTP_OK, "OK"},
		{HTTP_BAD_REQUEST, "Bad Request"},
		{HTTP_FORBIDDEN, "Forbidden"},
		{HTTP_NOT_FOUND, "Not Found"},
		{HTTP_METHOD_NOT_ALLOWED, "Method Not Allowed"},
		{HTTP_REQUEST_TIMEOUT, "Request Timeout"},
		{HTTP_CONTENT_TOO_LARGE, "Content Too Large"},
		{HTTP_URI_TOO_LONG, "URI Too Long"},
		{HTTP_EXPECTATION_FAILED, "Expectation Failed"},
		{HTTP_FIELDS_TOO_LARGE, "Request Header Fields Too Large"},
		{HTTP_SERVER_ERROR, "Internal Server Error"},
		{HTTP_UNAVAILABLE, "Service Unavailable"},
		{HTTP_VERSION_UNSUPPORTED, "HTTP Version Not Supported"},
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i].status == status) {
			return texts[i].text;
		}
	}
	return "Unknown";
}

/* --- whose request it is --- */

/* The end of the name in "name:80", or NULL when what follows is no port. */
static const char *
find_name_end(const char *host)
{
	const char *end = host[0] == '[' ? strchr(host, ']') : strchrnul(host, ':');
	const char *port;

	if (end == NULL) {
		return NULL;
	}
	port = host[0] == '[' ? end + 1 : end;
	if (*port == ':') {
		port += 1 + strspn(port + 1, "0123456789");
	}
	return *port == '\0' ? end : NULL;
}

bool
http_host_is_ours(const char *host, const char *own_name)
{
	const char *end = find_name_end(host);
	char name[HTTP_HOST_MAX];
	struct in6_addr address;
	bool is_bracketed = host[0] == '[';

	if (end == NULL || (size_t)(end - host) >= sizeof(name)) {
		return false;
	}
	(void)snprintf(
		name, sizeof(name), "%.*s", (int)(end - host - is_bracketed), host + is_bracketed);
	if (is_bracketed) {
		return inet_pton(AF_INET6, name, &address) == 1;
	}
	return inet_pton(AF_INET, name, &address) == 1 || strcasecmp(name, "localhost") == 0 ||
	       (own_name[0] != '\0' && strcasecmp(name, own_name) == 0);
}

bool
http_origin_is_own(const char *origin, const char *host)
{
	static const char scheme[] = "http://";

	return strncmp(origin, scheme, strlen(scheme)) == 0 &&
	       strcasecmp(origin + strlen(scheme), host) == 0;
}

bool
http_query_number(const char *query, const char *name, unsigned long long *value)
{
	size_t len = strlen(name);

	for (; query != NULL; query = strchr(query, '&')) {
		query += *query == '&';
		if (strncmp(query, name, len) == 0 && query[len] == '=') {
			const char *digits = query + len + 1;
			size_t count = strspn(digits, "0123456789");

			if (count == 0 || count > 19 || strchr("&", digits[count]) == NULL) {
				return false;
			}
			*value = strtoull(digits, NULL, 10);
			return true;
		}
	}
	return false;
}
