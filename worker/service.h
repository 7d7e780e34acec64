/* What everything in one worker shares: the loop and the time of its turn, the slot on the board,
 * the scratch buffer, deadlines, connections, listening sockets and the budget of descriptors. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/board.h"
#include "common/defs.h"
#include "common/loop.h"
#include "worker/deadline.h"
#include "worker/memory.h"
#include "worker/session_log.h"
#include "worker/vitals.h"
#include "worker/wakers.h"

struct acceptor;
struct conn;
struct fault;
struct upstream;
struct pipe_pair;

#define SERVICE_SCRATCH_BYTES 65536
#define SERVICE_GUARD_MS      100 /* a turn at least this often */

struct service {
	struct ev_loop *loop;
	int64_t now_ms;       /* monotonic, of the turn: read once when the loop wakes up */
	uint16_t turn;        /* counts turns, wraps */
	const char *identity; /* "worker 2", for messages */

	int slot_index;
	struct board board;
	struct board_slot *slot; /* our own on the board */

	unsigned char *scratch; /* SERVICE_SCRATCH_BYTES for one read, free between callbacks */
	struct deadlines deadlines;
	struct conn *conns; /* all, newest first */
	struct upstream *upstreams;
	struct pipe_pair *pipes; /* empty ones, for bulk streams */
	unsigned pipe_count;
	uint64_t open;            /* how many; what the board shows */
	uint64_t closed;          /* how many ended in this process */
	uint32_t last_serial;     /* of a connection; goes on where the worker before has ended */
	struct conn *next_listed; /* where listing goes on; NULL: nowhere */

	struct acceptor *acceptors;
	unsigned paused_acceptors;
	uint64_t closed_at_review; /* `closed` when the pauses were last looked at */
	int64_t next_tick_ms, next_guard_ms;
	uint64_t log_lines_dropped; /* of this process, as far as the board shows them */

	int64_t max_connections; /* of all workers together; 0: none */
	int64_t drain_timeout_ms;
	int64_t descriptor_limit;
	int64_t descriptors_used;
	int reserve_fd; /* the last descriptor, kept to turn away a client when there is no other */

	struct session_log session_log;

	struct vitals vitals;
	struct memory memory;
	struct wakers wakers;
	int64_t wait_sample_until_ms; /* acceptor.c: how many clients came in this second */
	unsigned wait_sample_count;

	struct loop_timer alarm;
	int64_t alarm_ms; /* when it rings; INT64_MAX: not set */
};

/** Make loop, scratch and watchers on an attached board. The service owns `board` from here on,
 *  also when this fails.
 *  @param identity  borrowed for the life of the service */
int service_init(struct service *service, const struct board *board, int slot, const char *identity,
	struct fault *why) MUST_CHECK;
/** Connections and acceptors must be gone. */
void service_fini(struct service *service);

/** One turn of the loop: sleep until something is ready or due, and serve it. */
void service_turn(struct service *service);

/** Read the limit of descriptors again: prlimit(1) may have changed it. */
void service_read_descriptor_limit(struct service *service);
/** Whether the worker is finishing. */
bool service_is_leaving(const struct service *service);
/** How many more can be opened before only the reserve is left; negative after the limit was
 *  lowered. The reserve is for what is not a client: logs, a reload's sockets, back ends. */
int64_t service_descriptors_left(const struct service *service);
