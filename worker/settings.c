/* Made at a commit from one listener of the configuration, from then on unchanged. */
#include "worker/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/config.h"
#include "worker/account.h"
#include "worker/protocol.h"
#include "worker/service.h"
#include "worker/session_log.h"
#include "worker/upstream.h"

static int
open_looks(struct settings *settings, const struct listener_config *config)
{
	if (settings->protocol->on_look == NULL) {
		return 0;
	}
	settings->looks = deadlines_open_list(&settings->service->deadlines,
		timeouts_look_ms(config), settings->protocol->on_look);
	return settings->looks == NULL ? -ENOMEM : 0;
}

struct settings *
settings_new(struct service *service, const struct listener_config *config, int board_listener,
	struct upstream *upstream)
{
	struct settings *settings = calloc(1, sizeof(*settings));

	if (settings == NULL) {
		return NULL;
	}
	settings->references = 1;
	settings->service = service;
	settings->protocol = protocol_find(config->protocol);
	(void)snprintf(settings->name, sizeof(settings->name), "%s", config->name);
	settings->board_listener = board_listener;
	settings->cells = &service->slot->listeners[board_listener];
	settings->max_connections = config->max_connections;
	settings->source_limits = (struct source_limits){
		.connections = config->max_connections_per_source,
		.per_second = config->connection_rate_per_source,
	};
	settings->refuses_at_limit = config->on_limit == ON_LIMIT_REFUSE;
	settings->max_pending_bytes = (size_t)config->max_pending_bytes;
	settings->upstream = upstream_hold(upstream);
	settings->back_options = (struct net_options){
		.no_delay = config->no_delay,
		.keepalive_idle_ms = config->keepalive.idle_ms,
		.keepalive_interval_ms = config->keepalive.interval_ms,
		.keepalive_probes = config->keepalive.probes,
		.user_timeout_ms = config->user_timeout_ms,
	};
	if (open_looks(settings, config) != 0 ||
		timeouts_open(&settings->timeouts, &service->deadlines, config) != 0 ||
		gate_open(&settings->gate, config) != 0) {
		settings_release(&settings);
	} else if (config->session_log && session_log_is_on(service)) {
		settings->account_offset = account_place(settings);
	}
	return settings;
}

struct settings *
settings_hold(struct settings *settings)
{
	settings->references++;
	return settings;
}

void
settings_release(struct settings **settings)
{
	struct settings *released = *settings;

	*settings = NULL;
	if (released != NULL && --released->references == 0) {
		deadlines_close_list(&released->service->deadlines, &released->looks);
		timeouts_close(&released->timeouts, &released->service->deadlines);
		gate_close(&released->gate);
		upstream_release(&released->upstream);
		free(released);
	}
}
