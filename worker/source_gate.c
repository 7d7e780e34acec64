/* What a source has is on the board; a connection only remembers that it was counted, because its
 * listener may have had no limit when it came. */
#include "worker/source_gate.h"

#include "common/board.h"
#include "common/sources.h"
#include "worker/conn.h"
#include "worker/service.h"
#include "worker/settings.h"

static bool
find_source(const struct conn *conn, struct source *source)
{
	const struct settings *settings = conn->settings;

	return source_of(&settings->service->board.master->source_key, &conn->peer,
		settings->board_listener, source);
}

static void
find_tables(struct service *service, struct sources *sources)
{
	stat_set(&service->slot->has_sources, 1);
	board_sources(&service->board, service->slot_index, sources);
}

static bool
is_limited(const struct settings *settings)
{
	return settings->source_limits.connections > 0 || settings->source_limits.per_second > 0;
}

static void
note_untracked(struct service *service)
{
	stat_add(&service->slot->stats[STAT_WORKER_sources_untracked], 1);
}

static struct verdict
admit_within_limits(struct conn *conn, const struct source *source)
{
	struct service *service = conn->settings->service;
	struct sources sources;

	find_tables(service, &sources);
	switch (sources_admit(&sources, source, &conn->settings->source_limits, service->now_ms)) {
	case SOURCE_ADMITTED:
		conn->is_counted = true;
		break;
	case SOURCE_UNTRACKED:
		note_untracked(service);
		break;
	case SOURCE_OVER_CONNECTIONS:
		return verdict_failed(CLOSE_source_limit);
	case SOURCE_OVER_RATE:
		return verdict_failed(CLOSE_source_rate);
	}
	return verdict_go_on();
}

struct verdict
source_gate_admit(struct conn *conn)
{
	const struct service *service = conn->settings->service;
	bool has_penalties = board_has_penalties(&service->board, service->now_ms);
	struct source source;

	if ((!is_limited(conn->settings) && !has_penalties) || !find_source(conn, &source)) {
		return verdict_go_on();
	}
	if (has_penalties && board_penalty_left_ms(&service->board, &source, service->now_ms) > 0) {
		return verdict_failed(CLOSE_source_penalty);
	}
	return is_limited(conn->settings) ? admit_within_limits(conn, &source) : verdict_go_on();
}

void
source_gate_leave(struct conn *conn)
{
	struct sources sources;
	struct source source;

	if (conn->is_counted && find_source(conn, &source)) {
		find_tables(conn->settings->service, &sources);
		sources_leave(&sources, &source);
		conn->is_counted = false;
	}
}

static void
count_open(struct conn *conn, const struct sources *sources)
{
	struct service *service = conn->settings->service;
	struct source source;

	if (!find_source(conn, &source)) {
		return;
	}
	conn->is_counted = sources_enter(sources, &source, service->now_ms);
	if (!conn->is_counted) {
		note_untracked(service);
	}
}

void
source_gate_count_open(struct service *service, const struct settings *settings)
{
	struct sources sources;

	if (!is_limited(settings)) {
		return;
	}
	find_tables(service, &sources);
	for (struct conn *conn = service->conns; conn != NULL; conn = conn->next) {
		if (conn->settings->board_listener == settings->board_listener &&
			conn->is_admitted && !conn->is_counted) {
			count_open(conn, &sources);
		}
	}
}
