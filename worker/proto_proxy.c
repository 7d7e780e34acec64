/* The front door: each client gets a session with a server of the listener's upstream. */
#include "worker/protocol.h"
#include "worker/session.h"

extern const struct protocol protocol_proxy;

const struct protocol protocol_proxy = {
	.name = "proxy",
	.state_size = sizeof(struct session),
	.descriptors = 1,
	.on_open = session_open,
	.on_readable = session_on_client_readable,
	.on_writable = session_on_client_writable,
	.on_close = session_close,
	.wants = session_wants_of_client,
	.other_side = session_back_fd,
	.on_look = session_on_look,
};
