/* A connection reads a head, then writes its answer and reads nothing meanwhile; so a client that
 * asks and does not listen costs its place and nothing else. */
#include "monitor/web.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/descriptor.h"
#include "common/loop.h"
#include "monitor/history.h"
#include "monitor/http.h"
#include "monitor/waits.h"
#include "monitor/web_routes.h"

#define INPUT_MAX         4096
#define ANSWER_HEAD_MAX   1024
#define REQUESTS_PER_TURN 8 /* so that one client's flood keeps nobody waiting */
#define ACCEPTS_PER_TURN  8
#define LOOK_MS           100

/* What was written once for all who ask within a second. */
struct web_body {
	unsigned users;
	bool is_file; /* part of the program */
	enum http_status status;
	const char *type;
	char *bytes;
	size_t len;
};

enum client_state {
	CLIENT_READING, /* a head; or idle, before the first byte of the next */
	CLIENT_WRITING,
	CLIENT_LINGERING, /* refused: what still comes is thrown away until the client has read why
			   */
};

struct client {
	struct web *web;
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

struct web {
	struct ev_loop *loop;
	const struct board *board;
	void (*look)(void *owner, bool with_states, struct web_readings *readings);
	void *owner;
	int fd; /* -1: none */
	ev_io watcher;
	struct loop_timer looking;
	struct client *clients[WEB_CONNECTIONS_MAX]; /* NULL: free */
	struct history *history;
	struct waits *waits;
	struct web_body *bodies[WEB_ROUTES]; /* of this second, by route; NULL: not asked for yet */
	size_t pending_bytes;                /* of all bodies that are no files */
	char own_name[HTTP_HOST_MAX];
};

/* --- bodies --- */

static void
body_release(struct web *web, struct web_body **body)
{
	struct web_body *gone = *body;

	*body = NULL;
	if (gone == NULL || --gone->users > 0) {
		return;
	}
	if (!gone->is_file) {
		web->pending_bytes -= gone->len;
		free(gone->bytes);
	}
	free(gone);
}

static struct web_body *
body_new(enum http_status status, const char *type)
{
	struct web_body *body = calloc(1, sizeof(*body));

	if (body != NULL) {
		body->users = 1;
		body->status = status;
		body->type = type;
	}
	return body;
}

static void
web_view(const struct web *web, const struct web_route *route, struct web_view *view)
{
	struct web_readings readings;

	web->look(web->owner, route->shows_states, &readings);
	*view = (struct web_view){.board = web->board,
		.now = readings.now,
		.second_ago = readings.second_ago,
		.minute_ago = readings.minute_ago,
		.states = readings.states,
		.states_age_ms = readings.states_age_ms,
		.history = web->history,
		.waits = web->waits};
}

/* @return 0 or negative errno */
static int
body_write(struct web *web, const struct web_route *route, const char *query, struct web_body *body)
{
	struct web_view view;
	FILE *stream = open_memstream(&body->bytes, &body->len);
	int error;

	if (stream == NULL) {
		return -errno;
	}
	web_view(web, route, &view);
	error = route->write(&view, query, &body->status, stream);
	if (fclose(stream) != 0 && error == 0) {
		error = -ENOMEM;
	}
	web->pending_bytes += body->len;
	return error;
}

/* @return a body with one more user, or NULL: not now */
static struct web_body *
body_make(struct web *web, const struct web_route *route, const char *query)
{
	struct web_body *body = body_new(HTTP_OK, route->type);

	if (body == NULL) {
		return NULL;
	}
	if (route->write == NULL) {
		body->is_file = true;
		body->bytes = (char *)route->begin;
		body->len = (size_t)(route->end - route->begin);
	} else if (web->pending_bytes > WEB_PENDING_MAX ||
		   body_write(web, route, query, body) != 0) {
		body_release(web, &body);
	}
	return body;
}

/* With a query everybody asks for something else; who asks whether we are well acts on the answer.
 */
static struct web_body *
body_get(struct web *web, const struct web_route *route, const char *query)
{
	struct web_body **cached = &web->bodies[route - web_routes];

	if (query[0] != '\0' || route->is_of_the_moment) {
		return body_make(web, route, query);
	}
	if (*cached == NULL) {
		*cached = body_make(web, route, query);
	}
	if (*cached != NULL) {
		(*cached)->users++;
	}
	return *cached;
}

static void
web_forget_bodies(struct web *web)
{
	for (size_t i = 0; i < WEB_ROUTES; i++) {
		body_release(web, &web->bodies[i]);
	}
}

/* --- life of a connection --- */

static void
client_close(struct client *client)
{
	struct web *web = client->web;

	ev_io_stop(web->loop, &client->watcher);
	loop_timer_stop(web->loop, &client->patience);
	body_release(web, &client->body);
	close(client->watcher.fd);
	for (size_t i = 0; i < WEB_CONNECTIONS_MAX; i++) {
		if (web->clients[i] == client) {
			web->clients[i] = NULL;
		}
	}
	free(client);
	if (web->fd >= 0) {
		ev_io_start(web->loop, &web->watcher); /* there is room again */
	}
}

static void
client_enter(struct client *client, enum client_state state)
{
	static const int64_t patience_ms[] = {
		[CLIENT_READING] = WEB_HEAD_MS,
		[CLIENT_WRITING] = WEB_ANSWER_MS,
		[CLIENT_LINGERING] = WEB_LINGER_MS,
	};
	struct ev_loop *loop = client->web->loop;

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
client_print_head(struct client *client)
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
client_answer(struct client *client, struct web_body *body)
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
client_say(struct client *client, enum http_status status, const char *sentence)
{
	struct web_body *body = body_new(status, "text/plain; charset=utf-8");

	if (body != NULL && asprintf(&body->bytes, "%d %s: %s\n", status, http_status_text(status),
				    sentence) >= 0) {
		body->len = strlen(body->bytes);
		client->web->pending_bytes += body->len;
	} else if (body != NULL) {
		body->bytes = NULL;
	}
	client_answer(client, body);
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
client_refuse(struct client *client, enum http_status status)
{
	client->is_last = client->is_refusal = true;
	client_say(client, status, reason_of(status));
}

/* The head is whole. */
static void
client_serve(struct client *client)
{
	const struct http_request *request = &client->request;
	const struct web_route *route = web_route_find(request->path);
	struct web_body *body;

	client->is_last = !request->keeps_alive;
	if ((request->has_host && !http_host_is_ours(request->host, client->web->own_name)) ||
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
	body = body_get(client->web, route, request->query);
	if (body == NULL) {
		client_say(client, HTTP_UNAVAILABLE, "no memory for the answer; try again");
		return;
	}
	client_answer(client, body);
}

/* --- reading and writing --- */

/* @return 0 when all is taken, -EAGAIN, or another negative errno */
static int
client_flush(struct client *client)
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
client_parse(struct client *client)
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
client_next(struct client *client)
{
	body_release(client->web, &client->body);
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
client_read(struct client *client)
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
client_work(struct client *client)
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
		ev_feed_event(client->web->loop, &client->watcher, EV_CUSTOM);
	}
	return GO_ON;
}

static void
client_on_event(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct client *client = container_of(watcher, struct client, watcher);
	enum verdict verdict = GO_ON;

	(void)loop;
	if ((events & EV_READ) != 0) {
		verdict = client_read(client);
	}
	if (verdict == GO_ON) {
		verdict = client_work(client);
	}
	if (verdict == DONE) {
		client_close(client);
	}
}

/* An idle connection goes in silence; half a request is told why. */
static void
client_on_impatience(struct ev_loop *loop, struct loop_timer *timer)
{
	struct client *client = container_of(timer, struct client, patience);

	(void)loop;
	if (client->state == CLIENT_READING && client->request.head_len > 0) {
		client_refuse(client, HTTP_REQUEST_TIMEOUT);
		if (client_work(client) == GO_ON) {
			return;
		}
	}
	client_close(client);
}

/* --- birth --- */

/* The place of whoever has kept us waiting for longest, for the end of a head or to take something.
 * @return -1: nobody has for long */
static int
web_find_evictable(const struct web *web)
{
	int64_t since_ms = clock_monotonic_ms() - WEB_EVICTABLE_MS;
	int found = -1;

	for (int i = 0; i < WEB_CONNECTIONS_MAX; i++) {
		if (web->clients[i]->since_ms <= since_ms) {
			found = i;
			since_ms = web->clients[i]->since_ms;
		}
	}
	return found;
}

/* @return a free place, or -1 */
static int
web_find_place(struct web *web)
{
	int found;

	for (int i = 0; i < WEB_CONNECTIONS_MAX; i++) {
		if (web->clients[i] == NULL) {
			return i;
		}
	}
	found = web_find_evictable(web);
	if (found >= 0) {
		client_close(web->clients[found]);
	}
	return found;
}

static void
web_open_client(struct web *web, int place, int fd)
{
	struct client *client = calloc(1, sizeof(*client));

	if (client == NULL) {
		close(fd);
		return;
	}
	client->web = web;
	web->clients[place] = client;
	http_request_init(&client->request);
	loop_timer_init(&client->patience, client_on_impatience);
	ev_io_init(&client->watcher, client_on_event, fd, EV_READ);
	client_enter(client, CLIENT_READING);
}

/* Who finds no room waits in the accept queue: until a connection ends, or the next second. */
static void
web_on_client(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct web *web = container_of(watcher, struct web, watcher);

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int place = web_find_place(web);
		int fd =
			place < 0 ? -1 : accept4(web->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (place < 0 ||
				(errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)) {
				ev_io_stop(loop, watcher);
			}
			return;
		}
		web_open_client(web, place, fd);
	}
}

static void
web_on_looking(struct ev_loop *loop, struct loop_timer *timer)
{
	(void)loop;
	history_look(container_of(timer, struct web, looking)->history);
}

/* --- all --- */

struct web *
web_new(struct ev_loop *loop, const struct board *board,
	void (*look)(void *owner, bool with_states, struct web_readings *readings), void *owner)
{
	struct web *web = calloc(1, sizeof(*web));

	if (web == NULL) {
		return NULL;
	}
	web->loop = loop;
	web->board = board;
	web->look = look;
	web->owner = owner;
	web->fd = -1;
	web->history = history_new(board);
	web->waits = waits_new(board);
	if (gethostname(web->own_name, sizeof(web->own_name) - 1) != 0) {
		web->own_name[0] = '\0';
	}
	loop_timer_init(&web->looking, web_on_looking);
	ev_io_init(&web->watcher, web_on_client, -1, EV_READ);
	if (web->history == NULL || web->waits == NULL) {
		web_free(&web);
	}
	return web;
}

void
web_free(struct web **web)
{
	struct web *gone = *web;

	if (gone == NULL) {
		return;
	}
	web_listen(gone, -1);
	for (size_t i = 0; i < WEB_CONNECTIONS_MAX; i++) {
		if (gone->clients[i] != NULL) {
			client_close(gone->clients[i]);
		}
	}
	web_forget_bodies(gone);
	history_free(&gone->history);
	waits_free(&gone->waits);
	free(gone);
	*web = NULL;
}

void
web_listen(struct web *web, int fd)
{
	ev_io_stop(web->loop, &web->watcher);
	loop_timer_stop(web->loop, &web->looking);
	descriptor_close(&web->fd);
	web->fd = fd;
	if (fd >= 0) {
		ev_io_set(&web->watcher, fd, EV_READ);
		ev_io_start(web->loop, &web->watcher);
		loop_timer_repeat(web->loop, &web->looking, LOOK_MS);
	}
}

void
web_tick(struct web *web)
{
	struct web_readings readings;

	web_forget_bodies(web);
	if (web->fd < 0) {
		return;
	}
	ev_io_start(web->loop, &web->watcher);
	web->look(web->owner, false, &readings);
	history_add(web->history, readings.second_ago, readings.now);
	waits_tend(web->waits, readings.now);
}
