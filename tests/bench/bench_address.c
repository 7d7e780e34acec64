/*
 * Socket addresses to and from text for the measuring tools. They have a copy of their own, so that
 * a fault in the server's address code cannot hide itself by being in the tool as well.
 */
#include "tests/bench/bench_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define HOST_TEXT_MAX 64

static int
parse_port(const char *text, uint16_t *port)
{
	char *end = NULL;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end != '\0' || value > UINT16_MAX) {
		return -EINVAL;
	}
	*port = (uint16_t)value;
	return 0;
}

uint16_t
bench_address_port(const struct bench_address *address)
{
	return ntohs(bench_address_family(address) == AF_INET
			     ? ((const struct sockaddr_in *)&address->socket_address)->sin_port
			     : ((const struct sockaddr_in6 *)&address->socket_address)->sin6_port);
}

int
bench_address_family(const struct bench_address *address)
{
	return address->socket_address.ss_family;
}

int
bench_address_parse_host(const char *text, struct bench_address *address)
{
	struct bench_address parsed = {.len = 0};
	struct sockaddr_in *in4 = (struct sockaddr_in *)&parsed.socket_address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&parsed.socket_address;

	if (inet_pton(AF_INET, text, &in4->sin_addr) == 1) {
		in4->sin_family = AF_INET;
		parsed.len = sizeof(*in4);
	} else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		parsed.len = sizeof(*in6);
	} else {
		return -EINVAL;
	}
	*address = parsed;
	return 0;
}

static void
set_port(struct bench_address *address, uint16_t port)
{
	if (bench_address_family(address) == AF_INET) {
		((struct sockaddr_in *)&address->socket_address)->sin_port = htons(port);
	} else {
		((struct sockaddr_in6 *)&address->socket_address)->sin6_port = htons(port);
	}
}

int
bench_address_parse(const char *text, struct bench_address *address)
{
	char host[HOST_TEXT_MAX];
	const char *colon = strrchr(text, ':');
	struct bench_address parsed;
	uint16_t port = 0;

	if (colon == NULL || (size_t)(colon - text) >= sizeof(host) ||
		parse_port(colon + 1, &port)) {
		return -EINVAL;
	}
	size_t host_len = (size_t)(colon - text);
	if (host_len >= 2 && text[0] == '[' && text[host_len - 1] == ']') {
		text++;
		host_len -= 2;
	}
	memcpy(host, text, host_len);
	host[host_len] = '\0';
	int result = bench_address_parse_host(host, &parsed);
	if (result < 0) {
		return result;
	}
	set_port(&parsed, port);
	*address = parsed;
	return 0;
}

struct bench_address
bench_address_add(const struct bench_address *base, uint32_t step)
{
	struct bench_address sum = *base;
	uint32_t low;

	if (bench_address_family(base) == AF_INET) {
		struct sockaddr_in *in4 = (struct sockaddr_in *)&sum.socket_address;

		in4->sin_addr.s_addr = htonl(ntohl(in4->sin_addr.s_addr) + step);
		return sum;
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&sum.socket_address;
	memcpy(&low, &in6->sin6_addr.s6_addr[12], sizeof(low));
	low = htonl(ntohl(low) + step);
	memcpy(&in6->sin6_addr.s6_addr[12], &low, sizeof(low));
	return sum;
}
