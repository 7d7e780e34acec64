/* Socket calls: listen, accept, options, what TCP_INFO says. Never logs, never blocks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/address.h"
#include "common/defs.h"

struct fault;

/** What every accepted socket inherits from its listener (measured: keepalive, user timeout and
 *  no-delay are inherited, so a client costs no setsockopt of its own). */
struct net_options {
	int64_t backlog;
	bool no_delay;
	int64_t keepalive_idle_ms; /* 0: no keepalive; whole seconds reach the kernel, rounded up */
	int64_t keepalive_interval_ms;
	int64_t keepalive_probes;
	int64_t user_timeout_ms; /* TCP_USER_TIMEOUT; 0: off. Also ends live peers that do not read
				  */
	mode_t unix_mode;        /* permissions of a unix socket's path */
};

/** Bind and listen. Non-blocking, close-on-exec, SO_REUSEADDR, never SO_REUSEPORT.
 *  The dual wildcard "*:80" becomes 0.0.0.0:80 where the kernel has no IPv6.
 *  A unix socket that nobody listens on is removed first; one in use is -EADDRINUSE, a file that is
 *  no socket -EEXIST. Its path has the permissions asked for before anybody can connect (umask(2)
 *  is changed for a moment: not for programs with threads).
 *  @return a descriptor the caller closes, or negative errno with the sentence without its subject,
 *          as "cannot bind 127.0.0.1:80: Address already in use".
 *          Ordinary: -EADDRINUSE, -EACCES, -EADDRNOTAVAIL, -EEXIST, and -EAFNOSUPPORT for an IPv6
 *          address where the kernel has none. */
int net_listen(const struct address *address, const struct net_options *options,
	struct fault *why) MUST_CHECK;
/** Apply changed options, permissions and backlog to a live listener; listen(2) again changes the
 *  limit at once, both ways, and loses no queued client (measured).
 *  @return 0 or negative errno; -ESHUTDOWN: somebody shut a unix listener down, which nothing can
 *          revive (TCP can: 0) */
int net_listener_apply(int fd, const struct net_options *options, struct fault *why) MUST_CHECK;

struct net_queue {
	uint32_t depth;            /* completed connections that wait for accept */
	uint32_t limit;            /* effective backlog; full is depth > limit */
	uint32_t dropped_segments; /* sk_drops, wraps at 2^32; segments, not clients */
	bool is_listening; /* false after somebody's shutdown(2): heal with net_listener_apply */
};
/** Two getsockopt calls, about 0.5 us (TCP_INFO, SO_MEMINFO). A unix socket is asked about through
 *  sock_diag(7), some 10 us; where that is missing depth and limit are 0, and nothing is ever
 *  counted as dropped: a client that meets a full queue waits, or gets EAGAIN.
 *  @return 0 or negative errno */
int net_listener_sample(int fd, struct net_queue *queue) MUST_CHECK;
/** Queue depth alone, 0.26 us (unix as above); 0 when unknown. */
uint32_t net_listener_depth(int fd);
/** Drop new SYNs unseen (a socket filter), while clients whose handshake is done or under way still
 *  get in: the first half of closing a listener without losing anybody. Dropped clients try again
 *  in a second and then meet whoever listens by then, or are refused. Each dropped SYN counts as a
 *  dropped segment. TCP only: at a unix socket it has no effect, remove the path instead.
 *  @return 0 or negative errno; -EPERM: Linux 6.18 wants CAP_NET_ADMIN for it (measured), and the
 *          queue was cut to one place instead, which net_listener_apply takes back: a client who
 *          comes in the last moment may be reset */
int net_listener_shut_out(int fd) MUST_CHECK;
/** Take it back. @return 0; -ENOENT when nobody was shut out; or another negative errno */
int net_listener_let_in(int fd) MUST_CHECK;

/** accept4 with SOCK_NONBLOCK|SOCK_CLOEXEC; the address comes from the call itself because
 *  getpeername fails on a client that was reset while queued.
 *  @return descriptor or negative errno; accept(2): every errno is temporary */
int net_accept(int listener, union peer *peer);

struct net_accepted {
	uint32_t queue_wait_ms; /* tcpi_last_data_sent right after accept: +-1 jiffy, mean unbiased
				 */
	bool is_gone;           /* reset while queued */
};
/** To be called before the first write. @return 0 or negative errno (not TCP: -EOPNOTSUPP) */
int net_accepted_info(int fd, struct net_accepted *accepted) MUST_CHECK;

/* What the kernel knows about a client of an open connection. */
struct net_peer {
	uint32_t unacknowledged; /* segments sent and not acknowledged */
	uint32_t probes;         /* keepalive or zero-window probes without an answer */
	int64_t silent_ms;       /* since the last segment of any kind came from the client */
};
/** One getsockopt(TCP_INFO). A dead client leaves data unacknowledged or probes unanswered while it
 *  is silent; a live one that does not read answers each probe (measured).
 *  @return 0 or negative errno (not TCP: -EOPNOTSUPP) */
int net_peer_look(int fd, struct net_peer *peer) MUST_CHECK;

/** Bytes in the socket's buffer that the client has not acknowledged (unix: not read) yet; 0 when
 *  unknown. SIOCOUTQ, tcp(7) and unix(7). */
int64_t net_unacknowledged_bytes(int fd);
/** Connect without waiting. Non-blocking, close-on-exec, with no delay and user timeout as given; a
 *  connection that lives for a while wants net_keep_alive too.
 *  @param source  NULL: the kernel chooses; else bound with IP_BIND_ADDRESS_NO_PORT, so that one
 *                 local port serves for many servers
 *  @return a descriptor whose handshake is under way or done (net_connect_again), or negative
 * errno; -EADDRNOTAVAIL: no local port is left, -ECONNREFUSED */
int net_connect(const struct address *address, const struct address *source,
	const struct net_options *options) MUST_CHECK;
/** How the handshake stands right after net_connect: over loopback it mostly is done by then. One
 *  cheap system call, none for a unix socket; nothing can have been sent again yet.
 *  @return 0 it is done; -EINPROGRESS; else why it failed, which is told once */
int net_connect_again(int fd, const struct address *address) MUST_CHECK;
/** How the handshake stands later. One system call.
 *  @param syn_retries  SYNs that were sent again
 *  @return 0 it is done; -EINPROGRESS; else why it failed, which is told once */
int net_connect_check(int fd, unsigned *syn_retries) MUST_CHECK;

/** Keepalive as given, for a connection that began without: a short one never pays for it. Its time
 *  runs from the last segment that came, as if it had been on from the beginning, if this is called
 *  within keepalive_idle of that. @return 0 or negative errno */
int net_keep_alive(int fd, const struct net_options *options) MUST_CHECK;

/* An open connection as the kernel accounts for it. */
struct net_connection {
	uint8_t state;    /* of TCP, include/net/tcp_states.h */
	uint32_t idle_ms; /* since data came from the client; since it connected, if none did */
	uint64_t received_bytes;
	uint64_t sent_bytes;   /* each counted once, however often it was sent */
	uint32_t unsent_bytes; /* written and not sent yet */
};
/** One getsockopt(TCP_INFO). @return 0 or negative errno (not TCP: -EOPNOTSUPP) */
int net_connection_look(int fd, struct net_connection *connection) MUST_CHECK;

/** Make the close a reset: SO_LINGER{1,0}. */
void net_reset_on_close(int fd);
/** The pending error of a socket, positive errno, 0 if none; of an open connection also what the
 *  network said and the kernel did not believe (ICMP, ip(7)). Tells it once. */
int net_socket_error(int fd);
/** Whether a connection that nobody reads from has failed: two system calls if so, else one.
 *  @return positive errno, told once, EPIPE being a reset after the peer's end of file; or 0 */
int net_connection_error(int fd);
/** Whether a connection to it ends on this machine: loopback, or the address of an interface (asked
 *  of the kernel). */
bool net_is_local(const struct address *address);
/** Who listens on an address of this network namespace, as "pid 812 (nginx)", by /proc/net and
 *  /proc/PID/fd; "another process" if it cannot be found out, as for one of another user unless we
 *  are root. Reads many files: for a failed start or reload only. @return buffer */
const char *net_port_owner(const struct address *address, char *buffer, size_t size);
