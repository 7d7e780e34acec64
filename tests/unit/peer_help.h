/* Clients by their addresses. */
#pragma once

#include <arpa/inet.h>
#include <check.h>
#include <string.h>

#include "common/address.h"

/** "192.0.2.7", "2001:db8::7", or "unix". */
static inline union peer
help_peer(const char *address)
{
	union peer made;

	memset(&made, 0, sizeof(made));
	if (strcmp(address, "unix") == 0) {
		made.any.sa_family = AF_UNIX;
	} else if (inet_pton(AF_INET, address, &made.in4.sin_addr) == 1) {
		made.any.sa_family = AF_INET;
	} else {
		ck_assert_int_eq(inet_pton(AF_INET6, address, &made.in6.sin6_addr), 1);
		made.any.sa_family = AF_INET6;
	}
	return made;
}
