/* Steps end in session_settle, which passes ends on, decides what to wait for and says whether it
 * is over. A callback of the upstream may come while we call it, in the middle of a step: then its
 * verdict is kept for the end of that step, because the connection must not be closed under our
 * feet. */
#include "worker/session.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/config.h"
#include "common/net.h"
#include "common/proxy_protocol.h"
#include "worker/conn.h"
#include "worker/crash.h"
#include "worker/output.h"
#include "worker/service.h"
#include "worker/settings.h"
#include "worker/timeouts.h"

static struct session *
session_of(const struct conn *conn)
{
	return conn_state((struct conn *)(uintptr_t)conn);
}

static struct conn *
conn_of(struct session *session)
{
	return (struct conn *)(void *)session - 1;
}

static struct service *
service_of(const struct conn *conn)
{
	return conn->settings->service;
}

/* --- patience --- */

static void
patience_end(struct session *session, struct service *service)
{
	deadline_clear(&session->patience);
	deadlines_close_list(&service->deadlines, &session->patience_list);
	session->patience_for = PATIENCE_NONE;
}

/* Begins the time anew; one of the same kind goes on with its list. */
static void
patience_set(struct session *session, struct service *service, enum session_patience what,
	int64_t length_ms, void (*on_expiry)(struct deadline *deadline))
{
	if (session->patience_for != what) {
		patience_end(session, service);
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

static struct session *
patience_owner(struct deadline *deadline)
{
	struct session *session = container_of(deadline, struct session, patience);

	(void)crash_hold(conn_of(session));
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
	struct session *session = patience_owner(deadline);
	struct conn *conn = conn_of(session);
	int64_t unacknowledged = unacknowledged_bytes(conn, session);

	if (unacknowledged >= session->unacknowledged) {
		conn_close(conn, CLOSE_write_timeout);
		return;
	}
	session->unacknowledged = unacknowledged;
	deadline_set(&service_of(conn)->deadlines, &session->patience, session->patience_list,
		service_of(conn)->now_ms);
	crash_release();
}

static void
session_on_half_closed(struct deadline *deadline)
{
	conn_close(conn_of(patience_owner(deadline)), CLOSE_half_closed);
}

/* What an open session is given time for, if anything: the sides to take what is kept for them, or
 * the other side to end. Only what is taken counts against a stall, not what comes the other way;
 * a half closed session begins anew with each movement. */
static void
patience_for_open(struct conn *conn, struct session *session, bool was_taken)
{
	const struct settings *settings = conn->settings;

	if (stream_kept(&session->up) > 0 || session->down.in_pipe > 0) {
		if (session->patience_for != PATIENCE_STALL || was_taken) {
			session->unacknowledged = unacknowledged_bytes(conn, session);
			patience_set(session, settings->service, PATIENCE_STALL,
				settings->timeouts.write_timeout_ms, session_on_stalled);
		}
	} else if (session->up.has_ended || session->down.has_ended) {
		patience_set(session, settings->service, PATIENCE_HALF_CLOSE,
			settings->timeouts.half_close_ms, session_on_half_closed);
	} else if (session->patience_for != PATIENCE_NONE) {
		patience_end(session, settings->service);
	}
}

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
	struct ev_loop *loop = service_of(conn)->loop;
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

	patience_end(session, service);
	return session->is_cut ? verdict_done(reason) : verdict_failed(reason);
}

static struct verdict
session_settle(struct conn *conn, struct session *session, bool was_taken)
{
	bool up_is_over = session->state == SESSION_OPEN && is_passed_on(&session->up);
	bool down_is_over = is_passed_on(&session->down);

	if (up_is_over && down_is_over) {
		watch_back(conn, session);
		return session_is_over(session, service_of(conn));
	}
	if (up_is_over && !session->back_is_shut) {
		session->back_is_shut = true;
		(void)shutdown(session->back.fd, SHUT_WR);
	}
	if (down_is_over && !session->client_is_shut) {
		session->client_is_shut = true;
		(void)shutdown(conn_fd(conn), SHUT_WR);
	}
	if (session->state == SESSION_OPEN) {
		patience_for_open(conn, session, was_taken);
	}
	watch_back(conn, session);
	return verdict_go_on();
}

/* The verdict on an error of the back end's socket. */
static struct verdict
judge_back(int error)
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
static struct verdict
back_takes_no_more(struct conn *conn, struct session *session, int error)
{
	if (error != EPIPE) {
		return judge_back(error);
	}
	note_end(session, CLOSE_backend);
	session->is_cut = session->back_is_shut = session->up.has_ended = true;
	stream_close(&session->up, service_of(conn));
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
	}
}

static struct verdict
move_up(struct conn *conn, struct session *session)
{
	struct board_listener_cells *cells = conn->settings->cells;
	struct stream_step step = stream_move(&session->up, service_of(conn), conn_fd(conn),
		session->state == SESSION_OPEN ? session->back.fd : -1,
		conn->settings->max_pending_bytes);

	stat_add(&cells->stats[STAT_LISTENER_received_bytes], step.read_bytes);
	count_up(session, step.sent_bytes);
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
		return back_takes_no_more(conn, session, step.error);
	case STREAM_NO_MEMORY:
		return verdict_failed(CLOSE_no_memory);
	}
	return session_settle(conn, session, false);
}

static struct verdict
move_down(struct conn *conn, struct session *session)
{
	struct board_listener_cells *cells = conn->settings->cells;
	bool had_pending = conn->pending != NULL;
	struct stream_step step = stream_move(&session->down, service_of(conn), session->back.fd,
		conn_fd(conn), conn->settings->max_pending_bytes);

	stat_add(&cells->stats[STAT_LISTENER_sent_bytes], step.sent_bytes);
	upstream_count(&session->request, 0, step.read_bytes);
	switch (step.progress) {
	case STREAM_MOVED:
		upstream_proven(&session->request);
		session_is_active(conn, had_pending);
		break;
	case STREAM_DRY:
		break;
	case STREAM_ENDED:
		note_end(session, CLOSE_backend);
		break;
	case STREAM_SOURCE_FAILED:
		return judge_back(step.error);
	case STREAM_TARGET_FAILED:
		return conn_judge(conn, step.error);
	case STREAM_NO_MEMORY:
		return verdict_failed(CLOSE_no_memory);
	}
	return session_settle(conn, session, false);
}

static struct verdict
flush_up(struct conn *conn, struct session *session)
{
	struct stream_step step = stream_flush(&session->up, service_of(conn), session->back.fd);

	count_up(session, step.sent_bytes);
	return step.progress == STREAM_TARGET_FAILED
		       ? back_takes_no_more(conn, session, step.error)
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
		step = stream_flush(&session->down, service_of(conn), conn_fd(conn));
		stat_add(&conn->settings->cells->stats[STAT_LISTENER_sent_bytes], step.sent_bytes);
	}
	return step.progress == STREAM_TARGET_FAILED
		       ? conn_judge(conn, step.error)
		       : session_settle(conn, session, step.sent_bytes > 0);
}

/* --- the back end's socket --- */

static void
back_close(const struct conn *conn, struct session *session)
{
	if (session->back.fd >= 0) {
		ev_io_stop(service_of(conn)->loop, &session->back);
		(void)close(session->back.fd);
		ev_io_set(&session->back, -1, 0);
	}
}

static struct verdict
connect_failed(struct conn *conn, struct session *session, int error)
{
	bool was_calling = session->is_calling; /* we may be in a callback already */

	back_close(conn, session);
	patience_end(session, service_of(conn));
	session->state = SESSION_WAITING;
	session->verdict = verdict_go_on();
	session->is_calling = true;
	upstream_connect_failed(&session->request, error);
	session->is_calling = was_calling;
	return session->verdict;
}

/* Who the client is and where it connected to, before its first byte. */
static int
add_proxy_header(struct conn *conn, struct session *session)
{
	int version = upstream_send_proxy(conn->settings->upstream);
	unsigned char header[PROXY_WRITE_MAX];
	union peer target;
	socklen_t len = sizeof(target);
	size_t size;

	if (version == SEND_PROXY_NONE) {
		return 0;
	}
	memset(&target, 0, sizeof(target));
	if (getsockname(conn_fd(conn), &target.any, &len) != 0) {
		target.any.sa_family = AF_UNSPEC;
	}
	size = proxy_header_write(
		version == SEND_PROXY_V1 ? PROXY_V1 : PROXY_V2, &conn->peer, &target, header);
	return stream_prepend(&session->up, service_of(conn), header, size);
}

static struct verdict
connected(struct conn *conn, struct session *session, unsigned syn_retries)
{
	session->state = SESSION_OPEN;
	patience_end(session, service_of(conn));
	upstream_connected(&session->request, syn_retries);
	if (add_proxy_header(conn, session) != 0) {
		return verdict_failed(CLOSE_no_memory);
	}
	return stream_kept(&session->up) > 0 ? flush_up(conn, session)
					     : session_settle(conn, session, false);
}

static void
session_on_connect_timeout(struct deadline *deadline)
{
	struct session *session = patience_owner(deadline);
	struct conn *conn = conn_of(session);

	conn_apply(conn, connect_failed(conn, session, ETIMEDOUT));
}

/* The handshake is done or has failed. */
static struct verdict
answered(struct conn *conn, struct session *session)
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
step_back(struct conn *conn, struct session *session, int events)
{
	struct verdict verdict = verdict_go_on();

	if ((events & EV_ERROR) != 0) {
		return verdict_failed(CLOSE_no_memory);
	}
	if (session->state == SESSION_CONNECTING) {
		return answered(conn, session);
	}
	if ((events & EV_WRITE) != 0 && stream_kept(&session->up) > 0) {
		verdict = flush_up(conn, session);
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
	struct conn *conn = crash_hold(conn_of(session));

	(void)loop;
	conn_apply(conn, step_back(conn, session, events));
}

static struct verdict
session_connect(struct conn *conn, struct session *session)
{
	struct address source;
	bool has_source = upstream_source(&session->request, &source);
	int fd = net_connect(&session->request.server->address, has_source ? &source : NULL,
		&conn->settings->back_options);
	unsigned syn_retries;
	int error = fd < 0 ? fd : net_connect_check(fd, &syn_retries);

	if (fd < 0) {
		return connect_failed(conn, session, -error);
	}
	ev_io_set(&session->back, fd, error == 0 ? EV_READ : EV_WRITE);
	ev_io_start(service_of(conn)->loop, &session->back);
	if (error == 0) {
		return connected(conn, session, syn_retries);
	}
	if (error != -EINPROGRESS) {
		return connect_failed(conn, session, -error);
	}
	session->state = SESSION_CONNECTING;
	patience_set(session, service_of(conn), PATIENCE_CONNECT,
		upstream_connect_timeout_ms(conn->settings->upstream), session_on_connect_timeout);
	return verdict_go_on();
}

/* --- the upstream's answers --- */

static void
session_obey(struct session *session, struct verdict verdict)
{
	struct conn *conn = conn_of(session);

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

	session_obey(session, session_connect(conn_of(session), session));
}

static void
session_on_refused(struct upstream_request *request, enum close_reason reason)
{
	session_obey(container_of(request, struct session, request), verdict_failed(reason));
}

/* --- birth and death --- */

struct verdict
session_open(struct conn *conn)
{
	struct session *session = session_of(conn);

	ev_io_init(&session->back, session_on_back_event, -1, 0);
	session->up.unsent = &session->unsent_up;
	session->down.unsent = &conn->pending;
	session->request.on_granted = session_on_granted;
	session->request.on_refused = session_on_refused;
	session->verdict = verdict_go_on();
	session->is_calling = true;
	upstream_ask(conn->settings->upstream, &session->request, &conn->peer);
	session->is_calling = false;
	return session->verdict;
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
	patience_end(session, service_of(conn));
	stream_close(&session->up, service_of(conn));
	stream_close(&session->down, service_of(conn));
	output_free(&session->unsent_up);
	back_close(conn, session);
	upstream_done(&session->request);
}
