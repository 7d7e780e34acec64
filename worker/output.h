/* What a client is still owed: bytes that the socket did not take at once. Exists only while there
 * are some, so an idle connection has no buffer. No system calls. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/defs.h"

struct output {
	int64_t progress_ms;    /* when the socket last took some of it, or the client of that */
	int64_t unacknowledged; /* bytes in the socket's buffer when last looked at */
	size_t begin, end, capacity;
	unsigned char bytes[];
};

/** Append. @param output  NULL is empty: a new one is made, `now_ms` its first progress
 *  @param ceiling  bytes that may be pending at most
 *  @return 0; -ENOBUFS over the ceiling, -ENOMEM; nothing is appended then */
int output_append(struct output **output, const void *bytes, size_t len, size_t ceiling,
	int64_t now_ms) MUST_CHECK;
/** Drop `len` bytes that were sent; frees it and sets NULL when nothing is left. */
void output_consume(struct output **output, size_t len, int64_t now_ms);
/** 0 for NULL. */
static inline size_t output_pending(const struct output *output);
void output_free(struct output **output);

/* --- inline --- */

static inline size_t
output_pending(const struct output *output)
{
	return output == NULL ? 0 : output->end - output->begin;
}
