/* Descriptors of pooled pipes count as used, so that accepting pauses in time. */
#include "worker/pipes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/service.h"

#define PIPES_LEAST_BYTES 65536

static void
pipes_close(struct service *service, struct pipe_pair *pipe)
{
	(void)close(pipe->read_end);
	(void)close(pipe->write_end);
	service->descriptors_used -= 2;
	free(pipe);
}

static struct pipe_pair *
pipes_make(struct service *service)
{
	struct pipe_pair *made;
	int ends[2];

	if (service_descriptors_left(service) < 2) {
		return NULL;
	}
	made = malloc(sizeof(*made));
	if (made == NULL || pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) {
		free(made);
		return NULL;
	}
	/* Past the user's share of pipe memory (pipe(7)) it stays as small as it is, and is no use
	 * when even a new one is. */
	if (fcntl(ends[1], F_SETPIPE_SZ, PIPES_BYTES) < 0 &&
		fcntl(ends[1], F_GETPIPE_SZ) < PIPES_LEAST_BYTES) {
		(void)close(ends[0]);
		(void)close(ends[1]);
		free(made);
		return NULL;
	}
	*made = (struct pipe_pair){.read_end = ends[0], .write_end = ends[1]};
	service->descriptors_used += 2;
	return made;
}

const struct pipe_pair *
pipes_next(struct service *service)
{
	if (service->pipes == NULL) {
		service->pipes = pipes_make(service);
		service->pipe_count = service->pipes == NULL ? 0 : 1;
	}
	return service->pipes;
}

struct pipe_pair *
pipes_take(struct service *service)
{
	struct pipe_pair *taken = service->pipes;

	service->pipes = taken->next;
	service->pipe_count--;
	taken->next = NULL;
	return taken;
}

void
pipes_give_back(struct service *service, struct pipe_pair **pipe, bool is_empty)
{
	struct pipe_pair *given = *pipe;

	*pipe = NULL;
	if (!is_empty || service->pipe_count >= PIPES_KEPT_MAX) {
		pipes_close(service, given);
		return;
	}
	given->next = service->pipes;
	service->pipes = given;
	service->pipe_count++;
}

void
pipes_fini(struct service *service)
{
	while (service->pipes != NULL) {
		struct pipe_pair *pipe = service->pipes;

		service->pipes = pipe->next;
		service->pipe_count--;
		pipes_close(service, pipe);
	}
}
