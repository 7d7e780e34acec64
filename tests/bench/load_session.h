/*
 * One client session: connect, exchange rounds of bytes, close. Steps return a verdict and never
 * close; the worker that owns the sessions does, in one place. Descriptors are watched
 * edge-triggered, so a session remembers what it may still read or send without asking.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/load_plan.h"
#include "tests/bench/load_stats.h"

enum load_session_state {
	LOAD_SESSION_CONNECTING,
	LOAD_SESSION_HELD,
	LOAD_SESSION_EXCHANGING,
};

enum load_verdict {
	LOAD_GOES_ON,
	LOAD_DONE,
	LOAD_FAILED,
};

struct load_session {
	int fd;
	enum load_session_state state;
	bool may_read;
	bool may_send;
	bool peer_ended; /* an end or an error was announced: a short read is not the last word */
	bool has_shut;
	uint64_t stream_begin;
	uint64_t sent_bytes;
	uint64_t received_bytes;
	uint64_t goal_bytes; /* both of the above, at the end of the round */
	uint64_t rounds_done;
	int64_t started_ns;
	int64_t round_started_ns;
	const char *failed_reason; /* set with LOAD_FAILED */
	char reason_text[LOAD_REASON_LEN_MAX];
};

/*
 * Starts to connect from `source` (len 0: any address). `number` is unique among all sessions of
 * the run. LOAD_FAILED: there may or may not be a descriptor (fd -1).
 */
enum load_verdict load_session_open(struct load_session *session, const struct load_plan *plan,
	const struct bench_address *source, uint64_t number);

/* Takes one event of epoll. */
enum load_verdict load_session_step(struct load_session *session, const struct load_plan *plan,
	struct load_result *result, uint32_t events);

/* Ends the holding of a held session. */
enum load_verdict load_session_release(
	struct load_session *session, const struct load_plan *plan, struct load_result *result);

void load_session_close(struct load_session *session, bool resets);
