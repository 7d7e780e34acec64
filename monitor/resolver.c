#include "monitor/resolver.h"

#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/log.h"
#include "common/loop.h"
#include "monitor/answer.h"
#include "monitor/lookup.h"
#include "monitor/monitor.h"
#include "monitor/pace.h"

#define TOLD_AGAIN_MS 1000 /* the master was too busy to hear the answer */

/* One name. */
struct task {
	struct resolver *resolver;
	size_t server; /* index of all servers */
	struct loop_timer next;
	struct lookup *lookup; /* NULL: none is under way */
	unsigned failures;     /* in a row */
};

struct resolver {
	struct monitor *monitor;
	size_t task_count;
	struct task tasks[];
};

static const struct upstream_server_config *
server_of(const struct task *task)
{
	return &task->resolver->monitor->config->servers[task->server];
}

/* @return how many places the name has */
static size_t
read_places(const struct task *task, struct board_place places[CONFIG_PLACES_MAX])
{
	const struct monitor *monitor = task->resolver->monitor;
	const struct upstream_server_config *server = server_of(task);
	size_t count = config_server_rows(server);
	char name[CONFIG_ROW_NAME_MAX];
	int upstream = board_find_upstream(
		&monitor->board, config_upstream_of(monitor->config, task->server)->name);

	memset(places, 0, count * sizeof(*places));
	for (size_t i = 0; i < count; i++) {
		int row = board_find_server(
			&monitor->board, upstream, config_row_name(server, i, name));

		if (row >= 0) {
			board_read_place(&monitor->board, row, &places[i]);
		}
	}
	return count;
}

static bool
has_address(const struct board_place *places, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (places[i].state == BOARD_PLACE_HELD) {
			return true;
		}
	}
	return false;
}

/* Count the failures, and find out when it is time again. */
static int64_t
task_plan(struct task *task, const struct answer *answer, bool is_served)
{
	const struct config *config = task->resolver->monitor->config;

	if (answer->count > 0) {
		task->failures = 0;
		return pace_after_answer(answer->ttl_s, config->dns.max_ttl_ms);
	}
	task->failures++;
	return pace_after_failure(task->failures, is_served);
}

static void
task_wait(struct task *task, int64_t delay_ms)
{
	loop_timer_start(task->resolver->monitor->loop, &task->next, delay_ms);
}

static void
task_on_done(struct lookup *lookup, void *owner)
{
	struct task *task = owner;
	const struct monitor *monitor = task->resolver->monitor;
	struct answer *answer = lookup_answer(lookup);
	struct board_place known[CONFIG_PLACES_MAX];
	size_t known_count = read_places(task, known);
	struct channel_answer message;
	int64_t delay_ms;

	memset(&message, 0, sizeof(message));
	answer_settle(answer);
	if (answer->count > 0) {
		answer_keep(answer, known, known_count);
	}
	delay_ms = task_plan(task, answer, answer->count > 0 || has_address(known, known_count));
	message.generation = monitor->generation;
	message.server = (uint32_t)task->server;
	message.failure = answer->failure;
	message.next_ms = (uint32_t)delay_ms;
	message.found = (uint32_t)answer->found;
	message.count = (uint32_t)answer_choose(answer, known, known_count,
		server_of(task)->where.kind == ENDPOINT_SRV, message.places, known_count);
	(void)lookup_asked(lookup, message.asked, sizeof(message.asked));
	lookup_free(&task->lookup);
	task_wait(task, link_answer(monitor, &message) == 0 ? delay_ms : TOLD_AGAIN_MS);
}

static void
task_begin(struct task *task)
{
	const struct monitor *monitor = task->resolver->monitor;

	task->lookup = lookup_new(
		monitor->loop, monitor->config, &server_of(task)->where, task_on_done, task);
	if (task->lookup == NULL) {
		task->failures++;
		log_warning("cannot look up %s: out of memory or descriptors; trying again",
			server_of(task)->where.name);
		task_wait(task, pace_after_failure(task->failures, true));
	}
}

static void
task_on_time(struct ev_loop *loop, struct loop_timer *timer)
{
	(void)loop;
	task_begin(container_of(timer, struct task, next));
}

static void
resolver_add(struct resolver *resolver, size_t server)
{
	struct task *task = &resolver->tasks[resolver->task_count++];

	task->resolver = resolver;
	task->server = server;
	loop_timer_init(&task->next, task_on_time);
	task_wait(task, 0);
}

struct resolver *
resolver_new(struct monitor *monitor)
{
	const struct config *config = monitor->config;
	struct resolver *resolver =
		calloc(1, sizeof(*resolver) + config->server_count * sizeof(struct task));

	if (resolver == NULL) {
		log_error("out of memory: names of back ends are not looked up; reload to try "
			  "again");
		return NULL;
	}
	resolver->monitor = monitor;
	for (size_t i = 0; i < config->server_count; i++) {
		if (endpoint_is_name(&config->servers[i].where)) {
			resolver_add(resolver, i);
		}
	}
	return resolver;
}

void
resolver_free(struct resolver **resolver)
{
	struct resolver *freed = *resolver;

	*resolver = NULL;
	for (size_t i = 0; freed != NULL && i < freed->task_count; i++) {
		loop_timer_stop(freed->monitor->loop, &freed->tasks[i].next);
		lookup_free(&freed->tasks[i].lookup);
	}
	free(freed);
}
