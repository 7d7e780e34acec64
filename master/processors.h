/* How many processors this process may use, and how many workers that makes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Descriptors of a worker that are not connections: the standard ones, channel, log, epoll,
 * listeners, reserve. */
#define PROCESSORS_WORKER_RESERVE 64

struct processors {
	unsigned affinity;        /* cores in our mask: sched_getaffinity(2), cpusets included */
	int64_t quota_millicores; /* CPU quota of the control group; 0: none */
};

/** Look at affinity and quota as they are now. Cannot fail: what cannot be read counts as one core,
 *  or as no quota. */
void processors_look(struct processors *processors);
/** Cores that can be busy at the same time: the mask, cut by the quota (rounded up), at least 1. */
unsigned processors_usable(const struct processors *processors);
/** The number of workers. Pure.
 *  @param asked  CONFIG_WORKERS_AUTO: one per usable core, and more when max_connections does not
 *                fit into their descriptors; otherwise that number
 *  @param max_connections   CONFIG_NONE: no demand
 *  @param descriptors_each  that one connection takes
 *  @param descriptor_limit  hard limit of one process
 *  @param why    one sentence: how many and why, and what does not fit
 *  @return 1..BOARD_SLOTS */
unsigned processors_choose_workers(const struct processors *processors, int64_t asked,
	int64_t max_connections, int64_t descriptors_each, int64_t descriptor_limit, char *why,
	size_t size);
/** The core that the worker in a slot is pinned to: the slot-th of our mask, round and round.
 *  -1 when the mask cannot be read. */
int processors_core_of_slot(int slot);
