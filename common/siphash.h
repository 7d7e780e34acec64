/* SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash for every table whose keys a client can
 * choose. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
	uint64_t k0, k1;
};

uint64_t siphash(const struct siphash_key *key, const void *bytes, size_t len);
