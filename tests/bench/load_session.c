/* The life of one client session. */
#include "tests/bench/load_session.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/bench/bench_clock.h"
#include "tests/bench/load_stream.h"

#define RECEIVE_BYTES_MAX 262144
#define SEND_BYTES_MAX    262144
#define SLOW_CONNECT_NS   INT64_C(900000000)
#define ENDING_EVENTS     (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

static char scratch[RECEIVE_BYTES_MAX];

static enum load_verdict
failed(struct load_session *session, const char *reason)
{
	session->failed_reason = reason;
	return LOAD_FAILED;
}

static enum load_verdict
failed_errno(struct load_session *session, int error)
{
	return failed(session, load_reason_of_errno(error, session->reason_text));
}

static int
bind_source(int fd, const struct bench_address *source)
{
	int on = 1;

	if (source->len == 0) {
		return 0;
	}
	/* Without it bind() would take a port for itself and run out of them early. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	/* Loopback routes a whole IPv4 range, but IPv6 addresses only as they are assigned. */
	if (bench_address_family(source) == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on));
	}
	return bind(fd, (const struct sockaddr *)&source->socket_address, source->len);
}

enum load_verdict
load_session_open(struct load_session *session, const struct load_plan *plan,
	const struct bench_address *source, uint64_t number)
{
	int on = 1;

	*session = (struct load_session){
		.state = LOAD_SESSION_CONNECTING,
		.stream_begin = load_stream_begin(number),
		.started_ns = bench_clock_now_ns(),
	};
	session->fd = socket(
		bench_address_family(&plan->target), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (session->fd < 0 || bind_source(session->fd, source) < 0) {
		return failed_errno(session, errno);
	}
	setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(session->fd, (const struct sockaddr *)&plan->target.socket_address,
		    plan->target.len) < 0 &&
		errno != EINPROGRESS) {
		return failed_errno(session, errno);
	}
	return LOAD_GOES_ON;
}

static bool
is_last_round(const struct load_session *session, const struct load_plan *plan)
{
	return session->rounds_done + 1 == plan->rounds;
}

static enum load_verdict
send_more(struct load_session *session, const struct load_plan *plan)
{
	while (session->may_send && session->sent_bytes < session->goal_bytes) {
		uint64_t missing = session->goal_bytes - session->sent_bytes;
		size_t len = missing < SEND_BYTES_MAX ? (size_t)missing : SEND_BYTES_MAX;
		const char *bytes =
			load_stream_at(session->stream_begin + session->sent_bytes, &len);
		ssize_t sent = send(session->fd, bytes, len, MSG_NOSIGNAL);

		if (sent < 0 && errno != EAGAIN) {
			return failed_errno(session, errno);
		}
		session->may_send = sent == (ssize_t)len;
		session->sent_bytes += sent < 0 ? 0 : (uint64_t)sent;
	}
	if (plan->half_closes && !session->has_shut && is_last_round(session, plan) &&
		session->sent_bytes == session->goal_bytes) {
		shutdown(session->fd, SHUT_WR);
		session->has_shut = true;
	}
	return LOAD_GOES_ON;
}

static enum load_verdict
take_bytes(struct load_session *session, struct load_result *result, size_t len)
{
	if (session->received_bytes + len > session->sent_bytes) {
		return failed(session, "extra_bytes");
	}
	if (!load_stream_matches(session->stream_begin + session->received_bytes, scratch, len)) {
		return failed(session, "corrupt");
	}
	session->received_bytes += len;
	result->bytes_checked += len;
	return LOAD_GOES_ON;
}

/* The other side has ended: right only after everything, and only if we have asked for it. */
static enum load_verdict
take_end(struct load_session *session, const struct load_plan *plan)
{
	if (session->has_shut && session->rounds_done == plan->rounds) {
		return LOAD_DONE;
	}
	return failed(session, "early_eof");
}

static enum load_verdict
receive_more(struct load_session *session, const struct load_plan *plan, struct load_result *result)
{
	ssize_t got = recv(session->fd, scratch, sizeof(scratch), 0);

	if (got == 0) {
		return take_end(session, plan);
	}
	if (got < 0) {
		session->may_read = false;
		return errno == EAGAIN ? LOAD_GOES_ON : failed_errno(session, errno);
	}
	/* A short read has emptied the socket, and what comes later is a new event. */
	if (got < (ssize_t)sizeof(scratch) && !session->peer_ended) {
		session->may_read = false;
	}
	return take_bytes(session, result, (size_t)got);
}

static void
begin_round(struct load_session *session, const struct load_plan *plan, int64_t now_ns)
{
	session->goal_bytes += plan->round_bytes;
	session->round_started_ns = now_ns;
}

/* Counts a round that is complete and begins the next. LOAD_DONE: it was the last. */
static enum load_verdict
end_round(struct load_session *session, const struct load_plan *plan, struct load_result *result)
{
	int64_t now_ns = bench_clock_now_ns();

	load_histogram_add(&result->round_trip, now_ns - session->round_started_ns);
	result->rounds_done++;
	session->rounds_done++;
	if (session->rounds_done < plan->rounds) {
		begin_round(session, plan, now_ns);
		return LOAD_GOES_ON;
	}
	return plan->half_closes ? LOAD_GOES_ON : LOAD_DONE;
}

static enum load_verdict
exchange(struct load_session *session, const struct load_plan *plan, struct load_result *result)
{
	enum load_verdict verdict = send_more(session, plan);

	while (verdict == LOAD_GOES_ON && session->may_read) {
		verdict = receive_more(session, plan, result);
		if (verdict == LOAD_GOES_ON && session->received_bytes == session->goal_bytes &&
			session->rounds_done < plan->rounds) {
			verdict = end_round(session, plan, result);
		}
		if (verdict == LOAD_GOES_ON) {
			verdict = send_more(session, plan);
		}
	}
	return verdict;
}

static enum load_verdict
begin_exchange(
	struct load_session *session, const struct load_plan *plan, struct load_result *result)
{
	session->state = LOAD_SESSION_EXCHANGING;
	begin_round(session, plan, bench_clock_now_ns());
	return exchange(session, plan, result);
}

static enum load_verdict
finish_connect(
	struct load_session *session, const struct load_plan *plan, struct load_result *result)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(session->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error != 0) {
		return failed_errno(session, error);
	}
	if (!session->may_send) {
		return LOAD_GOES_ON;
	}
	int64_t now_ns = bench_clock_now_ns();
	load_histogram_add(&result->connect, now_ns - session->started_ns);
	result->connects_over_900ms += now_ns - session->started_ns > SLOW_CONNECT_NS;
	result->sessions_established++;
	result->established_last_ns = now_ns;
	if (plan->holds) {
		session->state = LOAD_SESSION_HELD;
		return LOAD_GOES_ON;
	}
	return begin_exchange(session, plan, result);
}

enum load_verdict
load_session_step(struct load_session *session, const struct load_plan *plan,
	struct load_result *result, uint32_t events)
{
	session->may_send = session->may_send || (events & EPOLLOUT) != 0;
	session->may_read = session->may_read || (events & (EPOLLIN | ENDING_EVENTS)) != 0;
	session->peer_ended = session->peer_ended || (events & ENDING_EVENTS) != 0;
	switch (session->state) {
	case LOAD_SESSION_CONNECTING:
		return finish_connect(session, plan, result);
	case LOAD_SESSION_HELD:
		/* Nothing was sent, so anything to read is an end, an error or too much. */
		return session->may_read ? receive_more(session, plan, result) : LOAD_GOES_ON;
	case LOAD_SESSION_EXCHANGING:
		break;
	}
	return exchange(session, plan, result);
}

enum load_verdict
load_session_release(
	struct load_session *session, const struct load_plan *plan, struct load_result *result)
{
	return begin_exchange(session, plan, result);
}

void
load_session_close(struct load_session *session, bool resets)
{
	struct linger reset = {.l_onoff = 1, .l_linger = 0};

	if (session->fd < 0) {
		return;
	}
	if (resets) {
		setsockopt(session->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	}
	close(session->fd);
	session->fd = -1;
}
