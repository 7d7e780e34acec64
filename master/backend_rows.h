/* Who has which row of the board. It has a row for each name of an upstream or server that is in
 * use now: the row of one that nothing uses any more goes to another name when no other is free,
 * the one that left the configuration first before the others. */
#pragma once

#include <stdint.h>

#include "common/board.h"
#include "common/defs.h"

struct config;
struct fault;

/** Whether every upstream and server of a configuration can get a row; changes nothing.
 *  @param oldest_generation  the oldest configuration that a worker may still work under
 *  @return 0; -ENOSPC with the sentence that says what holds the rows */
int backend_rows_check(const struct board *board, const struct config *config,
	uint64_t oldest_generation, struct fault *why) MUST_CHECK;
/** Give them their rows. There must be room, as checked in the same turn of the loop. */
void backend_rows_give(
	struct board *board, const struct config *config, uint64_t oldest_generation);
