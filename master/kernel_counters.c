/* The names of the rows are the kernel's own, so a counter finds its cell by its name. */
#include "master/kernel_counters.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/board.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "common/snmp.h"

#define COUNTERS_FILE_MAX (256 * 1024)

/* Looked at for each of the kernel's four hundred counters, so without a search for the row. */
static const char *const names[] = {
#define STAT(scope, name, ...) NAME_IN_##scope(name)
#define NAME_IN_WORKER(name)
#define NAME_IN_LISTENER(name)
#define NAME_IN_CLOSE(name)
#define NAME_IN_QUEUE(name)
#define NAME_IN_MASTER(name)
#define NAME_IN_SERVER(name)
#define NAME_IN_KERNEL(name) [STAT_KERNEL_##name] = #name,
#include "common/stats.def"
#undef STAT
};

struct counters {
	uint64_t values[STAT_KERNEL_COUNT];
};

static void
counters_on_found(const char *group, const char *name, uint64_t value, void *context)
{
	struct counters *counters = context;
	bool is_of_tcp = strcmp(group, "Tcp") == 0 || strcmp(group, "TcpExt") == 0;

	for (size_t i = 0; is_of_tcp && i < STAT_KERNEL_COUNT; i++) {
		if (strcmp(names[i], name) == 0) {
			counters->values[i] = value;
			return;
		}
	}
}

static int
counters_read_file(const char *root, const char *path, struct counters *counters, struct fault *why)
{
	char full[PATH_MAX];
	char *text;
	size_t len;
	int error;

	(void)snprintf(full, sizeof(full), "%s%s", root, path);
	error = descriptor_read_file(full, COUNTERS_FILE_MAX, &text, &len);
	if (error != 0) {
		return fault_set(why, -error, "cannot read %s", full);
	}
	error = snmp_parse(text, counters_on_found, counters);
	free(text);
	return error == 0 ? 0 : fault_say(why, -error, "%s is not in the form of proc(5)", full);
}

int
kernel_counters_read(struct board *board, const char *root, struct fault *why)
{
	struct board_master *master = board->writable;
	struct counters counters = {0};
	int error = counters_read_file(root, "/proc/self/net/netstat", &counters, why);

	if (error == 0) {
		error = counters_read_file(root, "/proc/self/net/snmp", &counters, why);
	}
	if (error != 0) {
		return error;
	}
	for (size_t i = 0; i < STAT_KERNEL_COUNT; i++) {
		if (!master->has_kernel) {
			stat_set(&master->kernel_at_start[i], counters.values[i]);
		}
		stat_set(&master->kernel[i], counters.values[i]);
	}
	master->has_kernel = 1;
	return 0;
}
