/* Why something failed: one code for the program, one sentence for the person. Pure. */
#pragma once

#include "common/defs.h"

struct fault {
	int code;       /* negative errno */
	char text[768]; /* one sentence, no line break, no full stop */
};

/** Write the sentence followed by ": " and the words of the error number.
 *  @param why    may be NULL when nobody wants the sentence
 *  @param error  positive errno
 *  @return       -error, so that a function can end with `return fault_set(...)` */
int fault_set(struct fault *why, int error, const char *format, ...) PRINTF_LIKE(3, 4);

/** The same without the words of the error number: the sentence says it all. */
int fault_say(struct fault *why, int error, const char *format, ...) PRINTF_LIKE(3, 4);
