/* Where a back end is: an address, or a name that DNS has to know. Pure: nothing is looked up. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/defs.h"

struct fault;

enum endpoint_kind {
	ENDPOINT_NONE,    /* nothing was parsed yet */
	ENDPOINT_ADDRESS, /* "10.0.0.7:8080" and whatever else address_parse takes */
	ENDPOINT_HOST,    /* "java.internal:8080": the addresses of a name, all with this port */
	ENDPOINT_SRV,     /* "srv:_http._tcp.internal": the records say names, ports and weights */
};

#define ENDPOINT_NAME_MAX 254 /* of a name of DNS, RFC 1035 2.3.4, with its end */
#define ENDPOINT_TEXT_MAX 264 /* with "srv:" or a port */

struct endpoint {
	enum endpoint_kind kind;
	struct address address;       /* of kind ADDRESS only */
	char name[ENDPOINT_NAME_MAX]; /* of the other kinds */
	uint16_t port;                /* of kind HOST, host order */
};

/** @return 0; -EINVAL with a sentence that says what is wrong and what is allowed */
int endpoint_parse(const char *string, struct endpoint *endpoint, struct fault *why) MUST_CHECK;
/** Write the form that endpoint_parse reads. @return `buffer` */
const char *endpoint_format(const struct endpoint *endpoint, char buffer[ENDPOINT_TEXT_MAX]);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
/** Whether DNS has to be asked. */
bool endpoint_is_name(const struct endpoint *endpoint);
