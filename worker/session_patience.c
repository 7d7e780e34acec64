/* How long a session waits: for the handshake, for a side that takes nothing, for the other side's
 * end. Moving bytes only writes down the time; a look now and then does the rest, also what a short
 * session should not pay for, and what epoll cannot tell: while we do not read from a side, libev
 * has no watcher to which its reset would be an event. */
#include <errno.h>

#include "common/config.h"
#include "common/net.h"
#include "worker/crash.h"
#include "worker/service.h"
#include "worker/session_private.h"
#include "worker/settings.h"

/* --- the handshake --- */

void
session_patience_end(struct session *session, struct service *service)
{
	deadline_clear(&session->patience);
	deadlines_close_list(&service->deadlines, &session->handshake_list);
}

void
session_patience_connect(struct session *session, struct service *service, int64_t length_ms,
	void (*on_expiry)(struct deadline *deadline))
{
	session_patience_end(session, service);
	session->handshake_list = deadlines_open_list(&service->deadlines, length_ms, on_expiry);
	if (session->handshake_list != NULL) { /* else the idle timeout has to do */
		deadline_set(&service->deadlines, &session->patience, session->handshake_list,
			service->now_ms);
	}
}

void
session_patience_connected(struct session *session, struct service *service)
{
	if (session->handshake_list != NULL) {
		session_patience_end(session, service);
	}
}

struct session *
session_patience_owner(struct deadline *deadline)
{
	struct session *session = container_of(deadline, struct session, patience);

	(void)crash_hold(session_conn(session));
	return session;
}

/* --- what is waited for --- */

static bool
is_reading(const ev_io *watcher)
{
	return (watcher->events & EV_READ) != 0;
}

static enum session_wait
find_wait(const struct session *session)
{
	if (session->state != SESSION_OPEN) {
		return WAIT_NOTHING;
	}
	if (stream_kept(&session->up) > 0 || session->down.in_pipe > 0) {
		return WAIT_STALL;
	}
	return session->up.has_ended || session->down.has_ended ? WAIT_HALF_CLOSE : WAIT_NOTHING;
}

static bool
needs_look(const struct session *session)
{
	return session->waits_for != WAIT_NOTHING || stream_kept(&session->up) > 0 ||
	       stream_kept(&session->down) > 0 || session->up.has_ended ||
	       (session->state == SESSION_OPEN && !session->is_kept_alive);
}

void
session_patience_follow(struct conn *conn, struct session *session, bool was_taken)
{
	struct service *service = session_service(conn);
	enum session_wait wait = find_wait(session);

	if (wait != WAIT_STALL || session->waits_for != WAIT_STALL || was_taken) {
		session->waits_for = (uint8_t)wait;
		session->waits_since_ms = service->now_ms;
		session->unacknowledged = INT64_MAX;
	}
	if (session->patience.next == NULL && needs_look(session)) {
		deadline_set(&service->deadlines, &session->patience, conn->settings->looks,
			service->now_ms);
	}
}

/* --- looking --- */

static bool
is_over(const struct conn *conn, const struct session *session, int64_t timeout_ms)
{
	return timeout_ms != CONFIG_NONE &&
	       session_service(conn)->now_ms - session->waits_since_ms >= timeout_ms;
}

static int64_t
unacknowledged_bytes(const struct conn *conn, const struct session *session)
{
	return (stream_kept(&session->up) > 0 ? net_unacknowledged_bytes(session->back.fd) : 0) +
	       (session->down.in_pipe > 0 ? net_unacknowledged_bytes(conn_fd(conn)) : 0);
}

/* A socket takes more only once a third of its buffer, which may be megabytes, is free again; what
 * a slow reader acknowledges until then is progress too. The first look has nothing to compare
 * with. */
static struct verdict
look_at_stall(const struct conn *conn, struct session *session)
{
	const struct timeouts *timeouts = &conn->settings->timeouts;
	int64_t unacknowledged = unacknowledged_bytes(conn, session);

	if (unacknowledged < session->unacknowledged) {
		session->waits_since_ms = session_service(conn)->now_ms;
	}
	session->unacknowledged = unacknowledged;
	if (is_over(conn, session, timeouts->write_timeout_ms)) {
		return verdict_failed(CLOSE_write_timeout);
	}
	if (stream_kept(&session->up) > 0 && timeouts_is_dead(timeouts, session->back.fd)) {
		return verdict_failed(CLOSE_backend_unreachable);
	}
	if (session->down.in_pipe > 0 && timeouts_is_dead(timeouts, conn_fd(conn))) {
		return verdict_failed(CLOSE_peer_unreachable);
	}
	return verdict_go_on();
}

static struct verdict
look_at_wait(const struct conn *conn, struct session *session)
{
	switch ((enum session_wait)session->waits_for) {
	case WAIT_STALL:
		return look_at_stall(conn, session);
	case WAIT_HALF_CLOSE:
		return is_over(conn, session, conn->settings->timeouts.half_close_ms)
			       ? verdict_failed(CLOSE_half_closed)
			       : verdict_go_on();
	case WAIT_NOTHING:
		break;
	}
	return verdict_go_on();
}

/* A client that ended before its reset has said all it had to say: that goes its way first. */
static struct verdict
look_at_client(const struct conn *conn, const struct session *session)
{
	bool has_last_words = session->up.has_ended && stream_kept(&session->up) > 0;
	int error = has_last_words || is_reading(&conn->watcher)
			    ? 0
			    : net_connection_error(conn_fd(conn));

	return error == 0 ? verdict_go_on() : conn_judge(conn, error);
}

static struct verdict
look_at_back(struct conn *conn, struct session *session)
{
	int error;

	if (session->state != SESSION_OPEN || is_reading(&session->back)) {
		return verdict_go_on();
	}
	error = net_connection_error(session->back.fd);
	if (error == 0 || (error == EPIPE && session->is_cut)) {
		return verdict_go_on();
	}
	return session_back_takes_no_more(conn, session, error);
}

static struct verdict
keep_alive(const struct conn *conn, struct session *session)
{
	const struct net_options *options = &conn->settings->back_options;
	bool is_tcp = session->request.server->address.any.sa_family != AF_UNIX;
	int error = 0;

	session->is_kept_alive = true;
	if (is_tcp && options->keepalive_idle_ms != CONFIG_NONE) {
		error = net_keep_alive(session->back.fd, options);
	}
	return error == 0 ? verdict_go_on() : session_judge_back(-error);
}

static struct verdict
look(struct conn *conn, struct session *session)
{
	struct verdict verdict = look_at_client(conn, session);

	if (verdict.kind == VERDICT_GO_ON) {
		verdict = look_at_back(conn, session);
	}
	if (verdict.kind == VERDICT_GO_ON) {
		verdict = look_at_wait(conn, session);
	}
	if (verdict.kind == VERDICT_GO_ON && session->state == SESSION_OPEN &&
		!session->is_kept_alive) {
		verdict = keep_alive(conn, session);
	}
	if (verdict.kind == VERDICT_GO_ON && needs_look(session)) {
		deadline_set(&session_service(conn)->deadlines, &session->patience,
			conn->settings->looks, session_service(conn)->now_ms);
	}
	return verdict;
}

void
session_on_look(struct deadline *deadline)
{
	struct session *session = session_patience_owner(deadline);
	struct conn *conn = session_conn(session);

	conn_apply(conn, look(conn, session));
}
