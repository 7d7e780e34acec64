/* The end of a process in words. */
#include "master/obituary.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/text.h"

static bool
is_given(const char *string)
{
	return string != NULL && string[0] != '\0';
}

const char *
obituary_signal_name(int signal, char space[16])
{
	const char *abbreviation = sigabbrev_np(signal);

	if (abbreviation != NULL) {
		(void)snprintf(space, 16, "SIG%s", abbreviation);
	} else {
		(void)snprintf(space, 16, "signal %d", signal);
	}
	return space;
}

void
obituary_add_cause(struct text *text, int status)
{
	char name[16];

	if (WIFSIGNALED(status)) {
		text_add(text, "killed by %s%s", obituary_signal_name(WTERMSIG(status), name),
			WCOREDUMP(status) ? " (core dumped)" : "");
	} else {
		text_add(text, "exited with status %d", WEXITSTATUS(status));
	}
}

static void
obituary_add_circumstances(struct text *text, const struct obituary *obituary)
{
	if (obituary->sender > 0) {
		text_add(text, " sent by pid %d", (int)obituary->sender);
	} else if (obituary->has_fault_address) {
		text_add(text, " at address 0x%" PRIx64, obituary->fault_address);
	}
	text_add(text, " after ");
	text_add_span_ms(text, obituary->age_ms);
	if (!obituary->was_ready) {
		text_add(text, ", before it served");
	}
	if (is_given(obituary->doing)) {
		text_add(text, " (%s)", obituary->doing);
	}
	if (obituary->died_of_memory) {
		text_add(text, "; likely by the OOM killer");
		if (is_given(obituary->memory)) {
			text_add(text, " (%s)", obituary->memory);
		}
	}
	if (is_given(obituary->complaint)) {
		text_add(text, "; it said: ");
		text_add_printable(text, obituary->complaint, strlen(obituary->complaint));
	}
}

static void
obituary_add_cost(struct text *text, const struct obituary *obituary)
{
	uint64_t lost = obituary->lost_connections;

	if (obituary->was_ready || lost > 0) {
		text_add(text, "; %" PRIu64 " connection%s lost", lost, lost == 1 ? "" : "s");
	}
	if (is_given(obituary->listener)) {
		text_add(text, "; was serving %s on listener %s",
			is_given(obituary->peer) ? obituary->peer : "a client", obituary->listener);
		if (is_given(obituary->protocol)) {
			text_add(text, " (protocol %s)", obituary->protocol);
		}
	}
}

static void
obituary_add_outlook(struct text *text, const struct obituary *obituary)
{
	if (obituary->restart_in_ms == 0) {
		text_add(text, "; restarting now");
	} else if (obituary->restart_in_ms > 0) {
		text_add(text, "; restarting in ");
		text_add_span_ms(text, obituary->restart_in_ms);
	}
	if (obituary->failures > 1) {
		text_add(text, "; failure %u in a row", obituary->failures);
	}
	if (obituary->untold > 0) {
		text_add(text, "; %u before it not logged", obituary->untold);
	}
}

void
obituary_write(struct text *text, const struct obituary *obituary)
{
	text_add(text, "worker %d (pid %d) ", obituary->slot, (int)obituary->pid);
	obituary_add_cause(text, obituary->status);
	obituary_add_circumstances(text, obituary);
	obituary_add_cost(text, obituary);
	obituary_add_outlook(text, obituary);
}
