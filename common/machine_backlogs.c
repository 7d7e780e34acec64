/* The accept queues of back ends on this host beside what is declared of them. */
#include <stdio.h>

#include "common/config.h"
#include "common/machine.h"
#include "common/sock_diag.h"

static void
take(const struct upstream_config *upstream, const struct upstream_server_config *server,
	struct machine_backlogs *backlogs)
{
	struct sock_diag_queue queue;
	char name[ENDPOINT_TEXT_MAX];

	if (server->backlog == CONFIG_NONE || server->where.kind != ENDPOINT_ADDRESS ||
		sock_diag_listener(&server->where.address, &queue) != 0) {
		return;
	}
	if (backlogs->known++ == 0 ||
		server->backlog - queue.limit > backlogs->declared - backlogs->limit) {
		(void)snprintf(backlogs->worst, sizeof(backlogs->worst), "%s/%s", upstream->name,
			config_server_name(server, name));
		backlogs->declared = server->backlog;
		backlogs->limit = queue.limit;
	}
}

void
machine_read_backlogs(const struct config *config, struct machine *machine)
{
	machine->backlogs = (struct machine_backlogs){0};
	for (size_t i = 0; i < config->upstream_count; i++) {
		const struct upstream_config *upstream = &config->upstreams[i];

		for (size_t k = 0; k < upstream->server_count; k++) {
			take(upstream, &upstream->servers[k], &machine->backlogs);
		}
	}
}
