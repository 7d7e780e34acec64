/* One big block is its own mapping, so giving it back really makes room. */
#include "worker/reserve.h"

#include <ev.h>
#include <stdlib.h>

#define RESERVE_BYTES (4 << 20) /* the table of a hundred thousand descriptors, doubling */

static void *reserve;
static bool is_used;

void *
reserve_allocate(void *block, long size)
{
	void *grown;

	if (size == 0) {
		free(block);
		return NULL;
	}
	grown = realloc(block, (size_t)size);
	if (grown == NULL && reserve != NULL) {
		is_used = true;
		free(reserve);
		reserve = NULL;
		grown = realloc(block, (size_t)size);
	}
	return grown;
}

void
reserve_install(void)
{
	reserve = malloc(RESERVE_BYTES);
	ev_set_allocator(reserve_allocate);
}

bool
reserve_is_used(void)
{
	return is_used;
}
