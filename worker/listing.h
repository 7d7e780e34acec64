/* Writing down every connection for an operator, some at a time, so that clients wait for no more
 * than a slice of it; and closing one that an operator has chosen. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/defs.h"
#include "common/loop.h"

struct conn;
struct service;

struct listing {
	struct service *service;
	int memory; /* -1: none is under way */
	uint32_t id;
	uint64_t count, room;
	struct loop_timer slice;
	void (*on_written)(struct listing *listing);
};

void listing_init(struct listing *listing, struct service *service,
	void (*on_written)(struct listing *listing));
/** Begin; one that is under way is given up. `on_written` is called when `count` records are there.
 *  @param memory  of fixed size; taken over */
void listing_start(struct listing *listing, uint32_t id, int memory);
void listing_stop(struct listing *listing);

/** Reset the connection of that number. @return 0 or -ENOENT */
int listing_kill(struct service *service, uint32_t serial);
