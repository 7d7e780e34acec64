/* RFC 862: every byte goes back. What was received before the client ended its side is still sent,
 * then the connection is closed. */
#include "worker/conn.h"
#include "worker/protocol.h"

extern const struct protocol protocol_echo;

static struct verdict
echo_on_received(struct conn *conn, const unsigned char *bytes, size_t len)
{
	return conn_send(conn, bytes, len);
}

const struct protocol protocol_echo = {
	.name = "echo",
	.on_received = echo_on_received,
};
