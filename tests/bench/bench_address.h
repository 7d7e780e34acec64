/*
 * Socket addresses of the measuring tools: "127.0.0.1:7000" and "[::1]:7000", numbers only.
 * Functions return 0 or a negative errno.
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

struct bench_address {
	struct sockaddr_storage socket_address;
	socklen_t len;
};

/* Reads ADDRESS:PORT. -EINVAL when the text is anything else. */
int bench_address_parse(const char *text, struct bench_address *address);

/* Reads a bare address without a port; the port is 0. */
int bench_address_parse_host(const char *text, struct bench_address *address);

/* The address that lies `step` above `base`, counted in its last 32 bits. */
struct bench_address bench_address_add(const struct bench_address *base, uint32_t step);

uint16_t bench_address_port(const struct bench_address *address);

int bench_address_family(const struct bench_address *address);
