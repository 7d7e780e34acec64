/* Where a back end is, as somebody writes it into the configuration. */
#include "common/endpoint.h"

#include <errno.h>
#include <string.h>

#include "common/fault.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *string = malloc(size + 1);
	char text[ENDPOINT_TEXT_MAX];
	struct endpoint endpoint, again;
	struct fault why;

	PROMISE(string != NULL);
	if (size > 0) {
		memcpy(string, data, size);
	}
	string[size] = '\0';
	if (endpoint_parse(string, &endpoint, &why) == 0) {
		PROMISE(endpoint.kind != ENDPOINT_NONE);
		PROMISE(endpoint_parse(endpoint_format(&endpoint, text), &again, &why) == 0);
		PROMISE(endpoint_equal(&endpoint, &again));
	} else {
		PROMISE(why.code == -EINVAL && why.text[0] != '\0');
	}
	free(string);
	return 0;
}
