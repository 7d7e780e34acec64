/* Looks after the open sockets: their queues on the board, healing, and the end of retired ones. */
#pragma once

#include <stdbool.h>

#include "common/defs.h"

struct master;

/** Once a second: revive a socket that somebody shut down, and undo a backlog or a filter that
 *  somebody else set: every process that holds a socket can do that to all. Said and counted.
 *  @return whether a unix socket is lost for good and has to be opened anew: reload_reopen */
bool listeners_heal(struct master *master) MUST_CHECK;
/** Ten times a second: depth, limit, peak and dropped segments of each listener onto the board;
 *  send RELEASE for retiring sockets whose queue has run empty, close those that no worker holds.
 */
void listeners_watch(struct master *master);
