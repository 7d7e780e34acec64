/* The variables of the environment that we are started with: LISTEN_PID and LISTEN_FDS of a service
 * manager (a line each), and the one that makes a process a child (both lines). */
#include <errno.h>
#include <string.h>

#include "common/board.h"
#include "common/inherit.h"
#include "master/activation.h"
#include "tests/fuzz/fuzz.h"

#define OUR_PID 4711

static void
check_activation(const char *pid, const char *fds)
{
	int count = activation_parse(pid, fds, OUR_PID);

	PROMISE(count == -EINVAL || (count >= 0 && count <= ACTIVATION_MAX));
	/* Descriptors are taken only by whom they are meant for. */
	PROMISE(count <= 0 || (strtol(pid, NULL, 10) == OUR_PID && strtol(fds, NULL, 10) == count));
}

static void
check_inherited(const char *value)
{
	struct inherit inherit = {0};
	struct inherit_space space;
	int result;

	PROMISE(setenv("ACCEPTD_INHERIT", value, 1) == 0);
	result = inherit_read(&inherit);
	PROMISE(result == 0 || result == -EINVAL);
	if (result == 0) {
		PROMISE(inherit.role == ROLE_WORKER || inherit.role == ROLE_MONITOR);
		PROMISE(inherit.slot >= 0 && inherit.slot < BOARD_SLOTS && inherit.channel > 2);
		inherit_write(&inherit, &space);
		PROMISE(strcmp(strchr(space.variable, '=') + 1, value) == 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	char *end;

	PROMISE(text != NULL);
	if (size > 0) {
		memcpy(text, data, size);
	}
	text[size] = '\0';
	check_inherited(text);
	end = strchr(text, '\n');
	if (end != NULL) {
		*end++ = '\0';
	}
	check_activation(text, end);
	free(text);
	return 0;
}
