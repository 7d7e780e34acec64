/* Socket addresses to and from text. Pure: names are not resolved here. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/defs.h"

struct fault;

/** An address to listen on or to connect to. */
struct address {
	socklen_t len;
	bool is_dual; /* "*:80": one IPv6 socket that takes IPv4 too; otherwise IPv6 is IPv6 only */
	union {
		struct sockaddr any;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
};

/** Where a client came from, as accept4 gave it; 28 bytes, embedded in each connection.
 *  AF_UNIX and AF_UNSPEC carry no address. */
union peer {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};

#define ADDRESS_TEXT_MAX 128 /* "unix:" and the longest path, or the longest IPv6 with port */

/** Parse "127.0.0.1:80", "[::1]:80", "[fe80::1%2]:80" (the number of the interface), "[::]:80"
 *  (every address, IPv6 only), "*:80" (every address, IPv4 and IPv6), "unix:/path" (absolute, and
 *  in its plain form, so that one socket has one name).
 *  @return 0; -EINVAL with a sentence that names the wrong part, the allowed range and a hint */
int address_parse(const char *string, struct address *address, struct fault *why) MUST_CHECK;
/** Parse the port after the colon. @param port  network order @return 0; -EINVAL with a sentence */
int address_parse_port(const char *string, in_port_t *port, struct fault *why) MUST_CHECK;
/** Write the form that address_parse reads. @return `buffer` */
const char *address_format(const struct address *address, char buffer[ADDRESS_TEXT_MAX]);
/** "192.0.2.7:51234" (also for ::ffff:192.0.2.7), "[2001:db8::7]:51234", "unix", "unknown".
 *  @return `buffer` */
const char *peer_format(const union peer *peer, char buffer[ADDRESS_TEXT_MAX]);

bool address_equal(const struct address *a, const struct address *b);
/** True when the kernel would refuse to listen on both: equal, or one is the wildcard of the other,
 *  as inet_rcv_saddr_equal and inet_csk_bind_conflict decide in Linux, net/ipv4. */
bool address_overlaps(const struct address *a, const struct address *b);
/** The port in host order; 0 for a unix socket. */
unsigned address_port(const struct address *address);
