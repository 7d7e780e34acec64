/* A session serves one request at a time and reads on only when its answer is taken, so a client
 * that asks and does not listen costs one answer and nobody else's time. */
#include "monitor/admin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "common/log.h"
#include "common/loop.h"
#include "monitor/admin_commands.h"
#include "monitor/monitor.h"

/* In one turn of the loop, so that a flood of requests of one client does not keep others waiting.
 */
#define REQUESTS_PER_TURN 16
#define HEAD_MAX          64

struct session {
	struct admin *admin;
	struct session *next, **link;
	ev_io watcher;
	struct loop_timer idle;
	struct ucred peer;

	char input[ADMIN_LINE_MAX + 1]; /* a line and its end */
	size_t input_len;
	char line[ADMIN_LINE_MAX + 1]; /* the request that is served, for the call's words */
	struct admin_call call;
	bool is_serving; /* `call` is under way */

	char head[HEAD_MAX]; /* of the answer */
	size_t head_len, body_len, sent;
	char *body;
	bool is_last; /* nothing is read any more: goes when the answer is taken */
};

struct admin {
	struct monitor *monitor;
	int fd; /* -1: none */
	ev_io watcher;
	struct session *sessions;
	size_t count;
};

static const char *const code_names[] = {
	[ADMIN_OK] = "ok",
	[ADMIN_USAGE] = "usage",
	[ADMIN_REFUSED] = "refused",
	[ADMIN_FAILED] = "failed",
	[ADMIN_BUSY] = "busy",
};

static void session_serve(struct session *session);

/* --- end --- */

static void
session_close(struct session *session)
{
	struct admin *admin = session->admin;
	struct ev_loop *loop = admin->monitor->loop;

	ev_io_stop(loop, &session->watcher);
	loop_timer_stop(loop, &session->idle);
	if (session->is_serving) {
		link_forget(admin->monitor, &session->call.request);
		admin_commands_clean(&session->call);
		if (session->call.out != NULL) {
			(void)fclose(session->call.out);
		}
	}
	free(session->body);
	close(session->watcher.fd);
	*session->link = session->next;
	if (session->next != NULL) {
		session->next->link = session->link;
	}
	admin->count--;
	free(session);
	monitor_look_for_end(admin->monitor);
}

static void
session_on_idle(struct ev_loop *loop, struct loop_timer *timer)
{
	(void)loop;
	session_close(container_of(timer, struct session, idle));
}

/* --- answers --- */

static bool
session_owes(const struct session *session)
{
	return session->sent < session->head_len + session->body_len;
}

static void
session_watch(struct session *session)
{
	struct ev_loop *loop = session->admin->monitor->loop;
	int wanted = session_owes(session)                     ? EV_WRITE
		     : session->is_serving || session->is_last ? 0
							       : EV_READ;

	if ((session->watcher.events & (EV_READ | EV_WRITE)) != wanted ||
		!ev_is_active(&session->watcher)) {
		ev_io_stop(loop, &session->watcher);
		ev_io_modify(&session->watcher, wanted);
		if (wanted != 0) {
			ev_io_start(loop, &session->watcher);
		}
	}
}

static void
session_wait(struct session *session)
{
	loop_timer_start(session->admin->monitor->loop, &session->idle, ADMIN_IDLE_MS);
}

static ssize_t
session_send(const struct session *session)
{
	struct iovec parts[2] = {
		{(char *)session->head, session->head_len}, {session->body, session->body_len}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	if (session->sent < session->head_len) {
		parts[0].iov_base = (char *)session->head + session->sent;
		parts[0].iov_len -= session->sent;
	} else {
		parts[0].iov_len = 0;
		parts[1].iov_base = session->body + (session->sent - session->head_len);
		parts[1].iov_len -= session->sent - session->head_len;
	}
	return sendmsg(session->watcher.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* @return 0 all was taken; -EAGAIN not yet; or another negative errno */
static int
session_flush(struct session *session)
{
	while (session_owes(session)) {
		ssize_t taken = session_send(session);

		if (taken < 0 && errno == EINTR) {
			continue;
		}
		if (taken < 0) {
			return -errno;
		}
		session->sent += (size_t)taken;
		session_wait(session);
	}
	free(session->body);
	session->body = NULL;
	session->head_len = session->body_len = session->sent = 0;
	return 0;
}

/* The call is over: its stream becomes the body. */
static void
session_take_answer(struct session *session)
{
	struct admin_call *call = &session->call;

	(void)fclose(call->out);
	call->out = NULL;
	admin_commands_clean(call);
	session->is_serving = false;
	session->sent = 0;
	if (session->body == NULL) {
		call->code = ADMIN_FAILED; /* no memory for it */
		session->body_len = 0;
	}
	if (call->code == ADMIN_OK) {
		session->head_len = (size_t)snprintf(
			session->head, HEAD_MAX, "OK %zu %d\n", session->body_len, call->status);
	} else {
		session->head_len = (size_t)snprintf(session->head, HEAD_MAX, "ERROR %s %zu\n",
			code_names[call->code], session->body_len);
	}
	session_wait(session);
}

/* Sentences quote what was asked, and end on a terminal. */
static void
print_harmless(FILE *stream, const char *sentence)
{
	for (; *sentence != '\0'; sentence++) {
		if ((*sentence >= ' ' && *sentence <= '~') || *sentence == '\n') {
			(void)fputc(*sentence, stream);
		} else {
			(void)fprintf(stream, "\\x%02x", (unsigned char)*sentence);
		}
	}
}

void
admin_refuse(struct admin_call *call, enum admin_code code, const char *format, ...)
{
	char *sentence;
	va_list args;

	call->code = code;
	(void)fflush(call->out);
	(void)fseeko(call->out, 0, SEEK_SET); /* what was written so far is no answer */
	va_start(args, format);
	if (vasprintf(&sentence, format, args) < 0) {
		sentence = NULL;
	}
	va_end(args);
	print_harmless(call->out, sentence != NULL ? sentence : "out of memory");
	free(sentence);
	(void)fputc('\n', call->out);
}

void
admin_finish(struct admin_call *call)
{
	struct session *session = container_of(call, struct session, call);

	call->is_later = false;
	session_take_answer(session);
	session_serve(session);
}

/* --- requests --- */

static void
session_begin(struct session *session)
{
	struct admin_call *call = &session->call;

	memset(call, 0, sizeof(*call));
	call->monitor = session->admin->monitor;
	call->peer = session->peer;
	call->out = open_memstream(&session->body, &session->body_len);
	session->is_serving = call->out != NULL;
}

static void
session_refuse(struct session *session, enum admin_code code, const char *sentence)
{
	session->is_last = true;
	session_begin(session);
	if (session->is_serving) {
		admin_refuse(&session->call, code, "%s", sentence);
		session_take_answer(session);
	}
}

/* @return whether there was a line; it is in `line` then */
static bool
session_next_line(struct session *session)
{
	char *end = memchr(session->input, '\n', session->input_len);
	size_t len;

	if (end == NULL) {
		return false;
	}
	len = (size_t)(end - session->input);
	memcpy(session->line, session->input, len);
	session->line[len] = '\0';
	session->input_len -= len + 1;
	memmove(session->input, end + 1, session->input_len);
	if (len > 0 && session->line[len - 1] == '\r') {
		session->line[--len] = '\0';
	}
	if (memchr(session->line, '\0', len) != NULL) {
		(void)strcpy(session->line, "\x01"); /* no word begins so: refused as one */
	}
	return true;
}

/* One request. @return false when there is none, or none can be served now */
static bool
session_step(struct session *session)
{
	if (session->is_serving || session->is_last || session_owes(session)) {
		return false;
	}
	if (!session_next_line(session)) {
		if (session->input_len > ADMIN_LINE_MAX) {
			session_refuse(session, ADMIN_USAGE, "the line is longer than 4096 bytes");
		}
		return false;
	}
	session_begin(session);
	if (!session->is_serving) {
		session->is_last = true;
		return false;
	}
	loop_timer_stop(session->admin->monitor->loop, &session->idle);
	admin_commands_run(&session->call, session->line);
	if (!session->call.is_later) {
		session_take_answer(session);
	}
	return true;
}

/* Serve what can be served, send what can be sent; the session may be gone afterwards. */
static void
session_serve(struct session *session)
{
	int served = 0;
	int error;

	do {
		error = session_flush(session);
	} while (error == 0 && served++ < REQUESTS_PER_TURN && session_step(session));
	if (error == 0) {
		error = session_flush(session); /* a refusal, after the last step */
	}
	if ((error != 0 && error != -EAGAIN) ||
		(session->is_last && !session_owes(session) && !session->is_serving)) {
		session_close(session);
		return;
	}
	session_watch(session);
	if (served > REQUESTS_PER_TURN && !session_owes(session)) {
		ev_feed_event(session->admin->monitor->loop, &session->watcher, EV_CUSTOM);
	}
}

/* @return false when the client is gone */
static bool
session_read(struct session *session)
{
	size_t room = sizeof(session->input) - session->input_len;
	ssize_t len = room == 0 ? 0
				: recv(session->watcher.fd, session->input + session->input_len,
					  room, MSG_DONTWAIT);

	if (len < 0) {
		return errno == EAGAIN || errno == EINTR;
	}
	session->input_len += (size_t)len;
	if (len == 0 && room > 0) {
		session->is_last = session->input_len == 0 ||
				   memchr(session->input, '\n', session->input_len) == NULL;
		return !session->is_last;
	}
	return true;
}

static void
session_on_event(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct session *session = container_of(watcher, struct session, watcher);

	(void)loop;
	if ((events & EV_READ) != 0 && !session_read(session)) {
		session_close(session);
		return;
	}
	session_serve(session);
}

/* --- birth --- */

static bool
admin_has_room(const struct admin *admin, const struct ucred *peer)
{
	size_t most = ADMIN_SESSIONS_MAX - (peer->uid == 0 ? 0 : ADMIN_FOR_ROOT);

	return admin->count < most && !admin->monitor->is_ending;
}

static void
admin_turn_away(int fd)
{
	static const char sentence[] = "all sessions of the admin socket are taken; try again\n";
	char answer[HEAD_MAX + sizeof(sentence)];
	int len = snprintf(
		answer, sizeof(answer), "ERROR busy %zu\n%s", sizeof(sentence) - 1, sentence);

	(void)!send(fd, answer, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void
admin_open_session(struct admin *admin, int fd)
{
	struct session *session;
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		close(fd);
		return;
	}
	session = admin_has_room(admin, &peer) ? calloc(1, sizeof(*session)) : NULL;
	if (session == NULL) {
		admin_turn_away(fd);
		return;
	}
	session->admin = admin;
	session->peer = peer;
	session->next = admin->sessions;
	session->link = &admin->sessions;
	if (session->next != NULL) {
		session->next->link = &session->next;
	}
	admin->sessions = session;
	admin->count++;
	loop_timer_init(&session->idle, session_on_idle);
	ev_io_init(&session->watcher, session_on_event, fd, EV_READ);
	session_wait(session);
	session_watch(session);
}

static void
admin_on_client(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct admin *admin = container_of(watcher, struct admin, watcher);
	int fd = accept4(admin->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd >= 0) {
		admin_open_session(admin, fd);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		ev_io_stop(loop, watcher); /* admin_tend tries again */
	}
}

/* --- all --- */

struct admin *
admin_new(struct monitor *monitor)
{
	struct admin *admin = calloc(1, sizeof(*admin));

	if (admin != NULL) {
		admin->monitor = monitor;
		admin->fd = -1;
	}
	return admin;
}

void
admin_listen(struct admin *admin, int fd)
{
	struct ev_loop *loop = admin->monitor->loop;

	ev_io_stop(loop, &admin->watcher);
	descriptor_close(&admin->fd);
	admin->fd = fd;
	if (fd >= 0) {
		ev_io_init(&admin->watcher, admin_on_client, fd, EV_READ);
		ev_io_start(loop, &admin->watcher);
	}
}

void
admin_tend(struct admin *admin)
{
	if (admin->fd >= 0 && !ev_is_active(&admin->watcher)) {
		ev_io_start(admin->monitor->loop, &admin->watcher);
	}
}

void
admin_end(struct admin *admin)
{
	struct session *session, *next;

	for (session = admin->sessions; session != NULL; session = next) {
		next = session->next;
		session->is_last = true;
		if (session->is_serving) {
			admin_refuse(&session->call, ADMIN_FAILED,
				"the server has ended before it answered");
			link_forget(admin->monitor, &session->call.request);
			admin_finish(&session->call);
		} else {
			session_serve(session);
		}
	}
}

bool
admin_is_idle(const struct admin *admin)
{
	return admin->sessions == NULL;
}

size_t
admin_pending_bytes(const struct monitor *monitor)
{
	size_t bytes = 0;

	for (const struct session *session = monitor->admin->sessions; session != NULL;
		session = session->next) {
		bytes += session->head_len + session->body_len - session->sent;
	}
	return bytes;
}

void
admin_free(struct admin **admin)
{
	struct admin *gone = *admin;

	if (gone == NULL) {
		return;
	}
	gone->monitor->is_ending = false; /* the loop has ended already */
	admin_listen(gone, -1);
	while (gone->sessions != NULL) {
		session_close(gone->sessions);
	}
	free(gone);
	*admin = NULL;
}
