/* The text of /proc/net/snmp and /proc/net/netstat. */
#include "common/snmp.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

/* Nothing is made up: group, name and value are words of the text. */
static void
promise_found(const char *group, const char *name, uint64_t value, void *context)
{
	const char *text = context;
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRIu64, value);
	PROMISE(strchr(group, ' ') == NULL && strstr(text, group) != NULL);
	PROMISE(name[0] != '\0' && strpbrk(name, " \n") == NULL && strstr(text, name) != NULL);
	PROMISE(strstr(text, digits) != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	int result;

	PROMISE(text != NULL);
	if (size > 0) {
		memcpy(text, data, size);
	}
	text[size] = '\0';
	result = snmp_parse(text, promise_found, text);
	PROMISE(result == 0 || result == -EINVAL);
	free(text);
	return 0;
}
