/* Between a client and a server of an upstream. Until the two are joined a client is told at once
 * that nobody serves it. */
#include "worker/conn.h"
#include "worker/protocol.h"

extern const struct protocol protocol_proxy;

static struct verdict
proxy_on_open(struct conn *conn)
{
	(void)conn;
	return verdict_failed(CLOSE_no_server);
}

const struct protocol protocol_proxy = {
	.name = "proxy",
	.on_open = proxy_on_open,
};
