/* An upstream from birth to death, and what its configuration says. Objects outlive a reload: a
 * server is replaced by a new object only in the list, sessions keep theirs. */
#include "worker/upstream.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "worker/service.h"
#include "worker/upstream_private.h"

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
	upstream->row = board_find_upstream(&service->board, name);
	if (upstream->row >= 0) {
		stat_set(&service->slot->upstreams[upstream->row].known, 1);
	}
	(void)snprintf(upstream->name, sizeof(upstream->name), "%s", name);
	upstream->next = service->upstreams;
	service->upstreams = upstream;
	return upstream;
}

static void
upstream_free(struct upstream *upstream)
{
	struct upstream **place = &upstream->service->upstreams;

	assert(upstream->first == NULL);
	while (*place != upstream) {
		place = &(*place)->next;
	}
	*place = upstream->next;
	upstream_plan_release(&upstream->plan);
	upstream_plan_release(&upstream->draft);
	if (upstream->row >= 0) {
		atomic_store(&upstream->service->slot->upstreams[upstream->row].known, 0);
	}
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
		if (upstream != NULL && upstream->row >= 0) {
			upstream->draft = upstream_plan_new(upstream, row);
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
		upstream_plan_release(&upstream->draft);
	}
	free_unused(service);
}

static void
use_draft(struct upstream *upstream)
{
	struct upstream_plan *before = upstream->plan;

	upstream->plan = upstream->draft;
	upstream->draft = NULL;
	if (before != NULL) {
		upstream_checks_go_on(upstream->plan, before);
		upstream_plan_retire(before);
	}
	upstream_plan_release(&before);
}

void
upstreams_commit(struct service *service)
{
	for (struct upstream *upstream = service->upstreams; upstream != NULL;
		upstream = upstream->next) {
		upstream->is_configured = upstream->draft != NULL;
		if (upstream->is_configured) {
			use_draft(upstream);
		}
	}
	free_unused(service);
	upstreams_look(service);
}

/* Sessions that are granted may end others, and with them upstreams: hold the one we stand on. */
void
upstreams_look(struct service *service)
{
	struct upstream *upstream = upstream_hold(service->upstreams);

	while (upstream != NULL) {
		struct upstream *next;

		upstream_pump(upstream);
		next = upstream_hold(upstream->next);
		upstream_release(&upstream);
		upstream = next;
	}
}

void
upstreams_fini(struct service *service)
{
	for (struct upstream *upstream = service->upstreams; upstream != NULL;
		upstream = upstream->next) {
		upstream->is_configured = false;
		upstream_plan_release(&upstream->draft);
	}
	free_unused(service);
	assert(service->upstreams == NULL);
}

const char *
upstream_name(const struct upstream *upstream)
{
	return upstream->name;
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
