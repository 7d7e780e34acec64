/* Binds each row of protocols.def to the hooks `protocol_NAME` of proto_NAME.c. */
#include "build.h"

#include "worker/protocol.h"

#include <assert.h>

#include "common/config.h"

#define PROTOCOL(name, help) extern const struct protocol protocol_##name;
#include "common/protocols.def"
#undef PROTOCOL

static const struct protocol *const protocols[PROTOCOL_COUNT] = {
#define PROTOCOL(name, help) [PROTOCOL_##name] = &protocol_##name,
#include "common/protocols.def"
#undef PROTOCOL
};

const struct protocol *
protocol_find(int number)
{
	assert(number >= 0 && number < PROTOCOL_COUNT);
	return protocols[number];
}
