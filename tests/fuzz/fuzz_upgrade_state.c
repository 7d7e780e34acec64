/* What one program hands to the next in an upgrade. */
#include "master/upgrade_state.h"

#include <errno.h>
#include <string.h>

#include "common/fault.h"
#include "master/slots.h"
#include "tests/fuzz/fuzz.h"

static int
promise_descriptor(int fd, const char *what, void *arg)
{
	(void)arg;
	PROMISE(fd > 2 && what != NULL);
	return 0;
}

/* What those who take it over rely on without looking again. */
static void
promise_content(const struct upgrade_state *state)
{
	PROMISE(state->head.board > 2 && state->head.config > 2);
	PROMISE(state->head.wanted >= 1 && state->head.wanted <= BOARD_SLOTS);
	PROMISE(strnlen(state->head.config_path, PATH_MAX) < PATH_MAX);
	PROMISE(state->worker_count <= BOARD_SLOTS);
	for (size_t i = 0; i < state->worker_count; i++) {
		const struct upgrade_worker *worker = &state->workers[i];

		PROMISE(worker->slot >= 0 && worker->slot < BOARD_SLOTS);
		PROMISE(worker->state >= 0 && worker->state < SLOT_STATE_COUNT);
		PROMISE((worker->state == SLOT_EMPTY) == (worker->pid == 0));
	}
	for (size_t i = 0; i < state->socket_count; i++) {
		PROMISE(state->sockets[i].board_listener >= 0 &&
			state->sockets[i].board_listener < BOARD_LISTENERS);
	}
	PROMISE(upgrade_state_visit(state, promise_descriptor, NULL) == 0);
}

/* What was read can be written, and that is the same again. */
static void
promise_written(const struct upgrade_state *state)
{
	struct upgrade_state again = {0};
	uint8_t *bytes, *twice;
	size_t len, twice_len;
	struct fault why;

	PROMISE(upgrade_state_write(state, &bytes, &len) == 0);
	PROMISE(upgrade_state_read(bytes, len, &again, &why) == 0);
	PROMISE(upgrade_state_write(&again, &twice, &twice_len) == 0);
	PROMISE(twice_len == len && memcmp(bytes, twice, len) == 0);
	upgrade_state_free(&again);
	free(bytes);
	free(twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct upgrade_state state = {0};
	struct fault why;
	int status = upgrade_state_read(data, size, &state, &why);

	PROMISE(status == 0 || status == -EPROTO || status == -EBADMSG);
	if (status == 0) {
		promise_content(&state);
		promise_written(&state);
	}
	upgrade_state_free(&state);
	return 0;
}
