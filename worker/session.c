/* Steps end in session_settle, which passes ends on, decides what to wait for and says whether it
 * is over. */
#include "worker/session.h"

#include <errno.h>
#include <sys/socket.h>

#include "common/net.h"
#include "worker/account.h"
#include "worker/crash.h"
#include "worker/output.h"
#include "worker/service.h"
#include "worker/session_private.h"
#include "worker/settings.h"
#include "worker/timeouts.h"

/* --- what to wait for --- */

int
session_wants_of_client(const struct conn *conn)
{
	const struct session *session = session_of(conn);
	bool is_reading = (conn->watcher.events & EV_READ) != 0;
	bool wants_more =
		!session->up.has_ended &&
		!stream_is_full(&session->up, conn->settings->max_pending_bytes, is_reading);

	return (wants_more ? EV_READ : 0) | (session->down.in_pipe > 0 ? EV_WRITE : 0);
}

static int
wants_of_back(const struct conn *conn, const struct session *session)
{
	bool is_reading = (session->back.events & EV_READ) != 0;
	bool wants_more;

	if (session->state == SESSION_CONNECTING) {
		return EV_WRITE;
	}
	wants_more = !session->down.has_ended &&
		     !stream_is_full(&session->down, conn->settings->max_pending_bytes, is_reading);
	return (wants_more ? EV_READ : 0) | (stream_kept(&session->up) > 0 ? EV_WRITE : 0);
}

static void
watch_back(const struct conn *conn, struct session *session)
{
	struct ev_loop *loop = session_service(conn)->loop;
	int wanted = session->back.fd < 0 ? 0 : wants_of_back(conn, session);

	if ((session->back.events & (EV_READ | EV_WRITE)) == wanted) {
		return;
	}
	ev_io_stop(loop, &session->back);
	ev_io_modify(&session->back, wanted);
	if (wanted != 0) {
		ev_io_start(loop, &session->back);
	}
}

/* --- ends --- */

static bool
is_passed_on(const struct stream *stream)
{
	return stream->has_ended && stream_kept(stream) == 0;
}

static void
note_end(struct session *session, enum close_reason reason)
{
	if (!session->up.has_ended || !session->down.has_ended) {
		session->first_end = (uint8_t)reason;
	}
}

/* Both sides ended. A client that a finished back end turned away in the middle may have more on
 * its way to us, on which closing now would be a reset that destroys the answer. */
static struct verdict
session_is_over(struct session *session, struct service *service)
{
	enum close_reason reason = (enum close_reason)session->first_end;

	session_patience_end(session, service);
	return session->is_cut ? verdict_done(reason) : verdict_failed(reason);
}

struct verdict
session_settle(struct conn *conn, struct session *session, bool was_taken)
{
	bool up_is_over = session->state == SESSION_OPEN && is_passed_on(&session->up);
	bool down_is_over = is_passed_on(&session->down);

	if (up_is_over && down_is_over) {
		watch_back(conn, session);
		return session_is_over(session, session_service(conn));
	}
	if (up_is_over && !session->back_is_shut) {
		session->back_is_shut = true;
		(void)shutdown(session->back.fd, SHUT_WR);
	}
	if (down_is_over && !session->client_is_shut) {
		session->client_is_shut = true;
		(void)shutdown(conn_fd(conn), SHUT_WR);
	}
	session_patience_follow(conn, session, was_taken);
	watch_back(conn, session);
	return verdict_go_on();
}

struct verdict
session_judge_back(int error)
{
	switch (error) {
	case ECONNRESET:
	case EPIPE:
		return verdict_failed(CLOSE_backend_reset);
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return verdict_failed(CLOSE_backend_unreachable);
	case ENOMEM:
	case ENOBUFS:
		return verdict_failed(CLOSE_no_memory);
	default:
		return verdict_failed(CLOSE_error);
	}
}

/* The back end does not take what the client sends. EPIPE says that its end of file came before its
 * reset: its answer is whole, and has to reach the client even so. */
struct verdict
session_back_takes_no_more(struct conn *conn, struct session *session, int error)
{
	if (error != EPIPE) {
		return session_judge_back(error);
	}
	note_end(session, CLOSE_backend);
	session->is_cut = session->back_is_shut = session->up.has_ended = true;
	stream_close(&session->up, session_service(conn));
	output_free(&session->unsent_up);
	return session_settle(conn, session, false);
}

/* --- moving bytes --- */

/* Something moved in either direction: the session is not idle. */
static void
session_is_active(struct conn *conn, bool had_pending)
{
	if (conn->pending == NULL) {
		timeouts_on_activity(conn);
	} else if (!had_pending) {
		timeouts_on_writing(conn);
	}
}

/* There is no server to count for while the session waits for one. */
static void
count_up(struct session *session, size_t sent_bytes)
{
	if (sent_bytes > 0) {
		upstream_count(&session->request, sent_bytes, 0);
		account_back(session_conn(session), sent_bytes, 0);
	}
}

static bool
is_reading_only(const ev_io *watcher)
{
	return (watcher->events & (EV_READ | EV_WRITE)) == EV_READ;
}

/* As with most messages: all that was read went out, and before it nothing was kept and nobody had
 * ended, so there is nothing to settle. */
static bool
is_passed_calmly(
	const struct conn *conn, const struct session *session, const struct stream_step *step)
{
	return step->progress == STREAM_MOVED && step->sent_bytes == step->read_bytes &&
	       session->state == SESSION_OPEN && session->waits_for == WAIT_NOTHING &&
	       conn->pending == NULL && is_reading_only(&conn->watcher) &&
	       is_reading_only(&session->back);
}

static struct verdict
move_up(struct conn *conn, struct session *session)
{
	struct stream_step step = stream_move(&session->up, session_service(conn), conn_fd(conn),
		session->state == SESSION_OPEN ? session->back.fd : -1,
		conn->settings->max_pending_bytes);

	account_received(conn, step.read_bytes);
	count_up(session, step.sent_bytes);
	if (is_passed_calmly(conn, session, &step)) {
		conn->phase = CONN_OPEN;
		timeouts_on_activity(conn);
		return verdict_same();
	}
	switch (step.progress) {
	case STREAM_MOVED:
		conn->phase = CONN_OPEN;
		session_is_active(conn, conn->pending != NULL);
		break;
	case STREAM_DRY:
		break;
	case STREAM_ENDED:
		note_end(session, CLOSE_client);
		if (session->state != SESSION_OPEN && stream_kept(&session->up) == 0) {
			/* It said nothing and left before it got a server. */
			return verdict_failed(CLOSE_client);
		}
		break;
	case STREAM_SOURCE_FAILED:
		return conn_judge(conn, step.error);
	case STREAM_TARGET_FAILED:
		return session_back_takes_no_more(conn, session, step.error);
	case STREAM_NO_MEMORY:
		return verdict_failed(CLOSE_no_memory);
	}
	return session_settle(conn, session, false);
}

static struct verdict
move_down(struct conn *conn, struct session *session)
{
	bool had_pending = conn->pending != NULL;
	struct stream_step step = stream_move(&session->down, session_service(conn),
		session->back.fd, conn_fd(conn), conn->settings->max_pending_bytes);

	account_sent(conn, step.sent_bytes);
	account_back(conn, 0, step.read_bytes);
	upstream_count(&session->request, 0, step.read_bytes);
	if (step.read_bytes > 0) {
		upstream_proven(&session->request);
	}
	if (is_passed_calmly(conn, session, &step)) {
		timeouts_on_activity(conn);
		return verdict_same();
	}
	switch (step.progress) {
	case STREAM_MOVED:
		session_is_active(conn, had_pending);
		break;
	case STREAM_DRY:
		break;
	case STREAM_ENDED:
		note_end(session, CLOSE_backend);
		break;
	case STREAM_SOURCE_FAILED:
		return session_judge_back(step.error);
	case STREAM_TARGET_FAILED:
		return conn_judge(conn, step.error);
	case STREAM_NO_MEMORY:
		return verdict_failed(CLOSE_no_memory);
	}
	return session_settle(conn, session, false);
}

struct verdict
session_flush_up(struct conn *conn, struct session *session)
{
	struct stream_step step =
		stream_flush(&session->up, session_service(conn), session->back.fd);

	count_up(session, step.sent_bytes);
	return step.progress == STREAM_TARGET_FAILED
		       ? session_back_takes_no_more(conn, session, step.error)
		       : session_settle(conn, session, step.sent_bytes > 0);
}

struct verdict
session_on_client_readable(struct conn *conn)
{
	return move_up(conn, session_of(conn));
}

struct verdict
session_on_client_writable(struct conn *conn)
{
	struct session *session = session_of(conn);
	struct stream_step step = {.progress = STREAM_MOVED};

	if (session->down.in_pipe > 0) {
		step = stream_flush(&session->down, session_service(conn), conn_fd(conn));
		account_sent(conn, step.sent_bytes);
	}
	return step.progress == STREAM_TARGET_FAILED
		       ? conn_judge(conn, step.error)
		       : session_settle(conn, session, step.sent_bytes > 0);
}

static struct verdict
step_back(struct conn *conn, struct session *session, int events)
{
	struct verdict verdict = verdict_go_on();

	if ((events & EV_ERROR) != 0) {
		return verdict_failed(CLOSE_no_memory);
	}
	if (session->state == SESSION_CONNECTING) {
		return session_on_answer(conn, session);
	}
	if ((events & EV_WRITE) != 0 && stream_kept(&session->up) > 0) {
		verdict = session_flush_up(conn, session);
	}
	if ((events & EV_READ) != 0 && verdict.kind == VERDICT_GO_ON) {
		verdict = move_down(conn, session);
	}
	return verdict;
}

static void
session_on_back_event(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct session *session = container_of(watcher, struct session, back);
	struct conn *conn = crash_hold(session_conn(session));

	(void)loop;
	conn_apply(conn, step_back(conn, session, events));
}

int
session_back_fd(const struct conn *conn)
{
	const struct session *session = session_of(conn);

	return session->state == SESSION_OPEN ? session->back.fd : -1;
}

/* --- birth and death --- */

struct verdict
session_open(struct conn *conn)
{
	struct session *session = session_of(conn);

	ev_io_init(&session->back, session_on_back_event, -1, 0);
	session->up.unsent = &session->unsent_up;
	session->down.unsent = &conn->pending;
	return session_ask(conn, session);
}

/* A clean end would tell the client that it got everything, or that the server had nothing to say,
 * and a server that it got all the client said. */
static bool
is_failure(enum close_reason reason)
{
	return reason != CLOSE_client && reason != CLOSE_backend && reason != CLOSE_drain &&
	       reason != CLOSE_idle;
}

void
session_close(struct conn *conn, enum close_reason reason)
{
	struct session *session = session_of(conn);
	bool is_lossy = is_failure(reason) || stream_kept(&session->up) > 0 ||
			stream_kept(&session->down) > 0;

	session->state = SESSION_OVER;
	if (is_lossy) {
		net_reset_on_close(conn_fd(conn));
		if (session->back.fd >= 0) {
			net_reset_on_close(session->back.fd);
		}
	}
	session_patience_end(session, session_service(conn));
	stream_close(&session->up, session_service(conn));
	stream_close(&session->down, session_service(conn));
	output_free(&session->unsent_up);
	session_close_back(conn, session);
	upstream_done(&session->request);
}
