/* The lists are asked for each client and change only with the configuration, so they are put in
 * order once. */
#include "worker/gate.h"

#include <errno.h>

#include "common/address.h"
#include "common/config.h"
#include "worker/conn.h"
#include "worker/settings.h"

int
gate_open(struct gate *gate, const struct listener_config *config)
{
	return network_set_make(&gate->allow, &config->allow) != 0 ||
			       network_set_make(&gate->deny, &config->deny) != 0
		       ? -ENOMEM
		       : 0;
}

void
gate_close(struct gate *gate)
{
	network_set_free(&gate->allow);
	network_set_free(&gate->deny);
}

bool
gate_lets_in(const struct gate *gate, const union peer *client)
{
	struct in6_addr address;

	if (!network_address_of(client, &address)) {
		return true;
	}
	return !network_set_contains(&gate->deny, client) &&
	       (gate->allow.count == 0 || network_set_contains(&gate->allow, client));
}

struct verdict
gate_admit(struct conn *conn)
{
	if (!gate_lets_in(&conn->settings->gate, &conn->peer)) {
		return verdict_failed(CLOSE_denied);
	}
	return verdict_go_on();
}

void
gate_leave(struct conn *conn)
{
	(void)conn;
}
