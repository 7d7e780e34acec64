/* Life of a worker: it learns everything from the master, serves until it is told to finish or
 * loses the master, and goes when its connections are gone. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/loop.h"
#include "worker/control.h"
#include "worker/service.h"

enum worker_state {
	WORKER_STARTING, /* nothing to serve yet */
	WORKER_SERVING,
	WORKER_DRAINING, /* no new clients; connections may finish */
	WORKER_GONE,
};

struct worker {
	enum worker_state state;
	char identity[32];
	struct service service;
	struct control control;
	ev_signal on_term;
	struct loop_timer report; /* of what can be seen only after a turn */
	struct loop_timer drain_end;
	int64_t drain_end_ms;
};

/** The only way from one state to the next.
 *  @param reason  for the log: who or what asked for it */
void worker_enter(struct worker *worker, enum worker_state state, const char *reason);
/** New sockets may have come: say after a turn how they are watched. */
void worker_report_soon(struct worker *worker);
/** Finish: no new clients, and what is left after `timeout_ms` is cut. While finishing already, an
 *  earlier end holds. @param timeout_ms  0: at once; CHANNEL_NO_LIMIT */
void worker_drain(struct worker *worker, int64_t timeout_ms, const char *reason);
