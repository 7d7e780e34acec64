/* Prepare, commit. The order within prepare: what can be taken back first, the log last, because
 * once it has moved there is nothing left that could fail. */
#include "master/reconfigure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/board.h"
#include "common/config.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "common/log.h"
#include "master/backend_rows.h"
#include "master/backends.h"
#include "master/doors.h"
#include "master/fleet.h"
#include "master/kernel.h"
#include "master/listeners.h"
#include "master/listeners_change.h"
#include "master/master.h"
#include "master/penalty.h"
#include "master/processors.h"

#define MEMORY_NAME "acceptd-configuration"

struct reconfigure {
	struct config *config;
	struct listeners_change *listeners;
	struct doors doors;
	struct session_file session_file;
	int memory; /* the text, sealed */
};

static const enum log_level log_levels[] = {
	[CONFIG_LOG_ERROR] = LOG_LEVEL_ERROR,
	[CONFIG_LOG_WARNING] = LOG_LEVEL_WARNING,
	[CONFIG_LOG_NOTICE] = LOG_LEVEL_NOTICE,
	[CONFIG_LOG_INFO] = LOG_LEVEL_INFO,
	[CONFIG_LOG_DEBUG] = LOG_LEVEL_DEBUG,
};

static int
reconfigure_seal(const struct config *config, struct fault *why)
{
	char *text;
	size_t len;
	int status = config_dump_text(config, &text, &len);

	if (status != 0) {
		return fault_set(why, -status, "cannot write the configuration for the workers");
	}
	status = descriptor_seal_bytes(MEMORY_NAME, text, len);
	free(text);
	if (status < 0) {
		return fault_set(why, -status, "cannot seal the configuration for the workers");
	}
	return status;
}

/* What would go to the terminal goes to syslog. */
const char *
reconfigure_log_target(const struct master *master, const struct config *config)
{
	return master->is_daemon && strcmp(config->log, "stderr") == 0 ? "syslog" : config->log;
}

static int
reconfigure_move_log(struct master *master, const struct config *config, struct fault *why)
{
	const char *target = reconfigure_log_target(master, config);
	struct fault cause;
	int status;

	if (master->config != NULL &&
		strcmp(reconfigure_log_target(master, master->config), target) == 0) {
		return 0;
	}
	status = log_open(target, &cause);
	return status == 0 ? 0 : fault_say(why, -status, "log: %s", cause.text);
}

static void
reconfigure_free(struct reconfigure **reconfigure)
{
	listeners_rollback(&(*reconfigure)->listeners);
	doors_rollback(&(*reconfigure)->doors);
	session_file_close(&(*reconfigure)->session_file);
	descriptor_close(&(*reconfigure)->memory);
	free(*reconfigure);
	*reconfigure = NULL;
}

/* Before the first start there is no fleet, and no worker. */
static uint64_t
oldest_generation(const struct master *master)
{
	return master->fleet == NULL ? UINT64_MAX : fleet_oldest_generation(master->fleet);
}

int
reconfigure_prepare(struct master *master, struct config *config, struct reconfigure **reconfigure,
	struct fault *why)
{
	struct reconfigure *made = calloc(1, sizeof(*made));
	int status;

	if (made == NULL) {
		return fault_set(why, ENOMEM, "cannot prepare the configuration");
	}
	made->memory = -1;
	doors_init(&made->doors);
	status = listeners_prepare(master->listeners, config, &made->listeners, why);
	if (status == 0) {
		status = doors_prepare(master, config, &made->doors, why);
	}
	if (status == 0) {
		status = backend_rows_check(&master->board, config, oldest_generation(master), why);
	}
	if (status == 0) {
		made->memory = reconfigure_seal(config, why);
		status = made->memory < 0 ? made->memory : 0;
	}
	if (status == 0) {
		status = session_file_prepare(master->config, config, &made->session_file, why);
	}
	if (status == 0) {
		status = reconfigure_move_log(master, config, why);
	}
	if (status != 0) {
		reconfigure_free(&made);
		return status;
	}
	made->config = config;
	*reconfigure = made;
	return 0;
}

/* Before the listeners: each keeps the somaxconn of its last listen(2) call. */
static void
reconfigure_apply_kernel(struct master *master)
{
	char words[512];

	kernel_apply_somaxconn(KERNEL_ROOT, master->config, &master->somaxconn);
	if (kernel_explain_somaxconn(&master->somaxconn, words, sizeof(words))[0] != '\0') {
		master_event(master,
			master->somaxconn.error != 0 ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE, "%s",
			words);
	}
}

void
reconfigure_use_log_level(const struct config *config)
{
	log_set_level(log_levels[config->log_level]);
}

void
reconfigure_next_generation(struct master *master)
{
	master->generation++;
	stat_set(&master->board.writable->stats[STAT_MASTER_generation], master->generation);
}

void
reconfigure_commit(struct master *master, struct reconfigure **reconfigure)
{
	struct reconfigure *next = *reconfigure;
	struct config *was = master->config;
	int memory = master->config_memory;

	master->config = next->config;
	master->config_memory = next->memory;
	next->memory = memory; /* closed below, with the rest that is no longer in force */
	reconfigure_next_generation(master);
	reconfigure_use_log_level(master->config);
	reconfigure_apply_kernel(master);
	listeners_commit(master, &next->listeners);
	doors_commit(master->doors, &next->doors);
	session_file_commit(&master->session_file, &next->session_file);
	backends_use(&master->board, master->config, oldest_generation(master));
	penalty_review(master);
	config_free(&was);
	reconfigure_free(reconfigure);
}

unsigned
reconfigure_count_workers(struct master *master)
{
	struct processors processors;
	char why[256];
	unsigned count;

	processors_look(&processors);
	count = processors_choose_workers(&processors, master->config->workers,
		master->config->max_connections, config_descriptors_each(master->config),
		master->descriptor_limit, why, sizeof(why));
	master_event(master, LOG_LEVEL_NOTICE, "%s", why);
	return count;
}
