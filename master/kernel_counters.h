/* Copies the kernel's SNMP counters of this network namespace to the board, so that unprivileged
 * readers and people who come later see what happened since the master began. */
#pragma once

#include "common/defs.h"

struct board;
struct fault;

/** Read /proc/self/net/netstat and /proc/self/net/snmp, about 35 us. The first call on a board also
 * sets the values at start. Counters that this kernel does not have stay 0.
 *  @param root  "" for the real /proc, a directory in tests
 *  @return 0, or negative errno; the board keeps what it had */
int kernel_counters_read(struct board *board, const char *root, struct fault *why) MUST_CHECK;
