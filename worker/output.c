/* One buffer with a moving beginning: what is pending is always one piece for one send. */
#include "worker/output.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void
output_free(struct output **output)
{
	free(*output);
	*output = NULL;
}

/* Doubling keeps the copying linear; the first piece gets exactly its size because mostly it is
 * the only one. */
static size_t
output_grown_capacity(size_t capacity, size_t needed, size_t ceiling)
{
	size_t doubled = capacity > ceiling / 2 ? ceiling : capacity * 2;

	return doubled > needed ? doubled : needed;
}

static int
output_reserve(
	struct output **output, size_t pending, size_t needed, size_t ceiling, int64_t now_ms)
{
	struct output *grown;
	size_t capacity;

	if (*output != NULL && (*output)->capacity - (*output)->end >= needed - pending) {
		return 0;
	}
	if (*output != NULL && (*output)->capacity >= needed) {
		memmove((*output)->bytes, (*output)->bytes + (*output)->begin, pending);
		(*output)->begin = 0;
		(*output)->end = pending;
		return 0;
	}
	capacity =
		output_grown_capacity(*output == NULL ? 0 : (*output)->capacity, needed, ceiling);
	grown = malloc(sizeof(*grown) + capacity);
	if (grown == NULL) {
		return -ENOMEM;
	}
	grown->progress_ms = *output == NULL ? now_ms : (*output)->progress_ms;
	grown->unacknowledged = *output == NULL ? 0 : (*output)->unacknowledged;
	grown->begin = 0;
	grown->end = pending;
	grown->capacity = capacity;
	if (pending > 0) {
		memcpy(grown->bytes, (*output)->bytes + (*output)->begin, pending);
	}
	free(*output);
	*output = grown;
	return 0;
}

int
output_append(struct output **output, const void *bytes, size_t len, size_t ceiling, int64_t now_ms)
{
	size_t pending = output_pending(*output);
	int error;

	if (len == 0) {
		return 0;
	}
	if (pending > ceiling || len > ceiling - pending) {
		return -ENOBUFS;
	}
	error = output_reserve(output, pending, pending + len, ceiling, now_ms);
	if (error != 0) {
		return error;
	}
	memcpy((*output)->bytes + (*output)->end, bytes, len);
	(*output)->end += len;
	return 0;
}

void
output_consume(struct output **output, size_t len, int64_t now_ms)
{
	assert(len <= output_pending(*output));
	(*output)->begin += len;
	(*output)->progress_ms = now_ms;
	if ((*output)->begin == (*output)->end) {
		output_free(output);
	}
}
