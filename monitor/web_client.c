/* It reads a head, then writes its answer and reads nothing meanwhile; so a client that asks and
 * does not listen costs its place and nothing else. */
#include "monitor/web_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/loop.h"
#include "monitor/http.h"
#include "monitor/web.h"
#include "monitor/web_body.h"
#include "monitor/web_routes.h"

#define INPUT_MAX         4096
#define ANSWER_HEAD_MAX   1024
#define REQUESTS_PER_TURN 8 /* so that one client's flood keeps nobody waiting */

enum client_state {
	CLIENT_READING, /* a head; or idle, before the first byte of the next */
	CLIENT_WRITING,
	CLIENT_LINGERING, /* refused: what still comes is thrown away until the client has read why
			   */
};

struct web_client {
	struct web_room *room;
	ev_io watcher;
	struct loop_timer patience;
	enum client_state state;
	int64_t since_ms; /* in this state; while writing, since it took something */

	struct http_request request;
	char input[INPUT_MAX];
	size_t input_len;

	char head[ANSWER_HEAD_MAX]; /* of the answer */
	size_t head_len, body_len, sent;
	struct web_body *body;
	bool is_last, is_refusal;
};

static void
client_enter(struct web_client *client, enum client_state state)
{
	static const int64_t patience_ms[] = {
		[CLIENT_READING] = WEB_HEAD_MS,
		[CLIENT_WRITING] = WEB_ANSWER_MS,
		[CLIENT_LINGERING] = WEB_LINGER_MS,
	};
	struct ev_loop *loop = client->room->loop;

	client->state = state;
	client->since_ms = clock_monotonic_ms();
	loop_timer_start(loop, &client->patience, patience_ms[state]);
	ev_io_stop(loop, &client->watcher);
	ev_io_modify(&client->watcher, state == CLIENT_WRITING ? EV_WRITE : EV_READ);
	ev_io_start(loop, &client->watcher);
}

/* --- answers --- */

/* The page may load its own script and style and ask its own address; nothing else, from nowhere.
 */
static const char safety[] =
	"Cache-Control: no-store\r\n"
	"Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
	"img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
	"frame-ancestors 'none'\r\n"
	"Cross-Origin-Resource-Policy: same-origin\r\n"
	"Referrer-Policy: no-referrer\r\n"
	"X-Content-Type-Options: nosniff\r\n"
	"X-Frame-Options: DENY\r\n";

static void
client_print_head(struct web_client *client)
{
	const struct web_body *body = client->body;
	struct timespec now = clock_wall();
	struct tm utc;
	char date[64];
	int len;

	(void)gmtime_r(&now.tv_sec, &utc);
	(void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &utc);
	len = snprintf(client->head, sizeof(client->head),
		"HTTP/1.1 %d %s\r\nDate: %s\r\n%sContent-Type: %s\r\nContent-Length: %zu\r\n"
		"%s%sConnection: %s\r\n\r\n",
		body->status, http_status_text(body->status), date,
		body->status == HTTP_METHOD_NOT_ALLOWED ? "Allow: GET, HEAD\r\n" : "", body->type,
		body->len, safety, body->status == HTTP_UNAVAILABLE ? "Retry-After: 1\r\n" : "",
		client->is_last ? "close" : "keep-alive");
	client->head_len = (size_t)len < sizeof(client->head) ? (size_t)len : 0;
}

/* @param body  taken over; NULL: no memory even to say so */
static void
client_answer(struct web_client *client, struct web_body *body)
{
	client->body = body;
	client->sent = 0;
	client->head_len = client->body_len = 0;
	if (body == NULL) {
		client->is_last = true;
	} else {
		client_print_head(client);
		client->body_len = client->request.is_head ? 0 : body->len;
	}
	client_enter(client, CLIENT_WRITING);
}

/* A sentence instead of what was asked for. */
static void
client_say(struct web_client *client, enum http_status status, const char *sentence)
{
	client_answer(client, web_bodies_say(client->room->bodies, status, sentence));
}

static const char *
reason_of(enum http_status status)
{
	static const struct {
		enum http_status status;
		const char *reason;
	} reasons[] = {
		{HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD; nothing can be changed here"},
		{HTTP_REQUEST_TIMEOUT, "the request was not complete within 10 seconds"},
		{HTTP_CONTENT_TOO_LARGE, "a request has no body here"},
		{HTTP_URI_TOO_LONG, "the path is longer than 511 bytes"},
		{HTTP_EXPECTATION_FAILED, "nothing can be expected here"},
		{HTTP_FIELDS_TOO_LARGE, "more than 8192 bytes or 64 fields before the empty line"},
		{HTTP_VERSION_UNSUPPORTED, "HTTP/1.1 or HTTP/1.0"},
	};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (reasons[i].status == status) {
			return reasons[i].reason;
		}
	}
	return "this is not a request as RFC 9112 has it";
}

/* After this what else comes has no meaning. */
static void
client_refuse(struct web_client *client, enum http_status status)
{
	client->is_last = client->is_refusal = true;
	client_say(client, status, reason_of(status));
}

/* The head is whole. */
static void
client_serve(struct web_client *client)
{
	const struct http_request *request = &client->request;
	const struct web_route *route = web_route_find(request->path);
	struct web_body *body;

	client->is_last = !request->keeps_alive;
	if ((request->has_host && !http_host_is_ours(request->host, client->room->own_name)) ||
		(request->has_origin && !http_origin_is_own(request->origin, request->host))) {
		client_say(client, HTTP_FORBIDDEN,
			"ask by an IP address, localhost or this machine's host name, and from "
			"no other site: any other name may be a trick on your browser");
		return;
	}
	if (route == NULL) {
		client_say(client, HTTP_NOT_FOUND,
			"there are / /metrics /healthz /readyz and /api/ status, listeners, "
			"upstreams, workers, waits, states, kernel, events, history, page");
		return;
	}
	body = web_bodies_get(client->room->bodies, route, request->query);
	if (body == NULL) {
		client_say(client, HTTP_UNAVAILABLE, "no memory for the answer; try again");
		return;
	}
	client_answer(client, body);
}

/* --- reading and writing --- */

/* @return 0 when all is taken, -EAGAIN, or another negative errno */
static int
client_flush(struct web_client *client)
{
	size_t total = client->head_len + client->body_len;

	while (client->sent < total) {
		size_t of_head = client->sent < client->head_len ? client->sent : client->head_len;
		size_t of_body = client->sent - of_head;
		struct iovec parts[2] = {{client->head + of_head, client->head_len - of_head},
			{client->body->bytes + of_body, client->body_len - of_body}};
		struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
		ssize_t taken = sendmsg(client->watcher.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (taken < 0 && errno == EINTR) {
			continue;
		}
		if (taken < 0) {
			return -errno;
		}
		client->sent += (size_t)taken;
		client->since_ms = clock_monotonic_ms();
	}
	return 0;
}

/* Feed what has come to the parser. @return whether an answer was begun */
static bool
client_parse(struct web_client *client)
{
	size_t used;
	enum http_status status =
		http_request_feed(&client->request, client->input, client->input_len, &used);

	client->input_len -= used;
	memmove(client->input, client->input + used, client->input_len);
	if (status == HTTP_OK) {
		client_serve(client);
	} else if (status != HTTP_MORE) {
		client_refuse(client, status);
	}
	return status != HTTP_MORE;
}

enum verdict { GO_ON, DONE };

/* The answer is taken: what comes next? */
static enum verdict
client_next(struct web_client *client)
{
	web_body_release(&client->body);
	if (client->is_refusal) {
		/* Closing with unread bytes would be a reset, which takes the answer away. */
		(void)shutdown(client->watcher.fd, SHUT_WR);
		client_enter(client, CLIENT_LINGERING);
		return GO_ON;
	}
	if (client->is_last) {
		return DONE;
	}
	http_request_init(&client->request);
	client_enter(client, CLIENT_READING);
	return GO_ON;
}

static enum verdict
client_read(struct web_client *client)
{
	size_t room = sizeof(client->input) - client->input_len;
	ssize_t len;

	if (room == 0) {
		return GO_ON; /* requests that wait for their turn */
	}
	len = recv(client->watcher.fd, client->input + client->input_len, room, MSG_DONTWAIT);
	if (len > 0) {
		client->input_len += (size_t)len;
		return GO_ON;
	}
	return len < 0 && (errno == EAGAIN || errno == EINTR) ? GO_ON : DONE;
}

/* Serve what has come and send what can be sent. */
static enum verdict
client_work(struct web_client *client)
{
	for (int served = 0; served < REQUESTS_PER_TURN; served++) {
		if (client->state == CLIENT_READING && !client_parse(client)) {
			return GO_ON;
		}
		if (client->state == CLIENT_WRITING) {
			int error = client_flush(client);

			if (error != 0) {
				return error == -EAGAIN ? GO_ON : DONE;
			}
			if (client_next(client) == DONE) {
				return DONE;
			}
		}
		if (client->state == CLIENT_LINGERING) {
			client->input_len = 0;
			return GO_ON;
		}
	}
	if (client->input_len > 0) {
		ev_feed_event(client->room->loop, &client->watcher, EV_CUSTOM);
	}
	return GO_ON;
}

static void
client_on_event(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct web_client *client = container_of(watcher, struct web_client, watcher);
	enum verdict verdict = GO_ON;

	(void)loop;
	if ((events & EV_READ) != 0) {
		verdict = client_read(client);
	}
	if (verdict == GO_ON) {
		verdict = client_work(client);
	}
	if (verdict == DONE) {
		web_client_close(client);
	}
}

/* An idle connection goes in silence; half a request is told why. */
static void
client_on_impatience(struct ev_loop *loop, struct loop_timer *timer)
{
	struct web_client *client = container_of(timer, struct web_client, patience);

	(void)loop;
	if (client->state == CLIENT_READING && client->request.head_len > 0) {
		client_refuse(client, HTTP_REQUEST_TIMEOUT);
		if (client_work(client) == GO_ON) {
			return;
		}
	}
	web_client_close(client);
}

/* --- birth and death --- */

struct web_client *
web_client_open(struct web_room *room, int fd)
{
	struct web_client *client = calloc(1, sizeof(*client));

	if (client == NULL) {
		close(fd);
		return NULL;
	}
	client->room = room;
	http_request_init(&client->request);
	loop_timer_init(&client->patience, client_on_impatience);
	ev_io_init(&client->watcher, client_on_event, fd, EV_READ);
	client_enter(client, CLIENT_READING);
	return client;
}

void
web_client_close(struct web_client *client)
{
	struct web_room *room = client->room;

	ev_io_stop(room->loop, &client->watcher);
	loop_timer_stop(room->loop, &client->patience);
	web_body_release(&client->body);
	close(client->watcher.fd);
	room->on_close(room, client);
	free(client);
}

int64_t
web_client_since_ms(const struct web_client *client)
{
	return client->since_ms;
}
