/* Asks for exactly one listener, as a SYN would find it: a microsecond, whatever else there is. The
 * kernel looks among all sockets, so whether the address is of this host has to be asked first: a
 * listener on every address would be found for somebody else's too. Both answers are ready when
 * send(2) returns. */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/sock_diag.h"

#define ANSWER_BYTES 4096

/* @return length of the answer, or negative errno */
static ssize_t
ask(int protocol, const struct nlmsghdr *question, void *answer)
{
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	const struct nlmsghdr *head = answer;
	ssize_t len = -1;

	if (netlink < 0) {
		return -errno;
	}
	if (send(netlink, question, question->nlmsg_len, 0) >= 0) {
		len = recv(netlink, answer, ANSWER_BYTES, 0);
	}
	len = len < 0 ? -errno : len;
	(void)close(netlink);
	if (len < 0) {
		return len;
	}
	if (!NLMSG_OK(head, (size_t)len)) {
		return -EPROTO;
	}
	if (head->nlmsg_type == NLMSG_ERROR) {
		int error = ((const struct nlmsgerr *)NLMSG_DATA(head))->error;

		return error == 0 ? -EPROTO : error;
	}
	return len;
}

static size_t
take_ip(const struct address *address, void *bytes)
{
	if (address->any.sa_family == AF_INET) {
		memcpy(bytes, &address->in4.sin_addr, sizeof(address->in4.sin_addr));
		return sizeof(address->in4.sin_addr);
	}
	memcpy(bytes, &address->in6.sin6_addr, sizeof(address->in6.sin6_addr));
	return sizeof(address->in6.sin6_addr);
}

/* Whether the kernel would deliver to itself what is sent there (rtnetlink(7)). */
static bool
is_local(const struct address *address)
{
	struct {
		struct nlmsghdr head;
		struct rtmsg route;
		struct rtattr target;
		unsigned char ip[sizeof(struct in6_addr)];
	} question = {0};
	_Alignas(struct nlmsghdr) char answer[ANSWER_BYTES];
	size_t ip_len = take_ip(address, question.ip);

	question.head.nlmsg_type = RTM_GETROUTE;
	question.head.nlmsg_flags = NLM_F_REQUEST;
	question.head.nlmsg_len =
		(uint32_t)(NLMSG_LENGTH(sizeof(question.route)) + RTA_LENGTH(ip_len));
	question.route.rtm_family = (unsigned char)address->any.sa_family;
	question.route.rtm_dst_len = (unsigned char)(8 * ip_len);
	question.target.rta_type = RTA_DST;
	question.target.rta_len = (unsigned short)RTA_LENGTH(ip_len);
	return ask(NETLINK_ROUTE, &question.head, answer) >=
		       (ssize_t)NLMSG_LENGTH(sizeof(struct rtmsg)) &&
	       ((const struct rtmsg *)NLMSG_DATA((struct nlmsghdr *)answer))->rtm_type == RTN_LOCAL;
}

static uint32_t
dropped_segments(const struct inet_diag_msg *message, size_t len)
{
	const struct rtattr *attribute = (const struct rtattr *)(message + 1);
	int left = (int)(len - sizeof(*message));
	uint32_t memory[SK_MEMINFO_VARS] = {0};

	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
		if (attribute->rta_type == INET_DIAG_SKMEMINFO) {
			memcpy(memory, RTA_DATA(attribute),
				RTA_PAYLOAD(attribute) < sizeof(memory) ? RTA_PAYLOAD(attribute)
									: sizeof(memory));
		}
	}
	return memory[SK_MEMINFO_DROPS];
}

static int
ask_for_listener(const struct address *address, struct sock_diag_queue *queue)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 request;
	} question = {0};
	_Alignas(struct nlmsghdr) char answer[ANSWER_BYTES];
	const struct nlmsghdr *head = (const struct nlmsghdr *)answer;
	const struct inet_diag_msg *message = NLMSG_DATA(head);
	ssize_t len;

	question.head.nlmsg_len = sizeof(question);
	question.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	question.head.nlmsg_flags = NLM_F_REQUEST;
	question.request.sdiag_family = (uint8_t)address->any.sa_family;
	question.request.sdiag_protocol = IPPROTO_TCP;
	question.request.idiag_states = SOCK_DIAG_BIT(SOCK_DIAG_LISTEN);
	question.request.idiag_ext = 1 << (INET_DIAG_SKMEMINFO - 1);
	question.request.id.idiag_sport = htons((uint16_t)address_port(address));
	question.request.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	question.request.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	(void)take_ip(address, question.request.id.idiag_src);
	len = ask(NETLINK_SOCK_DIAG, &question.head, answer);
	if (len < 0) {
		return (int)len;
	}
	if (head->nlmsg_len < NLMSG_LENGTH(sizeof(*message)) ||
		message->idiag_state != SOCK_DIAG_LISTEN) {
		return -ENOENT;
	}
	*queue = (struct sock_diag_queue){
		.depth = message->idiag_rqueue,
		.limit = message->idiag_wqueue,
		.dropped_segments = dropped_segments(message, head->nlmsg_len - NLMSG_LENGTH(0)),
	};
	return 0;
}

int
sock_diag_listener(const struct address *address, struct sock_diag_queue *queue)
{
	if (address->any.sa_family != AF_INET && address->any.sa_family != AF_INET6) {
		return -EAFNOSUPPORT;
	}
	return is_local(address) ? ask_for_listener(address, queue) : -EADDRNOTAVAIL;
}
