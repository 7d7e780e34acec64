/* Consistent hashing by lookup table (Eisenbud et al., "Maglev", NSDI 2016): every machine with the
 * same servers picks the same one for a client, and a change of one server moves few clients. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/defs.h"

#define MAGLEV_SIZE        65537 /* prime, well over 100 times the servers: shares within 1 % */
#define MAGLEV_SERVERS_MAX 256
#define MAGLEV_NONE        UINT16_MAX

struct maglev_server {
	const char *name; /* decides its places: address or name, the same on all machines */
	unsigned weight;  /* 0: not in the table */
};

/** Fill the table with indices into `servers`; all MAGLEV_NONE when no server has a weight.
 *  About 2 ms. @return 0, or -EINVAL for too many servers: the table is as it was */
int maglev_build(
	const struct maglev_server *servers, size_t count, uint16_t table[MAGLEV_SIZE]) MUST_CHECK;
static inline uint16_t
maglev_find(const uint16_t table[MAGLEV_SIZE], uint64_t hash)
{
	return table[hash % MAGLEV_SIZE];
}
