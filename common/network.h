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

/* A list made ready to be asked for each connection: in order, and no network within another, so
 * that an answer takes a binary search. */
struct network_set {
	struct network *items;
	size_t count;
};

/** Parse "10.0.0.0/8", "2001:db8::/32" or one address without a length.
 *  @return 0; -EINVAL with a sentence: not an address, length out of range, or host bits that are
 *          set, with the network that was probably meant */
int network_parse(const char *string, struct network *network, struct fault *why) MUST_CHECK;
/** Whether it is 0.0.0.0/0 or ::/0. */
bool network_is_everything(const struct network *network);
/** 0.0.0.0/0 is every IPv4 address and ::/0 every IPv6 address: neither has those of the other.
 *  False for peers without an address (unix sockets). */
bool network_contains(const struct network *network, const union peer *peer);
/** Write the form that network_parse reads. @return buffer */
#define NETWORK_TEXT_MAX 64
const char *network_format(const struct network *network, char buffer[NETWORK_TEXT_MAX]);

/** The address of a peer as 16 bytes, IPv4 mapped; false when it has none. */
bool network_address_of(const union peer *peer, struct in6_addr *address);
/** What limits by source count together: all of an IPv4 address, the /64 of an IPv6 one. */
bool network_source_of(const union peer *peer, struct in6_addr *source);

/** Copy a list into an empty set, to be freed with network_set_free. @return 0 or -ENOMEM */
int network_set_make(struct network_set *set, const struct network_list *list) MUST_CHECK;
void network_set_free(struct network_set *set);
/** False for an empty set and for peers without an address (unix sockets). */
bool network_set_contains(const struct network_set *set, const union peer *peer);
