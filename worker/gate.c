/* The lists are asked for each client and change only with the configuration, so they are put in
 * order once. */
#include "worker/gate.h"

#include <errno.h>

#include "common/address.h"
#include "common/config.h"
#include "worker/conn.h"
#include "worker/settings.h"
#include "worker/source_gate.h"

int
gate_open(struct gate *gate, const struct listener_config *config)
{
	gate->accepts_proxy = config->accept_proxy;
	return network_set_make(&gate->allow, &config->allow) != 0 ||
			       network_set_make(&gate->deny, &config->deny) != 0 ||
			       network_set_make(&gate->trusted, &config->trusted) != 0
		       ? -ENOMEM
		       : 0;
}

void
gate_close(struct gate *gate)
{
	network_set_free(&gate->allow);
	network_set_free(&gate->deny);
	network_set_free(&gate->trusted);
}

static bool
has_address(const union peer *peer)
{
	struct in6_addr address;

	return network_address_of(peer, &address);
}

bool
gate_lets_in(const struct gate *gate, const union peer *client)
{
	return !has_address(client) ||
	       (!network_set_contains(&gate->deny, client) &&
		       (gate->allow.count == 0 || network_set_contains(&gate->allow, client)));
}

bool
gate_trusts(const struct gate *gate, const union peer *sender)
{
	return !has_address(sender) || network_set_contains(&gate->trusted, sender);
}

struct verdict
gate_admit(struct conn *conn)
{
	if (!gate_lets_in(&conn->settings->gate, &conn->peer)) {
		return verdict_failed(CLOSE_denied);
	}
	return source_gate_admit(conn);
}

void
gate_leave(struct conn *conn)
{
	source_gate_leave(conn);
}
