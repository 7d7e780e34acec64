/* Commands that show a reading, each in a few lines: the work is done by the renderers. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/fault.h"
#include "monitor/admin.h"
#include "monitor/admin_handlers.h"
#include "monitor/fullest.h"
#include "monitor/health.h"
#include "monitor/monitor.h"
#include "monitor/states.h"

void
admin_show_status(struct admin_call *call)
{
	struct health health;

	health_judge(monitor_minute_ago(call->monitor), call->render.now, &health);
	call->status = health.level == HEALTH_BAD ? 1 : 0;
	admin_check(call, render_status(&call->render, &health, call->out));
}

void
admin_show_listeners(struct admin_call *call)
{
	admin_check(call, render_listeners(&call->render, call->out));
}

void
admin_show_upstreams(struct admin_call *call)
{
	admin_check(call, render_upstreams(&call->render, call->out));
}

void
admin_show_workers(struct admin_call *call)
{
	admin_check(call, render_workers(&call->render, call->out));
}

void
admin_show_queue(struct admin_call *call)
{
	admin_check(call, render_queue(&call->render, call->out));
}

void
admin_show_kernel(struct admin_call *call)
{
	admin_check(call, render_kernel(&call->render, call->out));
}

void
admin_show_stats(struct admin_call *call)
{
	const char *pattern = admin_argument(call, 1);
	int status = render_stats(&call->render, pattern, call->out);

	if (status == -ENOENT) {
		admin_refuse(call, ADMIN_FAILED,
			"no statistic is called '%s'; a pattern is as for file names: '*%s*'",
			pattern, pattern);
		return;
	}
	admin_check(call, status);
}

/* "NUMBER-START": the last event that somebody was shown, and of which master, because another one
 * numbers its events anew. What is no such mark, or none of this master, is the beginning. */
static uint64_t
event_of_mark(const char *mark, const struct reading *now)
{
	uint64_t number, start;
	char more;

	return sscanf(mark, "%" SCNu64 "-%" SCNu64 "%c", &number, &start, &more) == 2 &&
			       start == now->master[STAT_MASTER_start_time_seconds] &&
			       number <= now->last_event
		       ? number
		       : 0;
}

/* --after MARK: the events since, after a line with the mark for the next time. The mark is in the
 * client's hands and not in the session's, so a follower goes on with another monitor. */
void
admin_show_events(struct admin_call *call)
{
	const struct reading *now = call->render.now;
	const char *option = admin_argument(call, 1), *mark = admin_argument(call, 2);
	uint64_t after = 0;

	if (option != NULL && (strcmp(option, "--after") != 0 || mark == NULL)) {
		admin_refuse_usage(call);
		return;
	}
	if (mark != NULL) {
		after = event_of_mark(mark, now);
		fprintf(call->out, "%" PRIu64 "-%" PRIu64 "\n", now->last_event,
			now->master[STAT_MASTER_start_time_seconds]);
	}
	admin_check(call, render_events(&call->render, &call->monitor->board, after, call->out));
}

void
admin_show_sources(struct admin_call *call)
{
	const struct monitor *monitor = call->monitor;
	const char *name = admin_argument(call, 1);
	struct fullest *fullest;

	if (name != NULL && config_listener(monitor->config, name) == NULL) {
		admin_refuse(call, ADMIN_FAILED,
			"there is no listener '%s'; acceptctl listeners shows them", name);
		return;
	}
	fullest = malloc(sizeof(*fullest));
	if (fullest == NULL) {
		admin_check(call, -ENOMEM);
		return;
	}
	fullest_take(&monitor->board, clock_monotonic_ms(), fullest);
	admin_check(call, render_sources(&call->render, fullest, monitor->config, name, call->out));
	free(fullest);
}

void
admin_show_states(struct admin_call *call)
{
	const char *name = admin_argument(call, 1);
	struct fault why;
	const struct states *states = monitor_states(call->monitor, &why);

	if (states == NULL) {
		admin_refuse(call, ADMIN_FAILED, "%s", why.text);
	} else if (name != NULL && config_listener(call->monitor->config, name) == NULL) {
		admin_refuse(call, ADMIN_FAILED,
			"there is no listener '%s'; acceptctl listeners shows them", name);
	} else {
		admin_check(call, states_render(states, name, &call->render, call->out));
	}
}
