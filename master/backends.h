/* The master's part in the upstreams: their rows on the board, and the events of their servers,
 * which workers see and may not write. */
#pragma once

#include "common/defs.h"

struct board;
struct config;
struct fault;
struct master;

/** Give every upstream and server of a configuration its row, before workers look for it.
 *  @return 0; -ENOSPC after too many different names in the life of this master */
int backends_register(
	struct board *board, const struct config *config, struct fault *why) MUST_CHECK;
/** This configuration is in force: what it says of the servers, for who shows it. */
void backends_use(struct board *board, const struct config *config);
/** Once a second: tell which servers went down or came up, and which dropped our SYNs. */
void backends_watch(struct master *master);
