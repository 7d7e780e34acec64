/* What a configuration says of an upstream, made ready to choose by. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/maglev.h"
#include "worker/service.h"
#include "worker/upstream_private.h"

struct upstream_server *
upstream_server_hold(struct upstream_server *server)
{
	server->references++;
	return server;
}

void
upstream_server_release(struct upstream_server **server)
{
	struct upstream_server *released = *server;

	*server = NULL;
	if (released != NULL && --released->references == 0) {
		free(released);
	}
}

/* @param index  of its rows */
static struct upstream_server *
server_new(struct upstream *upstream, const struct upstream_server_config *config, size_t index)
{
	struct upstream_server *server = calloc(1, sizeof(*server));
	struct service *service = upstream->service;
	char name[CONFIG_ROW_NAME_MAX];

	if (server == NULL) {
		return NULL;
	}
	server->references = 1;
	upstream_check_init(&server->check);
	server->upstream = upstream;
	(void)config_row_name(config, index, name);
	server->row = board_find_server(&service->board, upstream->row, name);
	if (server->row < 0) {
		free(server);
		return NULL;
	}
	(void)snprintf(server->name, sizeof(server->name), "%s",
		service->board.master->servers[server->row].name);
	server->cells = &service->slot->servers[server->row];
	server->is_place = endpoint_is_name(&config->where);
	server->is_open = !server->is_place;
	server->address = config->where.address;
	server->weight = config->weight;
	server->max_connections = config->max_connections;
	server->backlog = config->backlog;
	server->is_backup = config->backup;
	upstream_place_read(server);
	return server;
}

void
upstream_plan_retire(struct upstream_plan *plan)
{
	for (size_t i = 0; i < plan->server_count; i++) {
		upstream_check_cancel(plan->servers[i]);
	}
}

void
upstream_plan_release(struct upstream_plan **plan)
{
	struct upstream_plan *released = *plan;

	*plan = NULL;
	if (released == NULL || --released->references > 0) {
		return;
	}
	upstream_plan_retire(released);
	for (size_t i = 0; i < released->server_count; i++) {
		upstream_server_release(&released->servers[i]);
	}
	deadlines_close_list(&released->service->deadlines, &released->queueing);
	deadlines_close_list(&released->service->deadlines, &released->retrying);
	deadlines_close_list(&released->service->deadlines, &released->settling);
	deadlines_close_list(&released->service->deadlines, &released->sampling);
	free(released->check.send);
	free(released->check.expect);
	free(released->table);
	free(released->sources);
	free(released);
}

static int
add_sources(struct upstream_plan *plan, const struct network_list *sources)
{
	plan->source_count = sources->count;
	plan->sources = calloc(sources->count + 1, sizeof(*plan->sources));
	if (plan->sources == NULL) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < sources->count; i++) {
		plan->sources[i] = sources->items[i].prefix;
	}
	return 0;
}

static int
add_servers(
	struct upstream_plan *plan, struct upstream *upstream, const struct upstream_config *config)
{
	for (size_t i = 0; i < config->server_count; i++) {
		size_t rows = config_server_rows(&config->servers[i]);

		for (size_t k = 0; k < rows; k++) {
			struct upstream_server *server =
				server_new(upstream, &config->servers[i], k);

			if (server == NULL) {
				return -ENOMEM;
			}
			plan->servers[plan->server_count++] = server;
		}
	}
	return 0;
}

/* The table knows the configured weights only: who is down is passed over when it is used, so that
 * a client of a server that comes back finds it again. Places go by their addresses, which are the
 * same on every machine, and not by their numbers. */
void
upstream_plan_hash(struct upstream_plan *plan)
{
	struct maglev_server rows[CONFIG_SERVERS_MAX];
	char addresses[CONFIG_SERVERS_MAX][ADDRESS_TEXT_MAX];

	static_assert(CONFIG_SERVERS_MAX <= MAGLEV_SERVERS_MAX, "the table takes them all");
	if (plan->table == NULL) {
		return;
	}
	for (size_t i = 0; i < plan->server_count; i++) {
		const struct upstream_server *server = plan->servers[i];

		rows[i].name = server->is_place ? address_format(&server->address, addresses[i])
						: server->name;
		rows[i].weight = server->is_open ? (unsigned)server->weight : 0;
	}
	(void)!maglev_build(rows, plan->server_count, plan->table);
}

static int
add_table(struct upstream_plan *plan)
{
	if (plan->balance != BALANCE_CLIENT_HASH) {
		return 0;
	}
	plan->table = calloc(MAGLEV_SIZE, sizeof(*plan->table));
	if (plan->table == NULL) {
		return -ENOMEM;
	}
	upstream_plan_hash(plan);
	return 0;
}

static int
add_check(struct upstream_plan *plan, const struct upstream_config *config)
{
	plan->check.when = config->check.when;
	plan->check.interval_ms = config->check.interval_ms;
	plan->check.timeout_ms = config->check.timeout_ms;
	plan->check.send = strdup(config->check.send);
	plan->check.expect = strdup(config->check.expect);
	return plan->check.send == NULL || plan->check.expect == NULL ? -ENOMEM : 0;
}

static int
add_lists(struct upstream_plan *plan, const struct upstream_config *config)
{
	struct deadlines *deadlines = &plan->service->deadlines;

	plan->queueing =
		deadlines_open_list(deadlines, config->queue_timeout_ms, upstream_on_queue_timeout);
	plan->retrying = deadlines_open_list(deadlines,
		config->queue_timeout_ms < UPSTREAM_RETRY_MS ? config->queue_timeout_ms
							     : UPSTREAM_RETRY_MS,
		upstream_on_retry);
	plan->settling =
		deadlines_open_list(deadlines, config->settle_time_ms, upstream_on_settled);
	plan->sampling = deadlines_open_list(deadlines, UPSTREAM_SAMPLE_MS, upstream_on_settled);
	return plan->queueing == NULL || plan->retrying == NULL || plan->settling == NULL ||
			       plan->sampling == NULL
		       ? -ENOMEM
		       : 0;
}

struct upstream_plan *
upstream_plan_new(struct upstream *upstream, const struct upstream_config *config)
{
	struct upstream_plan *plan = calloc(1, sizeof(*plan));

	if (plan == NULL) {
		return NULL;
	}
	plan->references = 1;
	plan->service = upstream->service;
	plan->balance = config->balance;
	plan->connect_timeout_ms = config->connect_timeout_ms;
	plan->slow_start_ms = config->slow_start_ms;
	plan->queue_max = config->queue_max;
	plan->refuses_when_down = config->on_down == ON_DOWN_REFUSE;
	plan->send_proxy = config->send_proxy;
	plan->rise = config->check.rise;
	plan->fall = config->check.fall;
	plan->placings = upstream_placings(upstream);
	plan->memory.random = (uint64_t)upstream->service->slot_index << 32;
	if (add_sources(plan, &config->sources) != 0 || add_servers(plan, upstream, config) != 0 ||
		add_table(plan) != 0 || add_check(plan, config) != 0 ||
		add_lists(plan, config) != 0) {
		upstream_plan_release(&plan);
	}
	return plan;
}
