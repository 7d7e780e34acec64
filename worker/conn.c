/* Reads into the scratch buffer of the worker, writes at once, and keeps only what the socket did
 * not take: a message costs one recv(2), one send(2) and no change of the epoll set.
 *
 * The steps return verdicts; conn_apply obeys them as the last thing of every callback, because the
 * connection may be gone afterwards. */
#include "worker/conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/net.h"
#include "worker/account.h"
#include "worker/admission.h"
#include "worker/crash.h"
#include "worker/gate.h"
#include "worker/ledger.h"
#include "worker/output.h"
#include "worker/prelude.h"
#include "worker/service.h"
#include "worker/settings.h"

#define LOG_INTERVAL_MS 10000
#define MS_PER_TENTH    100

size_t
conn_room(const struct conn *conn)
{
	size_t pending = output_pending(conn->pending);
	size_t ceiling = conn->settings->max_pending_bytes;

	return pending < ceiling ? ceiling - pending : 0;
}

/* A client that was reset while it waited in the accept queue shows it at once: the first turn
 * after its accept already reports the error. So it costs no system call to tell it from one that
 * was reset later. */
static bool
conn_is_just_born(const struct conn *conn)
{
	return conn->phase <= CONN_FRESH &&
	       (uint16_t)(conn->settings->service->turn - conn->born_turn) <= 1;
}

/* EPIPE is what Linux reports for a reset that comes after the client's end of file. */
struct verdict
conn_judge(const struct conn *conn, int error)
{
	switch (error) {
	case EAGAIN:
	case EINTR:
		return verdict_go_on();
	case ECONNRESET:
		return verdict_failed(conn_is_just_born(conn) ? CLOSE_gone_in_queue : CLOSE_reset);
	case EPIPE:
		return verdict_failed(CLOSE_reset);
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return verdict_failed(CLOSE_peer_unreachable);
	case ENOMEM:
	case ENOBUFS:
		return verdict_failed(CLOSE_no_memory);
	default:
		return verdict_failed(CLOSE_error);
	}
}

/* --- sending --- */

struct verdict
conn_send(struct conn *conn, const void *bytes, size_t len)
{
	const struct settings *settings = conn->settings;
	bool was_pending = conn->pending != NULL;
	size_t sent = 0;
	int error;

	if (!was_pending) {
		ssize_t taken = send(conn_fd(conn), bytes, len, MSG_NOSIGNAL);
		struct verdict verdict = taken < 0 ? conn_judge(conn, errno) : verdict_go_on();

		if (verdict.kind != VERDICT_GO_ON) {
			return verdict;
		}
		sent = taken < 0 ? 0 : (size_t)taken;
		account_sent(conn, sent);
		if (sent == len) {
			return verdict_go_on();
		}
	}
	error = output_append(&conn->pending, (const unsigned char *)bytes + sent, len - sent,
		settings->max_pending_bytes, settings->service->now_ms);
	if (error != 0) {
		return verdict_failed(error == -ENOMEM ? CLOSE_no_memory : CLOSE_error);
	}
	if (!was_pending) {
		timeouts_on_writing(conn);
	}
	return verdict_go_on();
}

static struct verdict
conn_writable(struct conn *conn)
{
	const struct protocol *protocol = conn->settings->protocol;

	return protocol->on_writable == NULL ? verdict_go_on() : protocol->on_writable(conn);
}

static struct verdict
conn_flush(struct conn *conn)
{
	const struct settings *settings = conn->settings;
	const struct output *pending = conn->pending;
	ssize_t taken = send(conn_fd(conn), pending->bytes + pending->begin,
		output_pending(pending), MSG_NOSIGNAL);

	if (taken < 0) {
		return conn_judge(conn, errno);
	}
	account_sent(conn, (size_t)taken);
	output_consume(&conn->pending, (size_t)taken, settings->service->now_ms);
	if (conn->pending != NULL) {
		timeouts_on_writing(conn);
		return verdict_go_on();
	}
	timeouts_on_activity(conn);
	if (conn->phase == CONN_FLUSHING) {
		return verdict_done((enum close_reason)conn->reason);
	}
	return conn_writable(conn);
}

/* --- receiving --- */

static struct verdict
conn_end(struct conn *conn)
{
	const struct protocol *protocol = conn->settings->protocol;

	conn->phase = CONN_ENDED;
	return protocol->on_end == NULL ? verdict_done(CLOSE_client) : protocol->on_end(conn);
}

static struct verdict
conn_receive(struct conn *conn)
{
	const struct settings *settings = conn->settings;
	unsigned char *scratch = settings->service->scratch;
	size_t room = conn_room(conn);
	ssize_t len = recv(conn_fd(conn), scratch,
		room < SERVICE_SCRATCH_BYTES ? room : SERVICE_SCRATCH_BYTES, 0);

	if (len < 0) {
		return conn_judge(conn, errno);
	}
	if (len == 0) {
		return conn_end(conn);
	}
	conn->phase = CONN_OPEN;
	account_received(conn, (size_t)len);
	if (conn->pending == NULL) {
		timeouts_on_activity(conn);
	}
	return settings->protocol->on_received(conn, scratch, (size_t)len);
}

static struct verdict
conn_discard(struct conn *conn)
{
	ssize_t len =
		recv(conn_fd(conn), conn->settings->service->scratch, SERVICE_SCRATCH_BYTES, 0);

	if (len > 0 || (len < 0 && (errno == EAGAIN || errno == EINTR))) {
		return verdict_go_on();
	}
	return verdict_failed((enum close_reason)conn->reason);
}

static struct verdict
conn_read(struct conn *conn)
{
	const struct protocol *protocol = conn->settings->protocol;

	if (conn->phase == CONN_LINGERING) {
		return conn_discard(conn);
	}
	return protocol->on_readable != NULL ? protocol->on_readable(conn) : conn_receive(conn);
}

/* --- what to wait for --- */

/* Reading stops at the ceiling and goes on at half of it, so that a slow client does not cost a
 * change of the epoll set for each piece. */
static bool
conn_wants_to_read(const struct conn *conn)
{
	size_t ceiling = conn->settings->max_pending_bytes;

	switch ((enum conn_phase)conn->phase) {
	case CONN_PRELUDE:
	case CONN_FRESH:
	case CONN_OPEN:
		return conn->pending == NULL || output_pending(conn->pending) <= ceiling / 2 ||
		       ((conn->watcher.events & EV_READ) != 0 && conn_room(conn) > 0);
	case CONN_LINGERING:
		return true;
	case CONN_ENDED:
	case CONN_FLUSHING:
		return false;
	}
	return false;
}

static int
conn_wants(const struct conn *conn)
{
	const struct protocol *protocol = conn->settings->protocol;
	bool is_up_to_us = protocol->wants == NULL || conn->phase >= CONN_FLUSHING ||
			   conn->phase == CONN_PRELUDE;

	if (is_up_to_us) {
		return conn_wants_to_read(conn) ? EV_READ : 0;
	}
	return protocol->wants(conn);
}

static void
conn_watch(struct conn *conn)
{
	struct ev_loop *loop = conn->settings->service->loop;
	int wanted = conn_wants(conn) | (conn->pending != NULL ? EV_WRITE : 0);

	if ((conn->watcher.events & (EV_READ | EV_WRITE)) == wanted) {
		return;
	}
	ev_io_stop(loop, &conn->watcher);
	ev_io_modify(&conn->watcher, wanted);
	if (wanted != 0) {
		ev_io_start(loop, &conn->watcher);
	}
}

/* --- steps and verdicts --- */

/* libev stopped the watcher because the kernel refused to register the descriptor. */
static struct verdict
conn_not_watched(void)
{
	static struct log_limit limit;
	uint64_t suppressed;

	if (log_limit_allows(&limit, LOG_INTERVAL_MS, &suppressed)) {
		log_error("cannot watch a connection: the kernel refuses to add it to epoll; "
			  "closing it and %llu before it; raise fs.epoll.max_user_watches or "
			  "find out what uses up the memory",
			(unsigned long long)suppressed);
	}
	return verdict_failed(CLOSE_no_memory);
}

/* Who the client is, is known: the gate, then its protocol. */
static struct verdict
conn_welcome(struct conn *conn)
{
	const struct protocol *protocol = conn->settings->protocol;
	struct verdict verdict = gate_admit(conn);

	if (verdict.kind != VERDICT_GO_ON) {
		return verdict;
	}
	conn->is_admitted = true;
	return protocol->on_open == NULL ? verdict_go_on() : protocol->on_open(conn);
}

/* With the whole header there, the client is known; a worker that is finishing tells its protocol
 * so only now. */
static struct verdict
conn_read_prelude(struct conn *conn)
{
	const struct settings *settings = conn->settings;
	struct verdict verdict = prelude_read(conn);

	if (verdict.kind != VERDICT_GO_ON || conn->phase == CONN_PRELUDE) {
		return verdict;
	}
	verdict = conn_welcome(conn);
	if (verdict.kind == VERDICT_GO_ON && service_is_leaving(settings->service) &&
		settings->protocol->on_drain != NULL) {
		verdict = settings->protocol->on_drain(conn);
	}
	return verdict;
}

static struct verdict
conn_step(struct conn *conn, int events)
{
	struct verdict verdict = verdict_go_on();

	if ((events & EV_ERROR) != 0) {
		return conn_not_watched();
	}
	if (conn->phase == CONN_PRELUDE) {
		return conn_read_prelude(conn);
	}
	if ((events & EV_WRITE) != 0) {
		verdict = conn->pending != NULL ? conn_flush(conn) : conn_writable(conn);
	}
	if ((events & EV_READ) != 0 && verdict.kind == VERDICT_GO_ON) {
		verdict = conn_read(conn);
	}
	return verdict;
}

static void
conn_on_event(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct conn *conn = crash_hold(container_of(watcher, struct conn, watcher));

	(void)loop;
	conn_apply(conn, conn_step(conn, events));
}

/* A client that has not ended its own side may have bytes on their way to us. Closing with such
 * bytes unread is a reset, which can overtake and destroy the last of what we sent. */
static void
conn_linger(struct conn *conn)
{
	if (shutdown(conn_fd(conn), SHUT_WR) != 0) {
		conn_close(conn, (enum close_reason)conn->reason);
		return;
	}
	conn->phase = CONN_LINGERING;
	timeouts_on_lingering(conn);
	conn_watch(conn);
}

static void
conn_finish(struct conn *conn, enum close_reason reason)
{
	conn->reason = (uint8_t)reason;
	if (conn->pending != NULL) {
		conn->phase = CONN_FLUSHING;
		conn_watch(conn);
	} else if (reason == CLOSE_client) {
		conn_close(conn, reason);
	} else {
		conn_linger(conn);
	}
}

void
conn_apply(struct conn *conn, struct verdict verdict)
{
	switch (verdict.kind) {
	case VERDICT_GO_ON:
		conn_watch(conn);
		break;
	case VERDICT_SAME:
		break;
	case VERDICT_DONE:
		conn_finish(conn, verdict.reason);
		break;
	case VERDICT_FAILED:
		conn_close(conn, verdict.reason);
		break;
	}
	crash_release();
}

/* --- birth and death --- */

/* Tenths wrap after 13 years; their difference does not matter then. */
int64_t
conn_age_ms(const struct conn *conn, int64_t now_ms)
{
	return (int64_t)((uint32_t)(now_ms / MS_PER_TENTH) - conn->born_ds) * MS_PER_TENTH;
}

static void
conn_link(struct conn *conn, struct service *service)
{
	conn->prev = NULL;
	conn->next = service->conns;
	if (conn->next != NULL) {
		conn->next->prev = conn;
	}
	service->conns = conn;
}

static void
conn_unlink(struct conn *conn, struct service *service)
{
	if (service->next_listed == conn) {
		service->next_listed = conn->next;
	}
	if (conn->prev != NULL) {
		conn->prev->next = conn->next;
	} else {
		service->conns = conn->next;
	}
	if (conn->next != NULL) {
		conn->next->prev = conn->prev;
	}
}

int
conn_open(struct settings *settings, int fd, const union peer *peer, int32_t queue_wait_ms)
{
	const struct protocol *protocol = settings->protocol;
	struct service *service = settings->service;
	size_t size = settings->account_offset > 0
			      ? settings->account_offset + sizeof(struct account)
			      : sizeof(struct conn) + protocol->state_size + prelude_size(settings);
	struct conn *conn = malloc(size);

	if (conn == NULL) {
		net_reset_on_close(fd);
		close(fd);
		return -ENOMEM;
	}
	memset(conn, 0, size);
	conn->settings = settings_hold(settings);
	conn->peer = *peer;
	conn->phase = settings->gate.accepts_proxy ? CONN_PRELUDE : CONN_FRESH;
	conn->born_turn = service->turn;
	conn->serial = ++service->last_serial;
	conn->born_ds = (uint32_t)(service->now_ms / MS_PER_TENTH);
	account_open(conn, queue_wait_ms);
	conn_link(conn, service);
	service->descriptors_used += 1 + protocol->descriptors;
	ledger_open(settings);
	ev_io_init(&conn->watcher, conn_on_event, fd, EV_READ);
	ev_io_start(service->loop, &conn->watcher);
	timeouts_start(conn);
	crash_hold(conn);
	conn_apply(conn, conn->phase == CONN_PRELUDE ? prelude_begin(conn) : conn_welcome(conn));
	return 0;
}

/* A clean end tells the client that it got everything, so where bytes are dropped or something went
 * wrong it must be a reset; and a dead client too, or the kernel would go on trying to reach it. */
static bool
conn_ends_by_reset(const struct conn *conn, enum close_reason reason)
{
	if (conn->pending != NULL) {
		return true;
	}
	switch (reason) {
	case CLOSE_peer_unreachable:
	case CLOSE_killed:
	case CLOSE_denied:
	case CLOSE_untrusted:
	case CLOSE_proxy_header:
	case CLOSE_proxy_timeout:
	case CLOSE_source_limit:
	case CLOSE_source_rate:
	case CLOSE_source_penalty:
		return true;
	case CLOSE_no_memory:
	case CLOSE_error:
	case CLOSE_protocol_error:
		return conn->phase < CONN_FLUSHING;
	default:
		return false;
	}
}

/* What a client that was never let in does not have is not undone. */
static void
conn_leave(struct conn *conn, enum close_reason reason)
{
	const struct protocol *protocol = conn->settings->protocol;

	if (protocol->on_close != NULL) {
		protocol->on_close(conn, reason);
	}
	gate_leave(conn);
}

/* The books are right before the client can know; the place is free when the descriptor is. */
void
conn_close(struct conn *conn, enum close_reason reason)
{
	struct settings *settings = conn->settings;
	struct service *service = settings->service;

	session_log_end(conn, reason);
	if (conn->is_admitted) {
		conn_leave(conn, reason);
	}
	prelude_end(conn);
	ledger_close(settings, reason);
	ev_io_stop(service->loop, &conn->watcher);
	if (conn_ends_by_reset(conn, reason)) {
		net_reset_on_close(conn_fd(conn));
	}
	close(conn_fd(conn));
	admission_give_back(settings, 1);
	timeouts_stop(conn);
	conn_unlink(conn, service);
	service->descriptors_used -= 1 + settings->protocol->descriptors;
	output_free(&conn->pending);
	account_close(conn);
	crash_release();
	free(conn);
	settings_release(&settings);
}

void
conn_drain(struct conn *conn)
{
	const struct protocol *protocol = conn->settings->protocol;

	if (protocol->on_drain != NULL && conn->is_admitted && conn->phase < CONN_FLUSHING) {
		crash_hold(conn);
		conn_apply(conn, protocol->on_drain(conn));
	}
}
