/* The monitor's end of its channel to the master: what it is told, and what it asks for others. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/child_end.h"
#include "common/defs.h"

struct config;
struct fault;
struct monitor;

#define LINK_REQUESTS_MAX 32

/* Somebody waits for the master's answer. Embedded in its owner; the owner forgets it before it
 * goes. */
struct link_request {
	uint32_t id; /* 0: none */
	/** The whole answer. @param status  0 or negative errno; `text` ends with a zero byte */
	void (*on_result)(struct link_request *request, int status, const char *text);
	/** One worker's connections come before it; may be NULL. @param fd  borrowed */
	void (*on_rows)(struct link_request *request, int slot, uint64_t count, int fd);
	FILE *pieces; /* of the answer so far */
	char *text;
	size_t len;
};

struct link {
	struct child_end end;
	uint32_t last_id;
	struct link_request *requests[LINK_REQUESTS_MAX];
	struct config *next_config; /* not committed yet */
	uint64_t next_generation;
	int next_doors[2]; /* admin, web */
	bool has_doors;
	bool is_committed; /* once */
};

/** Wait for the master's first message and attach the board. @param fd  taken over
 *  @return 0 or negative errno with a sentence */
int link_open(struct monitor *monitor, int fd, struct fault *why) MUST_CHECK;
/** Hear the master from here on; monitor->loop must be there. */
void link_start(struct monitor *monitor);
/** Stop, and close the channel and whatever came through it and was not committed. Requests must be
 *  forgotten before. */
void link_close(struct monitor *monitor);

/** Ask the master. on_result follows, unless the request is forgotten or the master is lost.
 *  @param request  borrowed until then
 *  @param who      for its log
 *  @return 0; -EBUSY, -ENOMEM, -EAGAIN the master is too busy, -EPIPE it is gone: then nothing was
 *          asked and no answer comes */
int link_ask(struct monitor *monitor, struct link_request *request, enum channel_command command,
	const char *argument, const char *who) MUST_CHECK;
/** Tell it what became of a lookup. @return 0; -EAGAIN it is too busy, -EPIPE it is gone */
int link_answer(const struct monitor *monitor, const struct channel_answer *answer) MUST_CHECK;
/** Nobody waits any more. */
void link_forget(struct monitor *monitor, struct link_request *request);
