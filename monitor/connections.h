/* The connections of all workers, as these wrote them down: filtered, sorted by age, shown. What a
 * worker writes is not trusted. Pure but for reading the memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/channel.h"
#include "common/defs.h"

struct board;
struct render;

#define CONNECTIONS_MAX 200000 /* kept of one list; what is beyond is counted */

struct connection_row {
	int slot;
	struct channel_connection facts;
};

struct connections {
	const struct board *board; /* for the names of listeners */
	/* Which are wanted. */
	const char *listener; /* NULL: any */
	int64_t older_ms;
	unsigned state; /* enum sock_diag_state; 0: any */
	int slot;       /* -1: any; otherwise the one with `serial` */
	uint32_t serial;

	struct connection_row *rows;
	size_t count, room;
	uint64_t left_out; /* wanted, but beyond CONNECTIONS_MAX or memory */
};

/** Empty, everything wanted. @return NULL for want of memory */
struct connections *connections_new(const struct board *board) MUST_CHECK;
void connections_free(struct connections **connections);
/** Take over those of one worker that are wanted.
 *  @param count  as the worker says; no more than the memory holds are read */
void connections_take(struct connections *connections, int slot, uint64_t count, int memory);
void connections_take_row(
	struct connections *connections, int slot, const struct channel_connection *facts);
/** The oldest first. */
void connections_sort(struct connections *connections);
/** @param note  what is missing, "" for nothing */
int connections_render(const struct connections *connections, const struct render *render,
	const char *note, FILE *stream) MUST_CHECK;
