/* What the kernel tells about a listener's queue, and the door before it. TCP tells through the
 * listening socket itself, so it costs the same with one connection as with a million; a unix
 * socket has to be asked about through sock_diag(7). */
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "common/net.h"

/* Linux, include/uapi/linux/sock_diag.h: SO_MEMINFO fills this array. */
static uint32_t
dropped_segments(int fd)
{
	uint32_t memory[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(memory);

	(void)getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &len);
	return memory[SK_MEMINFO_DROPS];
}

struct unix_reply {
	struct nlmsghdr head;
	struct unix_diag_msg socket;
	char attributes[256];
};

/* @return length of the attributes, or -1 when the kernel does not tell */
static ssize_t
ask_about_unix(uint32_t inode, struct unix_reply *reply)
{
	struct {
		struct nlmsghdr head;
		struct unix_diag_req request;
	} question = {
		.head = {.nlmsg_len = sizeof(question),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST},
		.request = {.sdiag_family = AF_UNIX,
			.udiag_states = UINT32_MAX,
			.udiag_ino = inode,
			.udiag_show = UDIAG_SHOW_RQLEN,
			.udiag_cookie = {UINT32_MAX, UINT32_MAX}}, /* none known */
	};
	const ssize_t fixed = NLMSG_LENGTH(sizeof(reply->socket));
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	ssize_t got = -1;

	/* The kernel answers within send(2). */
	if (fd >= 0 && send(fd, &question, sizeof(question), 0) == (ssize_t)sizeof(question)) {
		got = recv(fd, reply, sizeof(*reply), 0);
	}
	descriptor_close(&fd);
	return got >= fixed && reply->head.nlmsg_type == SOCK_DIAG_BY_FAMILY ? got - fixed : -1;
}

/* Depth and limit; both 0 when the kernel does not tell. */
static struct unix_diag_rqlen
unix_queue(int fd)
{
	struct unix_diag_rqlen found = {0};
	struct unix_reply reply;
	struct stat info;
	struct nlattr head;
	ssize_t len = fstat(fd, &info) < 0 ? -1 : ask_about_unix((uint32_t)info.st_ino, &reply);

	for (ssize_t at = 0; at + NLA_HDRLEN <= len; at += NLA_ALIGN(head.nla_len)) {
		memcpy(&head, reply.attributes + at, sizeof(head));
		if (head.nla_len < NLA_HDRLEN || head.nla_len > len - at) {
			break;
		}
		if (head.nla_type == UNIX_DIAG_RQLEN &&
			head.nla_len >= NLA_HDRLEN + sizeof(found)) {
			memcpy(&found, reply.attributes + at + NLA_HDRLEN, sizeof(found));
		}
	}
	return found;
}

static bool
unix_is_listening(int fd)
{
	struct pollfd state = {.fd = fd, .events = POLLRDHUP};
	int is_listener = 0;
	socklen_t len = sizeof(is_listener);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listener, &len) < 0) {
		return false;
	}
	return is_listener != 0 &&
	       (poll(&state, 1, 0) <= 0 || (state.revents & (POLLRDHUP | POLLHUP)) == 0);
}

/* @return 0; -EOPNOTSUPP for what is not TCP */
static int
tcp_queue(int fd, struct net_queue *queue)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0) {
		return -errno;
	}
	/* In any other state these two fields mean something else. */
	queue->is_listening = info.tcpi_state == TCP_LISTEN;
	queue->depth = queue->is_listening ? info.tcpi_unacked : 0;
	queue->limit = queue->is_listening ? info.tcpi_sacked : 0;
	return 0;
}

int
net_listener_sample(int fd, struct net_queue *queue)
{
	struct net_queue found = {0};
	int status = tcp_queue(fd, &found);

	if (status == -EOPNOTSUPP) {
		struct unix_diag_rqlen waiting = unix_queue(fd);

		found.is_listening = unix_is_listening(fd);
		found.depth = waiting.udiag_rqueue;
		found.limit = waiting.udiag_wqueue;
	} else if (status < 0) {
		return status;
	}
	found.dropped_segments = dropped_segments(fd);
	*queue = found;
	return 0;
}

uint32_t
net_listener_depth(int fd)
{
	struct net_queue queue = {0};

	if (tcp_queue(fd, &queue) == -EOPNOTSUPP) {
		return unix_queue(fd).udiag_rqueue;
	}
	return queue.depth;
}

int
net_listener_shut_out(int fd)
{
	/* The filter sees a packet from its TCP header on. Of the flags only SYN without ACK marks
	 * a newcomer; the last segment of a handshake has ACK and no SYN. */
	enum { FLAGS_AT = 13, SYN = 0x02, ACK = 0x10, WHOLE = 0x7fffffff };
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS_AT),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN | ACK),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, WHOLE),
	};
	const struct sock_fprog filter = {.len = ARRAY_LEN(steps), .filter = steps};
	int status = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0) {
		status = -errno;
	}
	if (status == -EPERM) {
		(void)listen(fd, 0);
	}
	return status;
}

int
net_listener_let_in(int fd)
{
	const int unused = 0;

	return setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)) < 0 ? -errno
											 : 0;
}
