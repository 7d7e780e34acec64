/* An upstream from birth to death, and what its configuration says. Objects outlive a reload: a
 * server is replaced by a new object only in the list, sessions keep theirs. */
#include "worker/upstream.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/network.h"
#include "worker/service.h"
#include "worker/upstream_private.h"

/* --- servers --- */

void
upstream_server_release(struct upstream_server **server)
{
	struct upstream_server *released = *server;

	*server = NULL;
	if (released != NULL && --released->references == 0) {
		free(released);
	}
}

static struct upstream_server *
server_new(struct upstream *upstream, const struct upstream_server_config *config)
{
	struct upstream_server *server = calloc(1, sizeof(*server));

	if (server == NULL) {
		return NULL;
	}
	server->references = 1;
	server->upstream = upstream;
	(void)config_server_name(config, server->name);
	server->address = config->where.items[0];
	server->weight = config->weight;
	server->max_connections = config->max_connections;
	server->backlog = config->backlog;
	server->is_backup = config->backup;
	return server;
}

/* --- plans: what an upstream is made of under one configuration --- */

static void
plan_free(struct upstream_plan **plan)
{
	struct upstream_plan *gone = *plan;

	*plan = NULL;
	if (gone == NULL) {
		return;
	}
	for (size_t i = 0; i < gone->server_count; i++) {
		upstream_server_release(&gone->servers[i]);
	}
	free(gone->sources);
	free(gone);
}

static int
plan_add_sources(struct upstream_plan *plan, const struct network_list *sources)
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

static struct upstream_plan *
plan_new(struct upstream *upstream, const struct upstream_config *config)
{
	struct upstream_plan *plan = calloc(1, sizeof(*plan));

	if (plan == NULL || plan_add_sources(plan, &config->sources) != 0) {
		plan_free(&plan);
		return NULL;
	}
	plan->connect_timeout_ms = config->connect_timeout_ms;
	plan->send_proxy = config->send_proxy;
	for (size_t i = 0; i < config->server_count; i++) {
		plan->servers[i] = server_new(upstream, &config->servers[i]);
		if (plan->servers[i] == NULL) {
			plan_free(&plan);
			return NULL;
		}
		plan->server_count++;
	}
	return plan;
}

/* --- upstreams --- */

struct upstream *
upstream_find(const struct service *service, const char *name)
{
	for (struct upstream *upstream = service->upstreams; upstream != NULL;
		upstream = upstream->next) {
		if (strcmp(upstream->name, name) == 0) {
			return upstream;
		}
	}
	return NULL;
}

static struct upstream *
upstream_new(struct service *service, const char *name)
{
	struct upstream *upstream = calloc(1, sizeof(*upstream));

	if (upstream == NULL) {
		return NULL;
	}
	upstream->service = service;
	(void)snprintf(upstream->name, sizeof(upstream->name), "%s", name);
	upstream->next = service->upstreams;
	service->upstreams = upstream;
	return upstream;
}

static void
upstream_free(struct upstream *upstream)
{
	struct upstream **place = &upstream->service->upstreams;

	assert(upstream->waiting == NULL);
	while (*place != upstream) {
		place = &(*place)->next;
	}
	*place = upstream->next;
	plan_free(&upstream->plan);
	plan_free(&upstream->draft);
	free(upstream);
}

struct upstream *
upstream_hold(struct upstream *upstream)
{
	if (upstream != NULL) {
		upstream->references++;
	}
	return upstream;
}

void
upstream_release(struct upstream **upstream)
{
	struct upstream *released = *upstream;

	*upstream = NULL;
	if (released != NULL && --released->references == 0 && !released->is_configured) {
		upstream_free(released);
	}
}

int
upstreams_prepare(struct service *service, const struct config *config)
{
	for (size_t i = 0; i < config->upstream_count; i++) {
		const struct upstream_config *row = &config->upstreams[i];
		struct upstream *upstream = upstream_find(service, row->name);

		if (upstream == NULL) {
			upstream = upstream_new(service, row->name);
		}
		if (upstream != NULL) {
			upstream->draft = plan_new(upstream, row);
		}
		if (upstream == NULL || upstream->draft == NULL) {
			upstreams_roll_back(service);
			return -ENOMEM;
		}
	}
	return 0;
}

/* Those that only a configuration held, which is not, or no longer, in force. */
static void
free_unused(struct service *service)
{
	struct upstream *next;

	for (struct upstream *upstream = service->upstreams; upstream != NULL; upstream = next) {
		next = upstream->next;
		if (!upstream->is_configured && upstream->references == 0) {
			upstream_free(upstream);
		}
	}
}

void
upstreams_roll_back(struct service *service)
{
	for (struct upstream *upstream = service->upstreams; upstream != NULL;
		upstream = upstream->next) {
		plan_free(&upstream->draft);
	}
	free_unused(service);
}

void
upstreams_commit(struct service *service)
{
	for (struct upstream *upstream = service->upstreams; upstream != NULL;
		upstream = upstream->next) {
		bool is_in = upstream->draft != NULL;

		if (is_in) {
			plan_free(&upstream->plan);
			upstream->plan = upstream->draft;
			upstream->draft = NULL;
		}
		upstream->is_configured = is_in;
	}
	free_unused(service);
}

void
upstreams_fini(struct service *service)
{
	for (struct upstream *upstream = service->upstreams; upstream != NULL;
		upstream = upstream->next) {
		upstream->is_configured = false;
		plan_free(&upstream->draft);
	}
	free_unused(service);
	assert(service->upstreams == NULL);
}

int64_t
upstream_connect_timeout_ms(const struct upstream *upstream)
{
	return upstream->plan->connect_timeout_ms;
}

int
upstream_send_proxy(const struct upstream *upstream)
{
	return upstream->plan->send_proxy;
}

static bool
set_source(struct address *address, const struct in6_addr *source, sa_family_t family)
{
	*address = (struct address){0};
	address->any.sa_family = family;
	if (family == AF_INET && IN6_IS_ADDR_V4MAPPED(source)) {
		address->len = sizeof(address->in4);
		memcpy(&address->in4.sin_addr, &source->s6_addr[12], 4);
		return true;
	}
	if (family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(source)) {
		address->len = sizeof(address->in6);
		address->in6.sin6_addr = *source;
		return true;
	}
	return false;
}

bool
upstream_source(const struct upstream_request *request, struct address *source)
{
	struct upstream_plan *plan = request->upstream->plan;

	for (size_t i = 0; i < plan->source_count; i++) {
		const struct in6_addr *next =
			&plan->sources[plan->source_turn++ % plan->source_count];

		if (set_source(source, next, request->server->address.any.sa_family)) {
			return true;
		}
	}
	return false;
}
