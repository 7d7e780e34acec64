/* One comparison serves both families because IPv4 is mapped into IPv6. */
#include "common/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/address.h"
#include "common/fault.h"
#include "common/text.h"

#define BITS_TOTAL  128
#define BITS_MAPPED 96 /* the prefix ::ffff:0:0 */

static void
map_address(struct in6_addr *mapped, const struct in_addr *address)
{
	memset(mapped, 0, sizeof(*mapped));
	mapped->s6_addr[10] = 0xff;
	mapped->s6_addr[11] = 0xff;
	memcpy(&mapped->s6_addr[12], address, sizeof(*address));
}

bool
network_address_of(const union peer *peer, struct in6_addr *address)
{
	if (peer->any.sa_family == AF_INET) {
		map_address(address, &peer->in4.sin_addr);
		return true;
	}
	if (peer->any.sa_family == AF_INET6) {
		*address = peer->in6.sin6_addr;
		return true;
	}
	return false;
}

static void
clear_from(struct in6_addr *address, unsigned bits)
{
	unsigned byte = bits / 8;

	if (byte < sizeof(address->s6_addr) && bits % 8 != 0) {
		address->s6_addr[byte] &= (unsigned char)(0xff << (8 - bits % 8));
		byte++;
	}
	if (byte < sizeof(address->s6_addr)) {
		memset(&address->s6_addr[byte], 0, sizeof(address->s6_addr) - byte);
	}
}

bool
network_source_of(const union peer *peer, struct in6_addr *source)
{
	if (!network_address_of(peer, source)) {
		return false;
	}
	if (!IN6_IS_ADDR_V4MAPPED(source)) {
		clear_from(source, 64);
	}
	return true;
}

static bool
is_mapped(const struct network *network)
{
	return network->bits >= BITS_MAPPED && IN6_IS_ADDR_V4MAPPED(&network->prefix);
}

const char *
network_format(const struct network *network, char buffer[NETWORK_TEXT_MAX])
{
	char address[INET6_ADDRSTRLEN];
	bool is_v4 = is_mapped(network);

	(void)inet_ntop(is_v4 ? AF_INET : AF_INET6,
		is_v4 ? (const void *)&network->prefix.s6_addr[12] : (const void *)&network->prefix,
		address, sizeof(address));
	(void)snprintf(buffer, NETWORK_TEXT_MAX, "%s/%u", address,
		is_v4 ? network->bits - BITS_MAPPED : network->bits);
	return buffer;
}

/* The address alone, and how many bits its family has. */
static int
parse_address(const char *string, struct in6_addr *address, unsigned *bits)
{
	struct in_addr in4;

	if (inet_pton(AF_INET, string, &in4) == 1) {
		map_address(address, &in4);
		*bits = 32;
		return 0;
	}
	*bits = BITS_TOTAL;
	return inet_pton(AF_INET6, string, address) == 1 ? 0 : -EINVAL;
}

int
network_parse(const char *string, struct network *network, struct fault *why)
{
	char copy[NETWORK_TEXT_MAX], meant[NETWORK_TEXT_MAX];
	struct network parsed;
	unsigned family_bits;
	int64_t bits;
	char *slash;

	(void)snprintf(copy, sizeof(copy), "%s", string);
	slash = strchr(copy, '/');
	if (slash != NULL) {
		*slash++ = '\0';
	}
	if (parse_address(copy, &parsed.prefix, &family_bits) != 0) {
		return fault_say(why, EINVAL,
			"'%.60s' is not an IPv4 or IPv6 network; write it as 10.0.0.0/8", string);
	}
	bits = family_bits;
	if (slash != NULL &&
		(text_parse_number(slash, &bits) != 0 || bits < 0 || bits > family_bits)) {
		return fault_say(why, EINVAL, "prefix length '%.20s' of '%.60s'; allowed: 0..%u",
			slash, string, family_bits);
	}
	parsed.bits = (unsigned)bits + (BITS_TOTAL - family_bits);
	*network = parsed;
	clear_from(&network->prefix, network->bits);
	if (memcmp(&network->prefix, &parsed.prefix, sizeof(parsed.prefix)) != 0) {
		return fault_say(why, EINVAL, "'%.60s' has host bits set; did you mean %s?", string,
			network_format(network, meant));
	}
	return 0;
}

bool
network_contains(const struct network *network, const union peer *peer)
{
	struct in6_addr address;

	if (!network_address_of(peer, &address)) {
		return false;
	}
	clear_from(&address, network->bits);
	return memcmp(&address, &network->prefix, sizeof(address)) == 0;
}

bool
network_list_contains(const struct network_list *list, const union peer *peer)
{
	for (size_t i = 0; i < list->count; i++) {
		if (network_contains(&list->items[i], peer)) {
			return true;
		}
	}
	return false;
}
