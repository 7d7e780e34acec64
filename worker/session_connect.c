/* A session's way to its server: asking the upstream, connecting, and what is said first. A
 * callback of the upstream may come while we call it, in the middle of a step: then its verdict is
 * kept for the end of that step, because the connection must not be closed under our feet. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/net.h"
#include "common/proxy_protocol.h"
#include "worker/account.h"
#include "worker/crash.h"
#include "worker/prelude.h"
#include "worker/service.h"
#include "worker/session_private.h"
#include "worker/settings.h"

void
session_close_back(const struct conn *conn, struct session *session)
{
	if (session->back.fd >= 0) {
		ev_io_stop(session_service(conn)->loop, &session->back);
		(void)close(session->back.fd);
		ev_io_set(&session->back, -1, 0);
	}
}

static struct verdict
connect_failed(struct conn *conn, struct session *session, int error)
{
	bool was_calling = session->is_calling; /* we may be in a callback already */

	session_close_back(conn, session);
	session_patience_end(session, session_service(conn));
	session->state = SESSION_WAITING;
	session->verdict = verdict_go_on();
	session->is_calling = true;
	upstream_connect_failed(&session->request, error);
	session->is_calling = was_calling;
	if (session->verdict.kind == VERDICT_GO_ON && session->state == SESSION_WAITING) {
		session_patience_follow(conn, session, false);
	}
	return session->verdict;
}

/* Who the client is and where it connected to, before its first byte. */
static int
add_proxy_header(struct conn *conn, struct session *session)
{
	int version = upstream_send_proxy(conn->settings->upstream);
	unsigned char header[PROXY_WRITE_MAX];
	union peer target;
	size_t size;

	if (version == SEND_PROXY_NONE) {
		return 0;
	}
	prelude_target(conn, &target);
	size = proxy_header_write(
		version == SEND_PROXY_V1 ? PROXY_V1 : PROXY_V2, &conn->peer, &target, header);
	return stream_prepend(&session->up, session_service(conn), header, size);
}

static struct verdict
connected(struct conn *conn, struct session *session, unsigned syn_retries)
{
	session->state = SESSION_OPEN;
	account_connected(conn);
	session_patience_connected(session, session_service(conn));
	upstream_connected(&session->request, syn_retries);
	if (add_proxy_header(conn, session) != 0) {
		return verdict_failed(CLOSE_no_memory);
	}
	session_patience_follow(conn, session, false);
	return stream_kept(&session->up) > 0 ? session_flush_up(conn, session)
					     : session_settle(conn, session, false);
}

static void
session_on_connect_timeout(struct deadline *deadline)
{
	struct session *session = session_patience_owner(deadline);
	struct conn *conn = session_conn(session);

	conn_apply(conn, connect_failed(conn, session, ETIMEDOUT));
}

struct verdict
session_on_answer(struct conn *conn, struct session *session)
{
	unsigned syn_retries;
	int error = net_connect_check(session->back.fd, &syn_retries);

	if (error == -EINPROGRESS) {
		return verdict_go_on();
	}
	return error == 0 ? connected(conn, session, syn_retries)
			  : connect_failed(conn, session, -error);
}

static struct verdict
session_connect(struct conn *conn, struct session *session)
{
	struct address source;
	bool has_source = upstream_source(&session->request, &source);
	int fd = net_connect(&session->request.server->address, has_source ? &source : NULL,
		&conn->settings->back_options);
	int error = fd < 0 ? fd : net_connect_again(fd, &session->request.server->address);

	if (fd < 0) {
		return connect_failed(conn, session, -error);
	}
	ev_io_set(&session->back, fd, error == 0 ? EV_READ : EV_WRITE);
	ev_io_start(session_service(conn)->loop, &session->back);
	if (error == 0) {
		return connected(conn, session, 0);
	}
	if (error != -EINPROGRESS) {
		return connect_failed(conn, session, -error);
	}
	session->state = SESSION_CONNECTING;
	session_patience_connect(session, session_service(conn),
		upstream_connect_timeout_ms(conn->settings->upstream), session_on_connect_timeout);
	return verdict_go_on();
}

/* --- the upstream's answers --- */

static void
session_obey(struct session *session, struct verdict verdict)
{
	struct conn *conn = session_conn(session);

	if (session->is_calling) {
		session->verdict = verdict;
	} else {
		conn_apply(crash_hold(conn), verdict);
	}
}

static void
session_on_granted(struct upstream_request *request)
{
	struct session *session = container_of(request, struct session, request);

	account_granted(session_conn(session), request->server);
	session_obey(session, session_connect(session_conn(session), session));
}

static void
session_on_refused(struct upstream_request *request, enum close_reason reason)
{
	session_obey(container_of(request, struct session, request), verdict_failed(reason));
}

struct verdict
session_ask(struct conn *conn, struct session *session)
{
	session->request.on_granted = session_on_granted;
	session->request.on_refused = session_on_refused;
	session->verdict = verdict_go_on();
	session->is_calling = true;
	upstream_ask(conn->settings->upstream, &session->request, &conn->peer);
	session->is_calling = false;
	return session->verdict;
}
