/* Failed connects in a row to a server, over all workers: those that came after the last success in
 * any of them. Each worker writes its own cells only. A run is known by the number of runs that
 * were ended before it, in all workers: a failure is counted into the run that is going on, and
 * counts of other runs count no more. */
#pragma once

#include <stdint.h>

struct board;

/** A connect from this worker failed. Of workers that do this at the same moment at least one
 *  learns of all. @return failures in a row now, in all workers */
uint64_t failures_count(const struct board *board, int slot, int server);
/** A connect succeeded, or what the failures said is decided: the run is over for all workers. */
void failures_end(const struct board *board, int slot, int server);
/** Failures in a row now; a server with another address than before begins with none. */
uint64_t failures_in_row(const struct board *board, int server);
