/*
 * One process of the load client. It talks with its parent in single letters on a socket pair:
 * it says "ready", waits for "start", says "established" once every session of a holding plan has
 * connected or failed, and waits for "release".
 */
#pragma once

#include <stdint.h>

#include "tests/bench/load_plan.h"
#include "tests/bench/load_stats.h"

#define LOAD_MESSAGE_READY       'r'
#define LOAD_MESSAGE_START       's'
#define LOAD_MESSAGE_ESTABLISHED 'e'
#define LOAD_MESSAGE_RELEASE     'x'

/*
 * Does the share of process `index`. *start_ns is memory shared with the parent, set before it says
 * "start": the moment from which timeouts and the pace count. Returns 0, or a negative errno when
 * the process could not work at all; failures of sessions are in the result.
 */
int load_worker_run(const struct load_plan *plan, unsigned index, const int64_t *start_ns,
	int control_fd, struct load_result *result);
