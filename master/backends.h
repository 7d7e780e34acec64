/* The master's part in the upstreams: their rows on the board, and the events of their servers,
 * which workers see and may not write. */
#pragma once

#include <stddef.h>

#include "common/board.h"
#include "common/defs.h"

struct address;
struct config;
struct listener_config;
struct master;
struct upstream_config;

/** This configuration, for which backend_rows_check found room, is in force: each upstream and
 *  server gets a row, before workers look for it, and there what it says of the server, for who
 *  shows it. @param oldest_generation  that a worker may still work under */
void backends_use(struct board *board, const struct config *config, uint64_t oldest_generation);
/** The listener that would send to itself what it sends to this address of a server of the
 * upstream; NULL: none. */
const struct listener_config *backends_find_loop(const struct config *config,
	const struct upstream_config *upstream, const struct address *address);
/** The row is a place that has another address from now on: what was found out and what was ordered
 *  of the one before is void; an order to the whole name holds. */
void backends_forget(struct board *board, int row);
/** Obey "NAME drain", "NAME ready", "NAME weight N", "NAME max N" ("none": no limit).
 * The name of a server that has several rows means all of them. @param text  what was done, or why
 * not
 *  @return 0; -EINVAL; -ENOENT */
int backends_order(struct board *board, const char *order, char *text, size_t size) MUST_CHECK;
#define BACKENDS_NAME_MAX (BOARD_NAME_MAX + BOARD_SERVER_MAX + ADDRESS_TEXT_MAX)
/** "UPSTREAM/SERVER", of a place with its address: "UPSTREAM/NAME/1 (10.0.0.7:80)". @return buffer
 */
const char *backends_name(const struct board *board, int server, char buffer[BACKENDS_NAME_MAX]);
/** What the board says at the start has been told, by the program before. */
void backends_watch_start(const struct board *board);
/** Once a second: tell which servers went down or came up, which dropped our SYNs, and to which we
 *  have no local port left. */
void backends_watch(struct master *master);
