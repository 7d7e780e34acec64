/* An answer with SRV records, as a hostile DNS server would send it. */
#include "monitor/srv.h"

#include <errno.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define ROOM 4

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct srv_record records[ROOM];
	size_t found = 0, count;
	uint32_t ttl_s = 0;
	uint8_t *exact = malloc(size > 0 ? size : 1); /* so that a sanitizer sees its end */
	int result;

	PROMISE(exact != NULL);
	if (size > 0) {
		memcpy(exact, data, size);
	}
	result = srv_parse(exact, size, records, ROOM, &found, &ttl_s);
	PROMISE(result == 0 || result == -EBADMSG);
	count = found < ROOM ? found : ROOM;
	for (size_t i = 0; result == 0 && i < count; i++) {
		PROMISE(strnlen(records[i].target, SRV_TARGET_MAX) < SRV_TARGET_MAX);
		PROMISE(i == 0 || records[i - 1].priority <= records[i].priority);
	}
	free(exact);
	return 0;
}
