/* The PROXY protocol, versions 1 and 2 (haproxy.org, doc/proxy-protocol.txt, 2020/03/05): the first
 * bytes of a connection that say who the client behind the sender is. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/defs.h"

struct fault;

#define PROXY_V1_MAX    107 /* longest line with its CR LF */
#define PROXY_V2_MAX    536 /* 16 bytes, the longest addresses (216) and 304 bytes of TLVs */
#define PROXY_WRITE_MAX PROXY_V1_MAX

enum proxy_version { PROXY_NONE, PROXY_V1, PROXY_V2 };

struct proxy_header {
	bool is_local;     /* LOCAL or UNKNOWN: the sender speaks for itself (a health check) */
	union peer client; /* AF_UNSPEC when there is none */
	union peer target; /* where the client connected to */
};

/** Read a header from the first bytes of a connection. Both versions are understood.
 *  @param bytes  what was received so far
 *  @param header  filled on success
 *  @return bytes the header occupies; -EAGAIN when it is not complete yet; -EPROTO with a sentence
 *          when it is none, is longer than PROXY_V1_MAX or PROXY_V2_MAX, its TLVs do not add up or
 *          a checksum among them is wrong */
int proxy_header_read(
	const void *bytes, size_t len, struct proxy_header *header, struct fault *why) MUST_CHECK;

/** Write a header for a server. Peers without an address (unix sockets) become UNKNOWN or LOCAL.
 *  @return its length */
size_t proxy_header_write(enum proxy_version version, const union peer *client,
	const union peer *target, unsigned char buffer[PROXY_WRITE_MAX]);
