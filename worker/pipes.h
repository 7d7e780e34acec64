/* Pipes for splice(2), kept for the next bulk stream: making one costs four times what it saves on
 * one block. A pipe is given back empty, or closed. */
#pragma once

#include <stdbool.h>

#include "common/defs.h"

struct service;

struct pipe_pair {
	int read_end, write_end;
	struct pipe_pair *next; /* in the pool */
};

#define PIPES_BYTES    (256 * 1024) /* asked for; the kernel may give less */
#define PIPES_KEPT_MAX 32

/** An empty pipe, which stays in the pool: whoever leaves something in it has to take it.
 *  @return NULL when no descriptor or memory is left: go on without */
const struct pipe_pair *pipes_next(struct service *service) MUST_CHECK;
/** Take the one that pipes_next returned. */
struct pipe_pair *pipes_take(struct service *service) MUST_CHECK;
/** @param is_empty  otherwise what is in it belonged to one session and is thrown away with it */
void pipes_give_back(struct service *service, struct pipe_pair **pipe, bool is_empty);
/** At the end of the worker. */
void pipes_fini(struct service *service);
