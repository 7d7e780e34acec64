/* The accept queues of back ends on this host, as the kernel shows them. */
#pragma once

struct master;

/** Once a second: depth and limit of each server's listener onto the board, where the kernel tells
 *  them; two questions of a microsecond or two for each server. Warns, once for each pair of
 *  numbers, when a declared backlog is longer than the real queue. */
void backend_queues_look(struct master *master);
