/* The one master of this process: what the files of this folder share. It decides and supervises;
 * it never parses a byte from the network, never blocks, never exits because of a child. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/board.h"
#include "common/defs.h"
#include "common/privilege.h"

struct config;
struct fleet;
struct listeners;

enum master_state {
	MASTER_STARTING,
	MASTER_SERVING,
	MASTER_DRAINING, /* SIGTERM: workers finish */
	MASTER_STOPPING, /* at once */
};

struct master {
	enum master_state state;
	struct ev_loop *loop;
	char *config_path;
	struct config *config; /* in force */
	uint64_t generation;   /* of it; the first is 1 */
	int config_memory;     /* its text, sealed, as children receive it */
	struct board board;
	int board_memory;
	int binary; /* our own executable, held open: an upgrade on disk cannot mix two versions */
	bool drops_privileges;
	struct privilege_identity identity; /* of the workers */
	int64_t descriptor_limit;           /* hard limit of a worker */
	struct listeners *listeners;
	struct fleet *fleet;
};

/** Log at a level and put the same sentence on the board's ring of events. */
void master_event(struct master *master, int level, const char *format, ...) PRINTF_LIKE(3, 4);
