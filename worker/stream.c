/* A stream is bulk after several more big reads than small ones, and no longer after as many small
 * ones in a row. Copies and splices take turns only while nothing is kept, so bytes never overtake
 * each other; and a pipe that is empty is in the pool, so an idle stream has none. */
#include "worker/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/output.h"
#include "worker/pipes.h"
#include "worker/service.h"

#define BULK_SCORE       4 /* big reads until it is bulk, half as many if they fill the buffer */
#define BULK_SCORE_FULL  7 /* then; as many small ones until it is no longer as it is above */
#define BULK_LEAST_BYTES 32768 /* of a big read: moving less costs more through a pipe */

static struct stream_step
failed(enum stream_progress side, int error)
{
	return (struct stream_step){.progress = side, .error = error};
}

/* What had moved before is counted all the same. */
static struct stream_step
failed_after(struct stream_step step, enum stream_progress side, int error)
{
	step.progress = side;
	step.error = error;
	return step;
}

static bool
is_temporary(int error)
{
	return error == EAGAIN || error == EINTR;
}

/* A read gave no bytes: 0, or -1 with errno. */
static struct stream_step
read_nothing(struct stream *stream, ssize_t len)
{
	if (len == 0) {
		stream->has_ended = true;
		return failed(STREAM_ENDED, 0);
	}
	return is_temporary(errno) ? failed(STREAM_DRY, 0) : failed(STREAM_SOURCE_FAILED, errno);
}

/* --- through the scratch buffer --- */

static struct stream_step
send_or_keep(struct stream *stream, struct service *service, int target, size_t len, size_t ceiling)
{
	struct stream_step step = {.progress = STREAM_MOVED, .read_bytes = len};
	ssize_t taken = 0;
	int error;

	if (target >= 0 && *stream->unsent == NULL) {
		taken = send(target, service->scratch, len, MSG_NOSIGNAL);
		if (taken < 0 && !is_temporary(errno)) {
			return failed_after(step, STREAM_TARGET_FAILED, errno);
		}
		taken = taken < 0 ? 0 : taken;
		step.sent_bytes = (size_t)taken;
	}
	if ((size_t)taken == len) {
		return step;
	}
	error = output_append(stream->unsent, service->scratch + taken, len - (size_t)taken,
		ceiling, service->now_ms);
	return error == 0 ? step : failed_after(step, STREAM_NO_MEMORY, -error);
}

/* A read that fills the buffer leaves more behind: what is left for the next one may be little and
 * is bulk all the same. Full at once when it becomes bulk; without a pipe it stays there. */
static uint8_t
score_after_read(const struct stream *stream, size_t len, size_t room)
{
	unsigned score = stream->bulk_score;

	if (len < BULK_LEAST_BYTES) {
		return (uint8_t)(score > 0 ? score - 1 : 0);
	}
	score += len == room ? 2 : 1;
	return (uint8_t)(score < BULK_SCORE ? score : BULK_SCORE_FULL);
}

/* Who leaves begins anew. */
static uint8_t
score_after_splice(const struct stream *stream, size_t len)
{
	if (len >= BULK_LEAST_BYTES) {
		return BULK_SCORE_FULL;
	}
	return (uint8_t)(stream->bulk_score > BULK_SCORE ? stream->bulk_score - 1 : 0);
}

static struct stream_step
move_by_copy(struct stream *stream, struct service *service, int source, int target, size_t ceiling)
{
	size_t kept = output_pending(*stream->unsent);
	size_t room = kept < ceiling ? ceiling - kept : 0;
	ssize_t len;

	if (room == 0) { /* a read of nothing would look like the end */
		return failed(STREAM_DRY, 0);
	}
	room = room < SERVICE_SCRATCH_BYTES ? room : SERVICE_SCRATCH_BYTES;
	len = recv(source, service->scratch, room, 0);
	if (len <= 0) {
		return read_nothing(stream, len);
	}
	stream->bulk_score = score_after_read(stream, (size_t)len, room);
	return send_or_keep(stream, service, target, (size_t)len, ceiling);
}

/* --- through a pipe --- */

static struct stream_step
drain_pipe(struct stream *stream, const struct pipe_pair *pipe, int target)
{
	struct stream_step step = {.progress = STREAM_MOVED};
	ssize_t taken;

	while (stream->in_pipe > 0) {
		taken = splice(pipe->read_end, NULL, target, NULL, stream->in_pipe,
			SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (taken < 0 && !is_temporary(errno)) {
			return failed_after(step, STREAM_TARGET_FAILED, errno);
		}
		if (taken <= 0) {
			break;
		}
		stream->in_pipe -= (size_t)taken;
		step.sent_bytes += (size_t)taken;
	}
	return step;
}

/* What the target takes at once is through the pipe before it was anybody's. */
static struct stream_step
move_by_splice(struct stream *stream, struct service *service, const struct pipe_pair *pipe,
	int source, int target)
{
	struct stream_step step;
	ssize_t len = splice(source, NULL, pipe->write_end, NULL, PIPES_BYTES,
		SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (len <= 0) {
		return read_nothing(stream, len);
	}
	stream->bulk_score = score_after_splice(stream, (size_t)len);
	stream->in_pipe = (size_t)len;
	step = drain_pipe(stream, pipe, target);
	step.read_bytes = (size_t)len;
	if (stream->in_pipe > 0) {
		stream->pipe = pipes_take(service);
	}
	return step;
}

static bool
is_bulk(const struct stream *stream)
{
	return stream->bulk_score >= BULK_SCORE;
}

struct stream_step
stream_move(struct stream *stream, struct service *service, int source, int target, size_t ceiling)
{
	const struct pipe_pair *pipe = NULL;

	if (stream->in_pipe > 0) {
		return failed(STREAM_DRY, 0);
	}
	if (is_bulk(stream) && target >= 0 && *stream->unsent == NULL) {
		pipe = pipes_next(service);
	}
	return pipe != NULL ? move_by_splice(stream, service, pipe, source, target)
			    : move_by_copy(stream, service, source, target, ceiling);
}

struct stream_step
stream_flush(struct stream *stream, struct service *service, int target)
{
	struct stream_step step = {.progress = STREAM_MOVED};
	ssize_t taken;

	if (stream->pipe != NULL) {
		step = drain_pipe(stream, stream->pipe, target);
		if (stream->in_pipe == 0) {
			pipes_give_back(service, &stream->pipe, true);
		}
		return step;
	}
	if (*stream->unsent == NULL) {
		return step;
	}
	taken = send(target, (*stream->unsent)->bytes + (*stream->unsent)->begin,
		output_pending(*stream->unsent), MSG_NOSIGNAL);
	if (taken < 0) {
		return is_temporary(errno) ? step : failed(STREAM_TARGET_FAILED, errno);
	}
	output_consume(stream->unsent, (size_t)taken, service->now_ms);
	step.sent_bytes = (size_t)taken;
	return step;
}

int
stream_prepend(struct stream *stream, struct service *service, const void *bytes, size_t len)
{
	struct output *later = *stream->unsent;
	int error;

	*stream->unsent = NULL;
	error = output_append(stream->unsent, bytes, len, SIZE_MAX, service->now_ms);
	if (error == 0 && later != NULL) {
		error = output_append(stream->unsent, later->bytes + later->begin,
			output_pending(later), SIZE_MAX, service->now_ms);
	}
	output_free(&later);
	return error;
}

void
stream_close(struct stream *stream, struct service *service)
{
	if (stream->pipe != NULL) {
		pipes_give_back(service, &stream->pipe, false);
	}
	stream->in_pipe = 0;
}
