/* Back ends that are given by name: the monitor asks DNS, we judge its answers, put the addresses
 * into their places on the board and tell what changed. The last answer holds until there is a
 * better one: over failed lookups, reloads and the death of the monitor. */
#pragma once

#include "common/defs.h"

struct board;
struct channel_answer;
struct config;
struct master;
struct upstream_server_config;

/** Take an answer from the monitor, which may be in the hands of an attacker.
 *  @return 0, also when nothing of it can be used; -EPROTO: no sound monitor says so */
int names_take(struct master *master, const struct channel_answer *answer) MUST_CHECK;
/** A server's row is in force: what it is a place of. The addresses stay while the name does. */
void names_use_row(
	struct board *board, int row, const struct upstream_server_config *config, size_t index);
