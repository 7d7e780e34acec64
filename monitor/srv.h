/* SRV records (RFC 2782) out of an answer of DNS, as it came from the network. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/defs.h"

#define SRV_TARGET_MAX 1025 /* NS_MAXDNAME: every byte of a name may be escaped */

struct srv_record {
	char target[SRV_TARGET_MAX];
	uint16_t priority, weight, port;
};

/** Take the records of lowest priority, in the order of priority, target and port. "." as target,
 *  which says that there is no such service, is no record.
 *  @param records  room for `max` of them
 *  @param found    how many there were, perhaps more than `max`
 *  @param ttl_s    the lowest of the answer, aliases among them; untouched when there is no record
 *  @return 0; -EBADMSG when it is no well-formed message */
int srv_parse(const unsigned char *message, size_t len, struct srv_record *records, size_t max,
	size_t *found, uint32_t *ttl_s) MUST_CHECK;
