/* The JSON is that of acceptctl --json, written by the same functions. */
#include "monitor/web_routes.h"

#include <string.h>

#include "monitor/health.h"
#include "monitor/history.h"
#include "monitor/page_bytes.h"
#include "monitor/prometheus.h"
#include "monitor/reading.h"
#include "monitor/render.h"
#include "monitor/states.h"
#include "monitor/waits.h"

#define JSON "application/json"
#define TEXT "text/plain; charset=utf-8"

static struct render
render_of(const struct web_view *view)
{
	return (struct render){.form = RENDER_JSON,
		.before = view->second_ago,
		.minute_ago = view->minute_ago,
		.now = view->now,
		.board = view->board};
}

/* --- for machines --- */

static int
write_metrics(
	const struct web_view *view, const char *query, enum http_status *status, FILE *stream)
{
	(void)query, (void)status;
	prometheus_print(view->now, view->board, stream);
	if (view->states->taken_ms != 0) {
		prometheus_print_states(view->states, view->states_age_ms, stream);
	}
	return 0;
}

static int
write_health(const struct web_view *view, const char *query, enum http_status *status, FILE *stream)
{
	struct health health;

	(void)query;
	health_judge(view->minute_ago, view->now, &health);
	*status = health.level == HEALTH_BAD ? HTTP_UNAVAILABLE : HTTP_OK;
	fprintf(stream, "%s\n", health_level_name(health.level));
	for (size_t i = 0; i < health.count; i++) {
		fprintf(stream, "%s: %s\n", health_level_name(health.findings[i].level),
			health.findings[i].text);
	}
	return 0;
}

static int
write_readiness(
	const struct web_view *view, const char *query, enum http_status *status, FILE *stream)
{
	unsigned serving = 0;

	(void)query;
	for (size_t i = 0; i < view->now->worker_count; i++) {
		serving += view->now->workers[i].state == BOARD_WORKER_SERVING;
	}
	*status = serving > 0 ? HTTP_OK : HTTP_UNAVAILABLE;
	fprintf(stream, serving > 0 ? "ready: %u workers serve\n" : "not ready: no worker serves\n",
		serving);
	return 0;
}

/* --- JSON --- */

static int
write_status(const struct web_view *view, const char *query, enum http_status *status, FILE *stream)
{
	struct render render = render_of(view);
	struct health health;

	(void)query, (void)status;
	health_judge(view->minute_ago, view->now, &health);
	return render_status(&render, &health, stream);
}

static int
write_listeners(
	const struct web_view *view, const char *query, enum http_status *status, FILE *stream)
{
	struct render render = render_of(view);

	(void)query, (void)status;
	return render_listeners(&render, stream);
}

static int
write_upstreams(
	const struct web_view *view, const char *query, enum http_status *status, FILE *stream)
{
	struct render render = render_of(view);

	(void)query, (void)status;
	return render_upstreams(&render, stream);
}

static int
write_workers(
	const struct web_view *view, const char *query, enum http_status *status, FILE *stream)
{
	struct render render = render_of(view);

	(void)query, (void)status;
	return render_workers(&render, stream);
}

static int
write_kernel(const struct web_view *view, const char *query, enum http_status *status, FILE *stream)
{
	struct render render = render_of(view);

	(void)query, (void)status;
	return render_kernel(&render, stream);
}

static int
write_states(const struct web_view *view, const char *query, enum http_status *status, FILE *stream)
{
	struct render render = render_of(view);

	(void)query, (void)status;
	return states_render(view->states, NULL, &render, stream);
}

static uint64_t
number_in(const char *query, const char *name)
{
	unsigned long long number = 0;

	return http_query_number(query, name, &number) ? number : 0;
}

static int
write_events(const struct web_view *view, const char *query, enum http_status *status, FILE *stream)
{
	struct render render = render_of(view);

	(void)status;
	return render_events(&render, view->board, number_in(query, "after"), stream);
}

static int
write_waits(const struct web_view *view, const char *query, enum http_status *status, FILE *stream)
{
	(void)query, (void)status;
	waits_render(view->waits, view->now, stream);
	return 0;
}

static int
write_history(
	const struct web_view *view, const char *query, enum http_status *status, FILE *stream)
{
	(void)status;
	history_render(view->history, number_in(query, "after"), stream);
	return 0;
}

/* Everything the page shows, of one moment: one request a second, and its parts agree. */
static int
write_page_data(
	const struct web_view *view, const char *query, enum http_status *status, FILE *stream)
{
	static const struct {
		const char *key;
		int (*write)(const struct web_view *view, const char *query,
			enum http_status *status, FILE *stream);
		const char *mark; /* what `after` is called here */
	} parts[] = {
		{"status", write_status, NULL},
		{"listeners", write_listeners, NULL},
		{"workers", write_workers, NULL},
		{"waits", write_waits, NULL},
		{"states", write_states, NULL},
		{"kernel", write_kernel, NULL},
		{"events", write_events, "event"},
		{"history", write_history, "point"},
	};
	char after[32] = "";
	int error = 0;

	for (size_t i = 0; i < ARRAY_LEN(parts) && error == 0; i++) {
		if (parts[i].mark != NULL) {
			(void)snprintf(after, sizeof(after), "after=%llu",
				(unsigned long long)number_in(query, parts[i].mark));
		}
		fprintf(stream, "%s\"%s\":", i == 0 ? "{" : ",", parts[i].key);
		error = parts[i].write(view, after, status, stream);
	}
	fputs("}\n", stream);
	return error;
}

#define FILE_OF(name) NULL, page_##name, page_##name##_end

const struct web_route web_routes[WEB_ROUTES] = {
	{"/", "text/html; charset=utf-8", FILE_OF(html), false, false},
	{"/api/events", JSON, write_events, NULL, NULL, false, false},
	{"/api/history", JSON, write_history, NULL, NULL, false, false},
	{"/api/kernel", JSON, write_kernel, NULL, NULL, false, false},
	{"/api/listeners", JSON, write_listeners, NULL, NULL, false, false},
	{"/api/page", JSON, write_page_data, NULL, NULL, false, true},
	{"/api/states", JSON, write_states, NULL, NULL, false, true},
	{"/api/status", JSON, write_status, NULL, NULL, false, false},
	{"/api/upstreams", JSON, write_upstreams, NULL, NULL, false, false},
	{"/api/waits", JSON, write_waits, NULL, NULL, false, false},
	{"/api/workers", JSON, write_workers, NULL, NULL, false, false},
	{"/healthz", TEXT, write_health, NULL, NULL, true, false},
	{"/icon.svg", "image/svg+xml", FILE_OF(icon), false, false},
	{"/metrics", PROMETHEUS_TYPE, write_metrics, NULL, NULL, false, true},
	{"/page.css", "text/css; charset=utf-8", FILE_OF(css), false, false},
	{"/page.js", "text/javascript; charset=utf-8", FILE_OF(js), false, false},
	{"/readyz", TEXT, write_readiness, NULL, NULL, true, false},
};

const struct web_route *
web_route_find(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(web_routes); i++) {
		if (strcmp(web_routes[i].path, path) == 0) {
			return &web_routes[i];
		}
	}
	return NULL;
}
