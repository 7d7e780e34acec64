/* Why something failed. Longer sentences are cut at the buffer's end: what, where and why come
 * first. */
#include "common/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fault_write(struct fault *why, int error, const char *format, va_list args)
	PRINTF_LIKE(3, 0);

static void
fault_write(struct fault *why, int error, const char *format, va_list args)
{
	why->code = -error;
	(void)vsnprintf(why->text, sizeof(why->text), format, args);
}

int
fault_say(struct fault *why, int error, const char *format, ...)
{
	va_list args;

	if (why != NULL) {
		va_start(args, format);
		fault_write(why, error, format, args);
		va_end(args);
	}
	return -error;
}

int
fault_set(struct fault *why, int error, const char *format, ...)
{
	va_list args;
	size_t used;

	if (why != NULL) {
		va_start(args, format);
		fault_write(why, error, format, args);
		va_end(args);
		used = strlen(why->text);
		(void)snprintf(why->text + used, sizeof(why->text) - used, ": %s", strerror(error));
	}
	return -error;
}
