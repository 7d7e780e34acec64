/* In a file of its own: the kernel's header, which has the newer counters, and the C library's
 * cannot be included together. */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "common/net.h"

int
net_connection_look(int fd, struct net_connection *connection)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0, sizeof(info)); /* an older kernel fills less */
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0) {
		return -errno;
	}
	connection->state = info.tcpi_state;
	connection->idle_ms = info.tcpi_last_data_recv;
	connection->received_bytes = info.tcpi_bytes_received;
	connection->sent_bytes = info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
	connection->unsent_bytes = info.tcpi_notsent_bytes;
	return 0;
}
