/* The master's part in the upstreams: their rows on the board, and the events of their servers,
 * which workers see and may not write. */
#pragma once

#include <stddef.h>

#include "common/board.h"
#include "common/defs.h"

struct config;
struct fault;
struct master;

/** Give every upstream and server of a configuration its row, before workers look for it.
 *  @return 0; -ENOSPC after too many different names in the life of this master */
int backends_register(
	struct board *board, const struct config *config, struct fault *why) MUST_CHECK;
/** This configuration is in force: what it says of the servers, for who shows it. */
void backends_use(struct board *board, const struct config *config);
/** Obey "NAME drain", "NAME ready", "NAME weight N", "NAME max N" ("none": no limit).
 *  @param text  what was done, or why not
 *  @return 0; -EINVAL; -ENOENT */
int backends_order(struct board *board, const char *order, char *text, size_t size) MUST_CHECK;
#define BACKENDS_NAME_MAX (2 * BOARD_SERVER_MAX)
/** "UPSTREAM/SERVER". @return buffer */
const char *backends_name(const struct board *board, int server, char buffer[BACKENDS_NAME_MAX]);
/** Once a second: tell which servers went down or came up, which dropped our SYNs, and to which we
 *  have no local port left. */
void backends_watch(struct master *master);
