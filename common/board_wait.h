/* Why clients wait for a place at an upstream: what is known of its servers in, the reason in words
 * out, for the log and for acceptctl status. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct board;
struct text;

#define BOARD_WAIT_LONG_MS 5000 /* a wait that somebody has to know of */

struct board_load {
	bool is_serving;                /* it may be given clients: up, not drained, has a weight */
	uint64_t held, max_connections; /* places in use, and in force; 0: no limit */
	/* Connections that may be in its accept queue, and its declared length; 0: none declared.
	 */
	uint64_t queued, backlog;
};

enum board_wait_reason { /* the later one says more */
	BOARD_WAIT_UNKNOWN,
	BOARD_WAIT_PLACES,
	BOARD_WAIT_ACCEPT,
};

/** Clients that wait for a place at an upstream, and for how long the first of them has; 0: nobody
 *  waits. */
uint64_t board_waiting(const struct board *board, int upstream);
int64_t board_oldest_wait_ms(const struct board *board, int upstream, int64_t now_ms);
/** Now, of all workers. */
void board_read_load(const struct board *board, int server, struct board_load *load);
/** Of the connections without a byte from the server, those that may be in its accept queue.
 *  @param depth  of the queue as the kernel shows it; 0: not known */
uint64_t board_wait_queued(uint64_t unproven, uint64_t settled, uint64_t depth);
/** Why this server takes no further client. */
enum board_wait_reason board_wait_reason(const struct board_load *load);
/** Append "back end java/a leaves 50 connections …; look there".
 *  @param name  of the server whose reason says most, as it is shown */
void board_wait_write(const char *name, const struct board_load *load, struct text *text);
