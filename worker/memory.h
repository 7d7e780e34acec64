/* Memory of clients that have gone: free, but in pieces between what is still used, where malloc
 * keeps it for the next ones and does not give it back to the kernel by itself. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define MEMORY_CROWD    1000  /* clients that are worth the work: half a megabyte */
#define MEMORY_PAUSE_MS 10000 /* between two times */

struct memory {
	uint64_t most_open; /* since the last time */
	bool is_rest; /* that many were left of a crowd the last time, and no more came since */
	int64_t not_before_ms;
};

/** One more client, the `open`th: a crowd may come and go between two looks. */
void memory_note(struct memory *memory, uint64_t open);
/** To be asked often: give memory back when three of four clients of a crowd have gone, and again
 *  when three of four of the rest have, who each may have held a page that others were on.
 *  @return whether it was time to */
bool memory_look(struct memory *memory, uint64_t open, int64_t now_ms);
