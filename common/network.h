/* Networks of addresses, as "10.0.0.0/8", and lists of them. Pure. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/defs.h"

struct fault;
union peer;

/* IPv4 networks are kept as IPv4-mapped IPv6, so that a client of a dual socket matches too. */
struct network {
	struct in6_addr prefix;
	unsigned bits; /* of 128 */
};

struct network_list {
	struct network *items;
	size_t count;
};

/** Parse "10.0.0.0/8", "2001:db8::/32" or one address without a length.
 *  @return 0; -EINVAL with a sentence: not an address, length out of range, or host bits that are
 *          set, with the network that was probably meant */
int network_parse(const char *string, struct network *network, struct fault *why) MUST_CHECK;
bool network_contains(const struct network *network, const union peer *peer);
/** False for an empty list and for peers without an address (unix sockets). */
bool network_list_contains(const struct network_list *list, const union peer *peer);
/** Write the form that network_parse reads. @return buffer */
#define NETWORK_TEXT_MAX 64
const char *network_format(const struct network *network, char buffer[NETWORK_TEXT_MAX]);

/** The address of a peer as 16 bytes, IPv4 mapped; false when it has none. */
bool network_address_of(const union peer *peer, struct in6_addr *address);
/** What limits by source count together: all of an IPv4 address, the /64 of an IPv6 one. */
bool network_source_of(const union peer *peer, struct in6_addr *source);
