/* The time is that of the turn, so refreshing a deadline is a list move and nothing else; and not
 * even that when it is where it was put in the same millisecond. */
#include "worker/timeouts.h"

#include <errno.h>

#include "common/config.h"
#include "common/net.h"
#include "worker/conn.h"
#include "worker/crash.h"
#include "worker/deadline.h"
#include "worker/output.h"
#include "worker/prelude.h"
#include "worker/protocol.h"
#include "worker/service.h"
#include "worker/settings.h"

#define LINGER_MS          5000
#define LOOK_MS            1000
#define CLOCK_TOLERANCE_MS 50 /* the kernel stamps in ticks of up to 10 ms */
#define PROBES_UNANSWERED  2  /* one may always be on its way */

static struct deadlines *
conn_deadlines(struct conn *conn)
{
	return &conn->settings->service->deadlines;
}

static int64_t
conn_now_ms(const struct conn *conn)
{
	return conn->settings->service->now_ms;
}

static void
activity_set(struct conn *conn, struct deadline_list *list)
{
	conn->is_active = list == conn->settings->timeouts.active;
	deadline_set(conn_deadlines(conn), &conn->activity, list, conn_now_ms(conn));
}

static struct conn *
activity_owner(struct deadline *deadline)
{
	return crash_hold(container_of(deadline, struct conn, activity));
}

static bool
is_dead(const struct timeouts *timeouts, const struct net_peer *peer)
{
	int64_t dead_after_ms = timeouts->dead_after_ms;

	return dead_after_ms > 0 && peer->silent_ms + CLOCK_TOLERANCE_MS >= dead_after_ms &&
	       (peer->unacknowledged > 0 || peer->probes >= PROBES_UNANSWERED);
}

bool
timeouts_is_dead(const struct timeouts *timeouts, int fd)
{
	struct net_peer peer;

	return net_peer_look(fd, &peer) == 0 && is_dead(timeouts, &peer);
}

static void
timeouts_on_late_header(struct deadline *deadline)
{
	struct conn *conn = activity_owner(deadline);

	prelude_was_late(conn);
	conn_close(conn, CLOSE_proxy_timeout);
}

static void
timeouts_on_idle(struct deadline *deadline)
{
	conn_close(activity_owner(deadline), CLOSE_idle);
}

enum quiet { QUIET_NOTHING_DUE, QUIET_ANSWER_DUE, QUIET_DEAD };

static enum quiet
look_at(const struct timeouts *timeouts, int fd)
{
	struct net_peer peer;

	if (fd < 0 || net_peer_look(fd, &peer) != 0) {
		return QUIET_NOTHING_DUE;
	}
	if (is_dead(timeouts, &peer)) {
		return QUIET_DEAD;
	}
	return peer.unacknowledged > 0 || peer.probes > 0 ? QUIET_ANSWER_DUE : QUIET_NOTHING_DUE;
}

static void
timeouts_on_quiet(struct deadline *deadline)
{
	struct conn *conn = activity_owner(deadline);
	const struct timeouts *timeouts = &conn->settings->timeouts;
	const struct protocol *protocol = conn->settings->protocol;
	enum quiet client = look_at(timeouts, conn_fd(conn));
	enum quiet other =
		look_at(timeouts, protocol->other_side == NULL ? -1 : protocol->other_side(conn));

	if (client == QUIET_DEAD) {
		conn_close(conn, CLOSE_peer_unreachable);
	} else if (other == QUIET_DEAD) {
		conn_close(conn, CLOSE_backend_unreachable);
	} else if (client == QUIET_ANSWER_DUE || other == QUIET_ANSWER_DUE) {
		activity_set(conn, timeouts->unacknowledged);
		crash_release();
	} else {
		activity_set(conn, timeouts->idle);
		crash_release();
	}
}

/* How long the client has taken nothing. The socket takes more only once a third of its buffer,
 * which may be megabytes, is free again (sk_stream_is_writeable); what a slow reader acknowledges
 * until then is progress too. */
static int64_t
writing_stalled_ms(struct conn *conn)
{
	int64_t unacknowledged = net_unacknowledged_bytes(conn_fd(conn));

	if (unacknowledged < conn->pending->unacknowledged) {
		conn->pending->progress_ms = conn_now_ms(conn);
	}
	conn->pending->unacknowledged = unacknowledged;
	return conn_now_ms(conn) - conn->pending->progress_ms;
}

static void
timeouts_on_stalled(struct deadline *deadline)
{
	struct conn *conn = activity_owner(deadline);
	const struct timeouts *timeouts = &conn->settings->timeouts;
	int64_t stalled_ms = writing_stalled_ms(conn);

	if (timeouts->write_timeout_ms > 0 && stalled_ms >= timeouts->write_timeout_ms) {
		conn_close(conn, CLOSE_write_timeout);
	} else if (timeouts_is_dead(timeouts, conn_fd(conn))) {
		conn_close(conn, CLOSE_peer_unreachable);
	} else {
		activity_set(conn, timeouts->writing);
		crash_release();
	}
}

static void
timeouts_on_linger(struct deadline *deadline)
{
	struct conn *conn = activity_owner(deadline);

	conn_close(conn, conn->reason);
}

static void
timeouts_on_lifetime(struct deadline *deadline)
{
	conn_close(crash_hold(container_of(deadline, struct conn, lifetime)), CLOSE_lifetime);
}

/* Several looks within the write timeout, the last exactly at its end. */
static int64_t
writing_step_ms(int64_t write_timeout_ms, int64_t dead_after_ms)
{
	int64_t step_ms = (write_timeout_ms + 3) / 4, steps;

	if (write_timeout_ms == 0) {
		return dead_after_ms > 0 ? dead_after_ms / 6 : DEADLINE_NEVER;
	}
	if (dead_after_ms > 0 && dead_after_ms / 6 < step_ms) {
		step_ms = dead_after_ms / 6;
	}
	steps = (write_timeout_ms + step_ms - 1) / step_ms;
	return (write_timeout_ms + steps - 1) / steps;
}

static int64_t
keepalive_span_ms(const struct listener_config *config)
{
	if (config->keepalive.idle_ms == CONFIG_NONE) {
		return 0;
	}
	return config->keepalive.idle_ms + config->keepalive.interval_ms * config->keepalive.probes;
}

int64_t
timeouts_look_ms(const struct listener_config *config)
{
	const struct {
		int64_t length_ms;
		int looks;
	} rows[] = {{config->write_timeout_ms, 4}, {config->half_close_timeout_ms, 4},
		{config->keepalive.idle_ms, 2}};
	int64_t look_ms = LOOK_MS;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t wanted_ms = (rows[i].length_ms + rows[i].looks - 1) / rows[i].looks;

		look_ms = wanted_ms > 0 && wanted_ms < look_ms ? wanted_ms : look_ms;
	}
	return look_ms;
}

/* The first part of the idle time is `active`, at whose end we look at what is unacknowledged; the
 * rest is `idle`. Both are lists of one length each, so the order in them holds. */
static void
open_idle_lists(struct timeouts *timeouts, struct deadlines *deadlines, int64_t idle_ms)
{
	int64_t dead_ms = timeouts->dead_after_ms, rest_ms = idle_ms - dead_ms;

	if (dead_ms > 0 && (idle_ms == CONFIG_NONE || rest_ms > 0)) {
		timeouts->active = deadlines_open_list(deadlines, dead_ms, timeouts_on_quiet);
		timeouts->idle = deadlines_open_list(deadlines,
			idle_ms == CONFIG_NONE ? DEADLINE_NEVER : rest_ms, timeouts_on_idle);
	} else {
		timeouts->active = deadlines_open_list(deadlines, idle_ms, timeouts_on_idle);
		timeouts->idle = deadlines_open_list(deadlines, idle_ms, timeouts_on_idle);
	}
}

int
timeouts_open(struct timeouts *timeouts, struct deadlines *deadlines,
	const struct listener_config *config)
{
	*timeouts = (struct timeouts){.write_timeout_ms = config->write_timeout_ms,
		.half_close_ms = config->half_close_timeout_ms,
		.dead_after_ms = keepalive_span_ms(config)};
	open_idle_lists(timeouts, deadlines, config->idle_timeout_ms);
	timeouts->prelude =
		deadlines_open_list(deadlines, config->proxy_timeout_ms, timeouts_on_late_header);
	timeouts->unacknowledged =
		deadlines_open_list(deadlines, timeouts->dead_after_ms / 12, timeouts_on_quiet);
	timeouts->writing = deadlines_open_list(deadlines,
		writing_step_ms(timeouts->write_timeout_ms, timeouts->dead_after_ms),
		timeouts_on_stalled);
	timeouts->lingering = deadlines_open_list(deadlines, LINGER_MS, timeouts_on_linger);
	timeouts->lifetime =
		deadlines_open_list(deadlines, config->lifetime_ms, timeouts_on_lifetime);
	if (timeouts->prelude == NULL || timeouts->active == NULL || timeouts->idle == NULL ||
		timeouts->unacknowledged == NULL || timeouts->writing == NULL ||
		timeouts->lingering == NULL || timeouts->lifetime == NULL) {
		return -ENOMEM;
	}
	return 0;
}

void
timeouts_close(struct timeouts *timeouts, struct deadlines *deadlines)
{
	deadlines_close_list(deadlines, &timeouts->prelude);
	deadlines_close_list(deadlines, &timeouts->active);
	deadlines_close_list(deadlines, &timeouts->idle);
	deadlines_close_list(deadlines, &timeouts->unacknowledged);
	deadlines_close_list(deadlines, &timeouts->writing);
	deadlines_close_list(deadlines, &timeouts->lingering);
	deadlines_close_list(deadlines, &timeouts->lifetime);
}

void
timeouts_start(struct conn *conn)
{
	const struct timeouts *timeouts = &conn->settings->timeouts;

	deadline_set(conn_deadlines(conn), &conn->lifetime, timeouts->lifetime, conn_now_ms(conn));
	activity_set(conn, timeouts->active);
}

void
timeouts_on_prelude(struct conn *conn)
{
	activity_set(conn, conn->settings->timeouts.prelude);
}

void
timeouts_on_activity(struct conn *conn)
{
	struct deadline_list *active = conn->settings->timeouts.active;

	if (!conn->is_active ||
		conn->activity.expires_ms != conn_now_ms(conn) + active->length_ms) {
		activity_set(conn, active);
	}
}

void
timeouts_on_writing(struct conn *conn)
{
	conn->pending->unacknowledged = net_unacknowledged_bytes(conn_fd(conn));
	activity_set(conn, conn->settings->timeouts.writing);
}

void
timeouts_on_lingering(struct conn *conn)
{
	activity_set(conn, conn->settings->timeouts.lingering);
}

void
timeouts_stop(struct conn *conn)
{
	deadline_clear(&conn->activity);
	deadline_clear(&conn->lifetime);
}
