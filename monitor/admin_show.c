/* Commands that show a reading, each in a few lines: the work is done by the renderers. */
#include <errno.h>
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
	admin_check(call, render_stats(&call->render, admin_argument(call, 1), call->out));
}

/* --new: what has happened since this session was last shown events; at first, nothing. */
void
admin_show_events(struct admin_call *call)
{
	const char *option = admin_argument(call, 1);
	uint64_t last = call->render.now->last_event;
	uint64_t after = 0;

	if (option != NULL && strcmp(option, "--new") != 0) {
		admin_refuse_usage(call);
		return;
	}
	if (option != NULL) {
		after = *call->seen_event == 0 ? last : *call->seen_event - 1;
	}
	*call->seen_event = last + 1;
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
