/* Both ways to move bytes. */
#include "tests/bench/yardstick_lane.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/yardstick.h"

#define SCRATCH_BYTES 65536
#define PIPE_BYTES    (256 * 1024)

struct kept {
	size_t begin; /* of the bytes; with a pipe, end is how much it holds */
	size_t end;
	int pipe[2];
	struct kept *next; /* among the spare ones */
	char bytes[];
};

void
mover_init(struct mover *mover, bool splices)
{
	*mover = (struct mover){.splices = splices, .scratch = malloc(SCRATCH_BYTES)};
	if (mover->scratch == NULL) {
		yardstick_die("no memory");
	}
}

static enum lane_result
result_of_error(void)
{
	return errno == EAGAIN ? LANE_EMPTY : LANE_FAILED;
}

/* --- recv and send --- */

static struct kept *
keep_bytes(const char *bytes, size_t len)
{
	struct kept *kept = malloc(sizeof(*kept) + len);

	if (kept == NULL) {
		yardstick_die("no memory");
	}
	*kept = (struct kept){.end = len};
	memcpy(kept->bytes, bytes, len);
	return kept;
}

static enum lane_result
move_by_copy(struct mover *mover, int source, int target, struct kept **kept)
{
	ssize_t got = recv(source, mover->scratch, SCRATCH_BYTES, 0);

	if (got <= 0) {
		return got == 0 ? LANE_ENDED : result_of_error();
	}
	ssize_t sent = send(target, mover->scratch, (size_t)got, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN) {
		return LANE_FAILED;
	}
	size_t taken = sent < 0 ? 0 : (size_t)sent;
	if (taken < (size_t)got) {
		*kept = keep_bytes(mover->scratch + taken, (size_t)got - taken);
	}
	return got < SCRATCH_BYTES ? LANE_SHORT : LANE_MOVED;
}

static bool
flush_bytes(int target, struct kept **kept)
{
	struct kept *rest = *kept;
	ssize_t sent =
		send(target, rest->bytes + rest->begin, rest->end - rest->begin, MSG_NOSIGNAL);

	if (sent < 0) {
		return errno == EAGAIN;
	}
	rest->begin += (size_t)sent;
	if (rest->begin == rest->end) {
		free(rest);
		*kept = NULL;
	}
	return true;
}

/* --- splice --- */

static struct kept *
take_pipe(struct mover *mover)
{
	struct kept *taken = mover->spare;

	if (taken != NULL) {
		mover->spare = taken->next;
		return taken;
	}
	taken = calloc(1, sizeof(*taken));
	if (taken == NULL || pipe2(taken->pipe, O_NONBLOCK | O_CLOEXEC) < 0) {
		yardstick_die("no pipe");
	}
	/* Past the user's share of pipe memory it stays as small as it is, which is slower. */
	(void)fcntl(taken->pipe[1], F_SETPIPE_SZ, PIPE_BYTES);
	return taken;
}

static void
give_back_pipe(struct mover *mover, struct kept *pipe)
{
	pipe->next = mover->spare;
	mover->spare = pipe;
}

static bool
drain_pipe(struct mover *mover, int target, struct kept **kept)
{
	struct kept *pipe = *kept;

	while (pipe->end > 0) {
		ssize_t sent = splice(pipe->pipe[0], NULL, target, NULL, pipe->end,
			SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

		if (sent <= 0) {
			return errno == EAGAIN;
		}
		pipe->end -= (size_t)sent;
	}
	give_back_pipe(mover, pipe);
	*kept = NULL;
	return true;
}

static enum lane_result
move_by_splice(struct mover *mover, int source, int target, struct kept **kept)
{
	struct kept *pipe = take_pipe(mover);
	ssize_t got = splice(
		source, NULL, pipe->pipe[1], NULL, PIPE_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (got <= 0) {
		give_back_pipe(mover, pipe);
		return got == 0 ? LANE_ENDED : result_of_error();
	}
	pipe->end = (size_t)got;
	*kept = pipe;
	/* A short splice may have filled the pipe with small pieces: it does not tell. */
	return drain_pipe(mover, target, kept) ? LANE_MOVED : LANE_FAILED;
}

/* --- either --- */

enum lane_result
mover_move(struct mover *mover, int source, int target, struct kept **kept)
{
	return mover->splices ? move_by_splice(mover, source, target, kept)
			      : move_by_copy(mover, source, target, kept);
}

bool
mover_flush(struct mover *mover, int target, struct kept **kept)
{
	return mover->splices ? drain_pipe(mover, target, kept) : flush_bytes(target, kept);
}

void
mover_drop(struct mover *mover, struct kept **kept)
{
	if (*kept == NULL) {
		return;
	}
	if (mover->splices) {
		close((*kept)->pipe[0]);
		close((*kept)->pipe[1]);
	}
	free(*kept);
	*kept = NULL;
}
