/* Which addresses are this machine's own. */
#include <ifaddrs.h>
#include <string.h>

#include "common/net.h"

static bool
is_of_loopback(const struct address *address)
{
	return address->any.sa_family == AF_INET
		       ? ntohl(address->in4.sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET
		       : IN6_IS_ADDR_LOOPBACK(&address->in6.sin6_addr);
}

static bool
is_same_host(const struct address *address, const struct sockaddr *of)
{
	if (of == NULL || of->sa_family != address->any.sa_family) {
		return false;
	}
	if (of->sa_family == AF_INET) {
		const struct sockaddr_in *in4 = (const struct sockaddr_in *)(const void *)of;

		return in4->sin_addr.s_addr == address->in4.sin_addr.s_addr;
	}
	return IN6_ARE_ADDR_EQUAL(&((const struct sockaddr_in6 *)(const void *)of)->sin6_addr,
		&address->in6.sin6_addr);
}

bool
net_is_local(const struct address *address)
{
	struct ifaddrs *all;
	bool is_local = false;

	if (address->any.sa_family == AF_UNIX || is_of_loopback(address)) {
		return true;
	}
	if (getifaddrs(&all) != 0) {
		return false;
	}
	for (const struct ifaddrs *one = all; one != NULL && !is_local; one = one->ifa_next) {
		is_local = is_same_host(address, one->ifa_addr);
	}
	freeifaddrs(all);
	return is_local;
}
