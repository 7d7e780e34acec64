/* The master's own life, and what happens told twice: in the log, and on the board's ring of events
 * for those who look at the running server. */
#include "master/master.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/board.h"
#include "common/log.h"

#define EVENT_TEXT_MAX 1024

static const char *const state_names[] = {
	[MASTER_STARTING] = "starting",
	[MASTER_SERVING] = "serving",
	[MASTER_DRAINING] = "draining",
	[MASTER_STOPPING] = "stopping",
};

void
master_enter(struct master *master, enum master_state state, const char *reason)
{
	/* Life goes one way; a step may be left out, but for serving before draining. */
	assert(state > master->state);
	assert(state != MASTER_DRAINING || master->state == MASTER_SERVING);
	log_info("%s -> %s (%s)", state_names[master->state], state_names[state], reason);
	master->state = state;
}

void
master_event(struct master *master, int level, const char *format, ...)
{
	char text[EVENT_TEXT_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_at((enum log_level)level, "%s", text);
	if (master->board.writable != NULL) {
		board_add_event(&master->board, level, text);
	}
}
