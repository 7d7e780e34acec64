/* The books of a worker: accepted = open + sum of closed, for each listener, at every moment at
 * which somebody reads the board. */
#pragma once

#include "common/board.h"

struct settings;

/** Before accept(2): should we die before its client is in the books, the master counts it for us.
 */
static inline void
ledger_accept_begins(struct board_listener_cells *cells)
{
	stat_set(&cells->accepting, stat_get(&cells->stats[STAT_LISTENER_accepted]) + 1);
}
/** There was no client. */
static inline void
ledger_accept_failed(struct board_listener_cells *cells)
{
	stat_set(&cells->accepting, stat_get(&cells->stats[STAT_LISTENER_accepted]));
}
/** A client was accepted. Its place (admission.h) stays claimed as long as it is open. */
void ledger_open(const struct settings *settings);
/** An open connection ends. */
void ledger_close(const struct settings *settings, enum close_reason reason);
/** A client was accepted and ended at once, without a place; in the session log, too. */
void ledger_turn_away(
	const struct settings *settings, const union peer *client, enum close_reason reason);
