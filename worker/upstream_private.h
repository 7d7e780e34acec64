/* What the files of the upstreams know of them and nobody else does. */
#pragma once

#include "common/config.h"
#include "worker/upstream.h"

/* What one configuration says of an upstream. */
struct upstream_plan {
	int64_t connect_timeout_ms;
	int send_proxy;
	struct in6_addr *sources;
	size_t source_count, source_turn;
	struct upstream_server *servers[CONFIG_SERVERS_MAX];
	size_t server_count;
};

struct upstream {
	struct upstream *next; /* of the service */
	struct service *service;
	unsigned references; /* by settings and requests */
	bool is_configured;  /* the configuration in force has it */
	char name[BOARD_NAME_MAX];
	struct upstream_plan *plan;  /* in force; the last one when it is not configured any more */
	struct upstream_plan *draft; /* until the commit */
	struct upstream_request *waiting;
	size_t turn; /* round robin */
};

void upstream_server_release(struct upstream_server **server);
