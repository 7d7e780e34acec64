/* How long a session waits: for the handshake, for a side that takes nothing, for the other side's
 * end. */
#include "common/config.h"
#include "common/net.h"
#include "worker/crash.h"
#include "worker/service.h"
#include "worker/session_private.h"
#include "worker/settings.h"

void
session_patience_end(struct session *session, struct service *service)
{
	deadline_clear(&session->patience);
	deadlines_close_list(&service->deadlines, &session->patience_list);
	session->patience_for = PATIENCE_NONE;
}

void
session_patience_set(struct session *session, struct service *service, enum session_patience what,
	int64_t length_ms, void (*on_expiry)(struct deadline *deadline))
{
	if (session->patience_for != what) {
		session_patience_end(session, service);
	}
	if (length_ms == CONFIG_NONE) {
		return;
	}
	if (session->patience_list == NULL) {
		session->patience_list =
			deadlines_open_list(&service->deadlines, length_ms, on_expiry);
	}
	if (session->patience_list != NULL) { /* else the idle timeout has to do */
		session->patience_for = (uint8_t)what;
		deadline_set(&service->deadlines, &session->patience, session->patience_list,
			service->now_ms);
	}
}

struct session *
session_patience_owner(struct deadline *deadline)
{
	struct session *session = container_of(deadline, struct session, patience);

	(void)crash_hold(session_conn(session));
	return session;
}

static int64_t
unacknowledged_bytes(const struct conn *conn, const struct session *session)
{
	return (stream_kept(&session->up) > 0 ? net_unacknowledged_bytes(session->back.fd) : 0) +
	       (session->down.in_pipe > 0 ? net_unacknowledged_bytes(conn_fd(conn)) : 0);
}

/* A socket takes more only once a third of its buffer, which may be megabytes, is free again; what
 * a slow reader acknowledges until then is progress too. */
static void
session_on_stalled(struct deadline *deadline)
{
	struct session *session = session_patience_owner(deadline);
	struct conn *conn = session_conn(session);
	int64_t unacknowledged = unacknowledged_bytes(conn, session);

	if (unacknowledged >= session->unacknowledged) {
		conn_close(conn, CLOSE_write_timeout);
		return;
	}
	session->unacknowledged = unacknowledged;
	deadline_set(&session_service(conn)->deadlines, &session->patience, session->patience_list,
		session_service(conn)->now_ms);
	crash_release();
}

static void
session_on_half_closed(struct deadline *deadline)
{
	conn_close(session_conn(session_patience_owner(deadline)), CLOSE_half_closed);
}

void
session_patience_for_open(struct conn *conn, struct session *session, bool was_taken)
{
	const struct settings *settings = conn->settings;

	if (stream_kept(&session->up) > 0 || session->down.in_pipe > 0) {
		if (session->patience_for != PATIENCE_STALL || was_taken) {
			session->unacknowledged = unacknowledged_bytes(conn, session);
			session_patience_set(session, settings->service, PATIENCE_STALL,
				settings->timeouts.write_timeout_ms, session_on_stalled);
		}
	} else if (session->up.has_ended || session->down.has_ended) {
		session_patience_set(session, settings->service, PATIENCE_HALF_CLOSE,
			settings->timeouts.half_close_ms, session_on_half_closed);
	} else if (session->patience_for != PATIENCE_NONE) {
		session_patience_end(session, settings->service);
	}
}
