/* One netlink dump per address family; the socket is opened per call because a dump is rare. */
#include "common/sock_diag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/fault.h"

#define ANSWER_BYTES     (64 * 1024)
#define ANSWER_TIMEOUT_S 5

static const char *const state_names[SOCK_DIAG_STATE_COUNT] = {
	[SOCK_DIAG_ESTABLISHED] = "ESTABLISHED",
	[SOCK_DIAG_SYN_SENT] = "SYN_SENT",
	[SOCK_DIAG_SYN_RECV] = "SYN_RECV",
	[SOCK_DIAG_FIN_WAIT1] = "FIN_WAIT1",
	[SOCK_DIAG_FIN_WAIT2] = "FIN_WAIT2",
	[SOCK_DIAG_TIME_WAIT] = "TIME_WAIT",
	[SOCK_DIAG_CLOSE] = "CLOSE",
	[SOCK_DIAG_CLOSE_WAIT] = "CLOSE_WAIT",
	[SOCK_DIAG_LAST_ACK] = "LAST_ACK",
	[SOCK_DIAG_LISTEN] = "LISTEN",
	[SOCK_DIAG_CLOSING] = "CLOSING",
	[SOCK_DIAG_NEW_SYN_RECV] = "SYN_RECV",
};

const char *
sock_diag_state_name(enum sock_diag_state state)
{
	return state > 0 && state < SOCK_DIAG_STATE_COUNT ? state_names[state] : "UNKNOWN";
}

enum sock_diag_state
sock_diag_state_by_name(const char *name)
{
	char folded[16];
	size_t i;

	for (i = 0; name[i] != '\0' && i < sizeof(folded) - 1; i++) {
		folded[i] = name[i] == '-' ? '_' : name[i];
	}
	folded[i] = '\0';
	for (i = 1; i < SOCK_DIAG_STATE_COUNT; i++) {
		if (strcasecmp(state_names[i], folded) == 0) {
			return (enum sock_diag_state)i;
		}
	}
	return 0;
}

static int
dump_request(int netlink, int family, uint16_t port, uint32_t states)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} query = {0};

	query.header.nlmsg_len = sizeof(query);
	query.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	query.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	query.request.sdiag_family = (uint8_t)family;
	query.request.sdiag_protocol = IPPROTO_TCP;
	query.request.idiag_states = states;
	query.request.idiag_ext = 1 << (INET_DIAG_INFO - 1);
	query.request.id.idiag_sport = htons(port);
	query.request.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	query.request.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	return send(netlink, &query, sizeof(query), 0) < 0 ? -errno : 0;
}

static void
address_take(union peer *peer, int family, const uint32_t words[4], uint16_t port)
{
	memset(peer, 0, sizeof(*peer));
	if (family == AF_INET) {
		peer->in4.sin_family = AF_INET;
		peer->in4.sin_port = port;
		memcpy(&peer->in4.sin_addr, words, sizeof(peer->in4.sin_addr));
		return;
	}
	peer->in6.sin6_family = AF_INET6;
	peer->in6.sin6_port = port;
	memcpy(&peer->in6.sin6_addr, words, sizeof(peer->in6.sin6_addr));
}

/* tcpi_last_ack_recv moves with each segment of the peer, its FIN included (measured). */
static uint32_t
quiet_time_ms(const struct inet_diag_msg *message, size_t len)
{
	const struct rtattr *attribute = (const struct rtattr *)(message + 1);
	int left = (int)(len - sizeof(*message));
	struct tcp_info info = {0};

	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
		if (attribute->rta_type == INET_DIAG_INFO) {
			memcpy(&info, RTA_DATA(attribute),
				RTA_PAYLOAD(attribute) < sizeof(info) ? RTA_PAYLOAD(attribute)
								      : sizeof(info));
			return info.tcpi_last_ack_recv;
		}
	}
	return 0;
}

static int
take(const struct inet_diag_msg *message, size_t len,
	int (*each)(const struct sock_diag_socket *socket, void *context), void *context)
{
	struct sock_diag_socket found = {
		.state = message->idiag_state == SOCK_DIAG_NEW_SYN_RECV
				 ? SOCK_DIAG_SYN_RECV
				 : (enum sock_diag_state)message->idiag_state,
		.receive_queue_bytes = message->idiag_rqueue,
		.send_queue_bytes = message->idiag_wqueue,
		.inode = message->idiag_inode,
		.retransmits = message->idiag_retrans,
		.quiet_ms = quiet_time_ms(message, len),
	};

	if (found.state == 0 || found.state >= SOCK_DIAG_STATE_COUNT) {
		return 0; /* of a newer kernel: none that was asked for */
	}
	address_take(&found.local, message->idiag_family, message->id.idiag_src,
		message->id.idiag_sport);
	address_take(&found.remote, message->idiag_family, message->id.idiag_dst,
		message->id.idiag_dport);
	return each(&found, context);
}

static int
error_of(const struct nlmsghdr *header)
{
	const struct nlmsgerr *answer = NLMSG_DATA(header);

	return header->nlmsg_len >= NLMSG_LENGTH(sizeof(answer->error)) && answer->error < 0
		       ? answer->error
		       : -EPROTO;
}

/* Unlike NLMSG_NEXT it does not count below zero when the padding of the last one is missing. */
static const struct nlmsghdr *
next_message(const struct nlmsghdr *header, size_t *left)
{
	size_t step = NLMSG_ALIGN(header->nlmsg_len);

	*left -= step < *left ? step : *left;
	return (const struct nlmsghdr *)((const char *)header + step);
}

int
sock_diag_read(const void *answer, size_t len,
	int (*each)(const struct sock_diag_socket *socket, void *context), void *context,
	bool *is_last)
{
	const struct nlmsghdr *header = answer;
	int error = 0;

	for (; error == 0 && NLMSG_OK(header, len); header = next_message(header, &len)) {
		if (header->nlmsg_type == NLMSG_DONE) {
			*is_last = true;
			return 0;
		}
		if (header->nlmsg_type == NLMSG_ERROR) {
			return error_of(header);
		}
		if (header->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg))) {
			error = take(NLMSG_DATA(header), header->nlmsg_len - NLMSG_LENGTH(0), each,
				context);
		}
	}
	return error;
}

static int
dump_family(int netlink, int family, uint16_t port, uint32_t states,
	int (*each)(const struct sock_diag_socket *socket, void *context), void *context)
{
	static _Alignas(struct nlmsghdr) char answer[ANSWER_BYTES];
	ssize_t len;
	bool is_last = false;
	int error = dump_request(netlink, family, port, states);

	while (error == 0 && !is_last) {
		len = recv(netlink, answer, sizeof(answer), 0);
		if (len < 0) {
			error = errno == EINTR ? 0 : -errno;
		} else {
			error = sock_diag_read(answer, (size_t)len, each, context, &is_last);
		}
	}
	return error;
}

int
sock_diag_each(uint16_t port, uint32_t states,
	int (*each)(const struct sock_diag_socket *socket, void *context), void *context,
	struct fault *why)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct timeval patience = {.tv_sec = ANSWER_TIMEOUT_S};
	int netlink, error = 0;
	size_t i;

	for (i = 0; error == 0 && i < ARRAY_LEN(families); i++) {
		/* A dump that `each` ended leaves answers behind: a fresh socket for each family.
		 */
		netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
		if (netlink < 0) {
			return fault_set(why, errno, "cannot ask the kernel for its sockets");
		}
		(void)setsockopt(netlink, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		error = dump_family(netlink, families[i], port, states, each, context);
		(void)close(netlink);
	}
	if (error < 0) {
		fault_set(why, -error, "cannot list the sockets of port %u", port);
	}
	return error;
}
