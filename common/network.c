/* One comparison serves both families because IPv4 is mapped into IPv6. */
#include "common/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/fault.h"
#include "common/text.h"

#define BITS_TOTAL  128
#define SHOWN_MAX   NETWORK_TEXT_MAX /* of a string that is no network */
#define BITS_MAPPED 96               /* the prefix ::ffff:0:0 */

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
	char copy[NETWORK_TEXT_MAX], meant[NETWORK_TEXT_MAX], shown_buffer[4 * SHOWN_MAX + 1];
	struct text shown;
	struct network parsed;
	unsigned family_bits;
	int64_t bits;
	char *slash;

	text_init(&shown, shown_buffer, sizeof(shown_buffer));
	text_add_escaped(&shown, string, strnlen(string, SHOWN_MAX));
	(void)snprintf(copy, sizeof(copy), "%s", string);
	slash = strchr(copy, '/');
	if (slash != NULL) {
		*slash++ = '\0';
	}
	if (strlen(string) >= sizeof(copy) ||
		parse_address(copy, &parsed.prefix, &family_bits) != 0) {
		return fault_say(why, EINVAL,
			"'%s' is not an IPv4 or IPv6 network; write it as 10.0.0.0/8",
			shown_buffer);
	}
	bits = family_bits;
	if (slash != NULL &&
		(text_parse_number(slash, &bits) != 0 || bits < 0 || bits > family_bits)) {
		return fault_say(why, EINVAL, "prefix length of '%s'; allowed: 0..%u", shown_buffer,
			family_bits);
	}
	parsed.bits = (unsigned)bits + (BITS_TOTAL - family_bits);
	*network = parsed;
	clear_from(&network->prefix, network->bits);
	if (memcmp(&network->prefix, &parsed.prefix, sizeof(parsed.prefix)) != 0) {
		return fault_say(why, EINVAL, "'%s' has host bits set; did you mean %s?",
			shown_buffer, network_format(network, meant));
	}
	return 0;
}

bool
network_is_everything(const struct network *network)
{
	return network->bits == (is_mapped(network) ? BITS_MAPPED : 0);
}

static bool
network_contains_address(const struct network *network, const struct in6_addr *address)
{
	struct in6_addr prefix = *address;

	clear_from(&prefix, network->bits);
	return is_mapped(network) == !!IN6_IS_ADDR_V4MAPPED(address) &&
	       memcmp(&prefix, &network->prefix, sizeof(prefix)) == 0;
}

bool
network_contains(const struct network *network, const union peer *peer)
{
	struct in6_addr address;

	return network_address_of(peer, &address) && network_contains_address(network, &address);
}

/* --- sets --- */

/* IPv4 first, then by address. */
static int
compare_to_address(bool is_v4, const struct in6_addr *address, const struct network *network)
{
	if (is_v4 != is_mapped(network)) {
		return is_v4 ? -1 : 1;
	}
	return memcmp(address, &network->prefix, sizeof(*address));
}

/* Of two that begin at the same address the wider first. */
static int
compare_networks(const void *a, const void *b)
{
	const struct network *left = a, *right = b;
	int order = compare_to_address(is_mapped(left), &left->prefix, right);

	return order != 0 ? order : (int)left->bits - (int)right->bits;
}

/* Networks are nested or apart, so behind one come all that are within it. */
static size_t
drop_nested(struct network *items, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (kept == 0 || !network_contains_address(&items[kept - 1], &items[i].prefix)) {
			items[kept++] = items[i];
		}
	}
	return kept;
}

int
network_set_make(struct network_set *set, const struct network_list *list)
{
	*set = (struct network_set){0};
	if (list->count == 0) {
		return 0;
	}
	set->items = malloc(list->count * sizeof(*set->items));
	if (set->items == NULL) {
		return -ENOMEM;
	}
	memcpy(set->items, list->items, list->count * sizeof(*set->items));
	qsort(set->items, list->count, sizeof(*set->items), compare_networks);
	set->count = drop_nested(set->items, list->count);
	return 0;
}

void
network_set_free(struct network_set *set)
{
	free(set->items);
	*set = (struct network_set){0};
}

/* Only the last network that does not begin behind the address can have it. */
bool
network_set_contains(const struct network_set *set, const union peer *peer)
{
	struct in6_addr address;
	size_t low = 0, high = set->count;
	bool is_v4;

	if (!network_address_of(peer, &address)) {
		return false;
	}
	is_v4 = IN6_IS_ADDR_V4MAPPED(&address);
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_to_address(is_v4, &address, &set->items[middle]) >= 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low > 0 && network_contains_address(&set->items[low - 1], &address);
}
