/* The bytes are looked at before they are taken, because what follows the header in the same
 * segment is the client's and may be for splice(2). A header nearly always comes in one piece: a
 * look, and a read of exactly its length. Of one in pieces each piece is taken out of the socket,
 * or a level-triggered loop would report it again and again, and kept until the rest has come. */
#include "worker/prelude.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/proxy_protocol.h"
#include "worker/conn.h"
#include "worker/gate.h"
#include "worker/service.h"
#include "worker/settings.h"
#include "worker/timeouts.h"

#define LOG_INTERVAL_MS 10000

static size_t
round_up(size_t size)
{
	return (size + alignof(struct prelude) - 1) / alignof(struct prelude) *
	       alignof(struct prelude);
}

size_t
prelude_size(const struct settings *settings)
{
	if (!settings->gate.accepts_proxy) {
		return 0;
	}
	return round_up(settings->protocol->state_size) - settings->protocol->state_size +
	       sizeof(struct prelude);
}

/* @return NULL when the connection has none */
static struct prelude *
prelude_of(const struct conn *conn)
{
	unsigned char *state = conn_state((struct conn *)(uintptr_t)conn);

	return conn->settings->gate.accepts_proxy
		       ? (struct prelude *)(void *)(state +
						    round_up(conn->settings->protocol->state_size))
		       : NULL;
}

/* Who is trusted is the operator's own machine, so it is worth a line when it does not speak as it
 * should. */
static void
complain(const struct conn *conn, const char *what)
{
	static struct log_limit limit;
	char sender[ADDRESS_TEXT_MAX];
	uint64_t suppressed;

	if (log_limit_allows(&limit, LOG_INTERVAL_MS, &suppressed)) {
		log_warning(
			"listener %s: %s, a trusted sender, did not begin with a whole PROXY "
			"header: %s; connection reset, as were %llu since this was said last; "
			"have it send the header, or connect to a listener without accept_proxy",
			conn->settings->name, peer_format(&conn->peer, sender), what,
			(unsigned long long)suppressed);
	}
}

/* A stranger at a public address is no news; the counter tells that there are some. */
static void
mention_stranger(const struct conn *conn)
{
	static struct log_limit limit;
	char sender[ADDRESS_TEXT_MAX];
	uint64_t suppressed;

	if (log_limit_allows(&limit, LOG_INTERVAL_MS, &suppressed)) {
		log_info("listener %s: %s is not in trusted and may not name clients by a PROXY "
			 "header; connection reset, as were %llu since this was said last; if it "
			 "is a load balancer of yours, add its network to trusted",
			conn->settings->name, peer_format(&conn->peer, sender),
			(unsigned long long)suppressed);
	}
}

struct verdict
prelude_begin(struct conn *conn)
{
	if (!gate_trusts(&conn->settings->gate, &conn->peer)) {
		mention_stranger(conn);
		return verdict_failed(CLOSE_untrusted);
	}
	timeouts_on_prelude(conn);
	return verdict_go_on();
}

/* Take from the socket what was looked at. */
static struct verdict
take(const struct conn *conn, unsigned char *bytes, size_t len)
{
	return recv(conn_fd(conn), bytes, len, 0) == (ssize_t)len ? verdict_go_on()
								  : verdict_failed(CLOSE_error);
}

static struct verdict
keep(struct prelude *prelude, const unsigned char *bytes, size_t len)
{
	if (prelude->kept == NULL) {
		prelude->kept = malloc(PROXY_V2_MAX);
	}
	if (prelude->kept == NULL) {
		return verdict_failed(CLOSE_no_memory);
	}
	memcpy(prelude->kept, bytes, len);
	prelude->kept_len = (uint16_t)len;
	return verdict_go_on();
}

static void
obey(struct conn *conn, struct prelude *prelude, const struct proxy_header *header)
{
	if (!header->is_local) {
		prelude->sender = conn->peer;
		conn->peer = header->client;
		prelude->target = header->target;
	}
	prelude_end(conn);
	conn->phase = CONN_FRESH;
	timeouts_on_activity(conn);
}

/* @param len  so many bytes of the header are there, the last `came` of them still in the socket */
static struct verdict
judge(struct conn *conn, unsigned char *bytes, size_t len, size_t came)
{
	struct prelude *prelude = prelude_of(conn);
	size_t taken = len - came;
	struct proxy_header header;
	struct verdict verdict;
	struct fault why;
	int header_len = proxy_header_read(bytes, len, &header, &why);

	if (header_len == -EAGAIN) {
		verdict = take(conn, bytes + taken, came);
		return verdict.kind == VERDICT_GO_ON ? keep(prelude, bytes, len) : verdict;
	}
	if (header_len < 0) {
		complain(conn, why.text);
		return verdict_failed(CLOSE_proxy_header);
	}
	verdict = take(conn, bytes + taken, (size_t)header_len - taken);
	if (verdict.kind == VERDICT_GO_ON) {
		obey(conn, prelude, &header);
	}
	return verdict;
}

/* A load balancer that looks whether we live connects and closes: no header is then no fault. */
static struct verdict
ended(const struct conn *conn, size_t kept_len)
{
	if (kept_len == 0) {
		return verdict_failed(CLOSE_client);
	}
	complain(conn, "it ended before");
	return verdict_failed(CLOSE_proxy_header);
}

/* An incomplete header is shorter than the longest, so there is always room for a byte more. */
struct verdict
prelude_read(struct conn *conn)
{
	const struct prelude *prelude = prelude_of(conn);
	unsigned char *bytes = conn->settings->service->scratch;
	size_t kept_len = prelude->kept_len;
	ssize_t came;

	_Static_assert(PROXY_V2_MAX <= SERVICE_SCRATCH_BYTES, "a header fits");
	if (kept_len > 0) {
		memcpy(bytes, prelude->kept, kept_len);
	}
	came = recv(conn_fd(conn), bytes + kept_len, PROXY_V2_MAX - kept_len, MSG_PEEK);
	if (came < 0) {
		return conn_judge(conn, errno);
	}
	return came == 0 ? ended(conn, kept_len)
			 : judge(conn, bytes, kept_len + (size_t)came, (size_t)came);
}

void
prelude_was_late(const struct conn *conn)
{
	complain(conn, "not within proxy_timeout");
}

void
prelude_end(struct conn *conn)
{
	struct prelude *prelude = prelude_of(conn);

	if (prelude != NULL) {
		free(prelude->kept);
		prelude->kept = NULL;
		prelude->kept_len = 0;
	}
}

void
prelude_target(const struct conn *conn, union peer *target)
{
	const struct prelude *prelude = prelude_of(conn);
	socklen_t len = sizeof(*target);

	if (prelude != NULL && prelude->target.any.sa_family != AF_UNSPEC) {
		*target = prelude->target;
		return;
	}
	memset(target, 0, sizeof(*target));
	if (getsockname(conn_fd(conn), &target->any, &len) != 0) {
		target->any.sa_family = AF_UNSPEC;
	}
}

const union peer *
prelude_sender(const struct conn *conn)
{
	const struct prelude *prelude = prelude_of(conn);

	return prelude != NULL && prelude->sender.any.sa_family != AF_UNSPEC ? &prelude->sender
									     : NULL;
}
