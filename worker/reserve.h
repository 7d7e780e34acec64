/* Memory kept back for the event loop. libev ends the process when it gets none, for example while
 * its table of descriptors grows, and with it every connection. With the reserve it gets what it
 * needs once more, and the worker has time to finish and be replaced. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/** Before the first call of libev. The reserve is not touched, so it costs address space only. */
void reserve_install(void);
/** True once it had to be used. */
bool reserve_is_used(void);
/** What libev calls: realloc(3), and free(3) for size 0. */
void *reserve_allocate(void *block, long size);
