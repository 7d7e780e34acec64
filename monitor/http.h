/* The head of an HTTP/1 request, byte by byte, strictly (RFC 9110, RFC 9112). Pure.
 *
 * Only what a browser, curl or Prometheus sends is taken: GET and HEAD, a target that begins with
 * '/', lines that end in CR LF. What two programs could read in two ways is refused and ends the
 * connection: a bare CR or LF, folded lines, a blank before the colon, NUL, a second Host, any
 * body. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/defs.h"

#define HTTP_HEAD_MAX   8192 /* bytes of a head, and so of a line */
#define HTTP_FIELDS_MAX 64
#define HTTP_TARGET_MAX 512
#define HTTP_HOST_MAX   256 /* a DNS name, and a port */

enum http_status {
	HTTP_MORE = 0, /* no verdict yet */
	HTTP_OK = 200,
	HTTP_BAD_REQUEST = 400,
	HTTP_FORBIDDEN = 403,
	HTTP_NOT_FOUND = 404,
	HTTP_METHOD_NOT_ALLOWED = 405,
	HTTP_REQUEST_TIMEOUT = 408,
	HTTP_CONTENT_TOO_LARGE = 413,
	HTTP_URI_TOO_LONG = 414,
	HTTP_EXPECTATION_FAILED = 417,
	HTTP_FIELDS_TOO_LARGE = 431,
	HTTP_SERVER_ERROR = 500,
	HTTP_UNAVAILABLE = 503,
	HTTP_VERSION_UNSUPPORTED = 505,
};

/* A request while it comes in and when it is whole. */
struct http_request {
	bool is_head;                /* HEAD: as GET, but the answer has no body */
	bool keeps_alive;            /* the client can use the connection again */
	char path[HTTP_TARGET_MAX];  /* as it came: not decoded, no "..", since nothing is looked up
					by it */
	char query[HTTP_TARGET_MAX]; /* behind '?', "" without */
	char host[HTTP_HOST_MAX];    /* "" : none was sent, as HTTP/1.0 may */
	char origin[HTTP_HOST_MAX];  /* "" : none */

	/* Of the parser. */
	bool has_host, has_origin, has_length, is_old; /* HTTP/1.0 */
	unsigned fields;
	size_t head_len;
	size_t line_len;
	char line[HTTP_HEAD_MAX];
};

void http_request_init(struct http_request *request);
/** Take bytes as they came, in any pieces.
 *  @param used  how many belong to this request; what follows is the next one
 *  @return HTTP_MORE: more is needed; HTTP_OK: the head is whole; another status: refused at the
 * byte `used - 1`, answer with it and close */
enum http_status http_request_feed(
	struct http_request *request, const char *bytes, size_t len, size_t *used) MUST_CHECK;
/** "Not Found" */
const char *http_status_text(enum http_status status);

/** Whether a Host may be meant for us: an IP address, localhost or `own_name` (the machine's, ""
 * for none), with or without a port. Any other name may be one that an attacker's DNS server has
 * just pointed at this machine, to read it through an operator's browser (DNS rebinding). */
bool http_host_is_ours(const char *host, const char *own_name) MUST_CHECK;
/** Whether an Origin is the page's own: "http://" and the Host. */
bool http_origin_is_own(const char *origin, const char *host) MUST_CHECK;
/** The value of a number in a query, as in "after=17&event=3".
 *  @return false when it is not there or no number */
bool http_query_number(const char *query, const char *name, unsigned long long *value) MUST_CHECK;
