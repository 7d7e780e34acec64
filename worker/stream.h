/* One direction of a session: from the socket of one side to that of the other. Short messages are
 * read into the worker's scratch buffer and written at once; a stream that has shown to be bulk
 * goes through a pipe (splice(2)) and its bytes are never copied to us. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/defs.h"
#include "worker/output.h"

struct pipe_pair;
struct service;

struct stream {
	struct output *
		*unsent; /* read, not taken by the other side yet; where the owner keeps it */
	struct pipe_pair *pipe; /* only while something is in it */
	size_t in_pipe;         /* bytes */
	uint8_t bulk_score;     /* rises with big reads, falls with small ones */
	bool has_ended;         /* the source sent its last byte */
};

enum stream_progress {
	STREAM_MOVED, /* something was read */
	STREAM_DRY,   /* the source has nothing now */
	STREAM_ENDED, /* the source sent its last byte: has_ended */
	STREAM_SOURCE_FAILED,
	STREAM_TARGET_FAILED,
	STREAM_NO_MEMORY,
};

struct stream_step {
	enum stream_progress progress;
	int error;         /* positive errno of a failed side */
	size_t read_bytes; /* from the source */
	size_t sent_bytes; /* to the target */
};

/** Read once and pass on what the target takes.
 *  @param target   -1: not connected yet, everything is kept
 *  @param ceiling  bytes kept at most; the caller reads no more when stream_is_full */
struct stream_step stream_move(
	struct stream *stream, struct service *service, int source, int target, size_t ceiling);
/** The target is writable: send what is kept. */
struct stream_step stream_flush(struct stream *stream, struct service *service, int target);
/** Put bytes before everything else (a PROXY header). @return 0 or -ENOMEM */
int stream_prepend(
	struct stream *stream, struct service *service, const void *bytes, size_t len) MUST_CHECK;
/** Bytes read and not yet taken by the target. */
static inline size_t stream_kept(const struct stream *stream);
/** Whether reading must stop; `is_reading`: it goes on until the ceiling, else from half of it on.
 */
static inline bool stream_is_full(const struct stream *stream, size_t ceiling, bool is_reading);
/** Give the pipe back; what is unsent belongs to the owner. */
void stream_close(struct stream *stream, struct service *service);

/* --- inline --- */

static inline size_t
stream_kept(const struct stream *stream)
{
	return output_pending(*stream->unsent) + stream->in_pipe;
}

static inline bool
stream_is_full(const struct stream *stream, size_t ceiling, bool is_reading)
{
	if (stream->in_pipe > 0) {
		return true;
	}
	return *stream->unsent != NULL &&
	       output_pending(*stream->unsent) > (is_reading ? ceiling - 1 : ceiling / 2);
}
