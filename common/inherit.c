/* The one place that knows what a child starts with. The variable is taken only in the very form in
 * which it is written, so a stray one in an administrator's environment is noticed. */
#include "common/inherit.h"
#include "build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/board.h"

#define INHERIT_VARIABLE "ACCEPTD_INHERIT"

/* What a child keeps of the environment: local time in its log, whether its standard error is the
 * journal, and what tools for developers need. */
static const char *const kept[] = {
	"TZ", "JOURNAL_STREAM", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
	"LLVM_PROFILE_FILE",
#ifdef WITH_FAULTS
	"LD_PRELOAD", /* system tests let memory run out and clocks jump */
#endif
};

static const char *const role_words[] = {
	[ROLE_WORKER] = "worker",
	[ROLE_MONITOR] = "monitor",
	[ROLE_HEIR] = "heir",
	[ROLE_CANDIDATE] = "candidate",
};

static void
write_variable(const struct inherit *inherit, char *into, size_t size)
{
	(void)snprintf(into, size, "%s=%s %d %d", INHERIT_VARIABLE, role_words[inherit->role],
		inherit->slot, inherit->channel);
}

static bool
is_possible(const struct inherit *inherit)
{
	int slots = inherit->role == ROLE_WORKER ? BOARD_SLOTS : inherit->role == ROLE_HEIR ? 2 : 1;

	return inherit->slot >= 0 && inherit->slot < slots && inherit->channel > STDERR_FILENO;
}

static bool
is_value_of(const char *value, enum inherit_role role, struct inherit *inherit)
{
	size_t len = strlen(role_words[role]);
	struct inherit_space space;

	inherit->role = role;
	if (strncmp(value, role_words[role], len) != 0 ||
		sscanf(value + len, " %4d %6d", &inherit->slot, &inherit->channel) != 2) {
		return false;
	}
	write_variable(inherit, space.variable, sizeof(space.variable));
	return strcmp(strchr(space.variable, '=') + 1, value) == 0 && is_possible(inherit);
}

static bool
is_value_of_any(const char *value, struct inherit *inherit)
{
	for (size_t role = ROLE_WORKER; role < ARRAY_LEN(role_words); role++) {
		if (is_value_of(value, (enum inherit_role)role, inherit)) {
			return true;
		}
	}
	return false;
}

int
inherit_read(struct inherit *inherit)
{
	const char *value = getenv(INHERIT_VARIABLE);
	struct inherit found;

	if (value == NULL) {
		*inherit = (struct inherit){.role = ROLE_MASTER, .slot = -1, .channel = -1};
		return 0;
	}
	if (!is_value_of_any(value, &found)) {
		return -EINVAL;
	}
	if (fcntl(found.channel, F_SETFD, FD_CLOEXEC) < 0) {
		return -EINVAL;
	}
	/* A program executed by descriptor is otherwise called by the descriptor's number. */
	(void)prctl(PR_SET_NAME, "acceptd");
	*inherit = found;
	return 0;
}

static char *
environment_entry(const char *name)
{
	size_t len = strlen(name);

	for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
		if (strncmp(*entry, name, len) == 0 && (*entry)[len] == '=') {
			return *entry;
		}
	}
	return NULL;
}

void
inherit_write(const struct inherit *inherit, struct inherit_space *space)
{
	size_t used = 0;

	_Static_assert(ARRAY_LEN(kept) + 2 <= ARRAY_LEN(space->environment), "room for all");
	if (inherit->role == ROLE_MONITOR) {
		(void)snprintf(space->title, sizeof(space->title), "acceptd: monitor");
	} else {
		(void)snprintf(
			space->title, sizeof(space->title), "acceptd: worker %d", inherit->slot);
	}
	write_variable(inherit, space->variable, sizeof(space->variable));
	space->argv[0] = space->title;
	space->argv[1] = NULL;
	space->environment[used++] = space->variable;
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		char *entry = environment_entry(kept[i]);

		if (entry != NULL) {
			space->environment[used++] = entry;
		}
	}
	space->environment[used] = NULL;
}

char **
inherit_environment(const struct inherit *inherit)
{
	struct inherit_space space;
	size_t count = 0, used = 0;
	char **entries;

	while (environ[count] != NULL) {
		count++;
	}
	entries = malloc((count + 2) * sizeof(*entries) + sizeof(space.variable));
	if (entries == NULL) {
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		if (strncmp(environ[i], INHERIT_VARIABLE "=", sizeof(INHERIT_VARIABLE)) != 0) {
			entries[used++] = environ[i];
		}
	}
	entries[used] = (char *)&entries[count + 2];
	write_variable(inherit, entries[used++], sizeof(space.variable));
	entries[used] = NULL;
	return entries;
}
