/* The books of a worker: accepted = open + sum of closed, for each listener, at every moment at
 * which somebody reads the board. */
#pragma once

#include "common/board.h"

struct settings;

/** A client was accepted; its claim becomes an open connection. */
void ledger_open(const struct settings *settings);
/** An open connection ended; its place is free. */
void ledger_close(const struct settings *settings, enum close_reason reason);
/** A client was accepted and ended at once, without a place. */
void ledger_turn_away(const struct settings *settings, enum close_reason reason);
