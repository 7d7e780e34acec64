/* Reload in place. Reading and checking happen in one go, because they take milliseconds and
 * nothing waits for the master; only the workers' answer is waited for on the loop. */
#include "master/reload.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/board.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/config_schema.h"
#include "common/fault.h"
#include "common/log.h"
#include "master/fleet.h"
#include "master/lifecycle.h"
#include "master/listeners.h"
#include "master/listeners_change.h"
#include "master/master.h"
#include "master/monitor_child.h"
#include "master/reconfigure.h"
#include "master/requests.h"
#include "master/upgrade.h"
#include "master/world.h"

#define NAMES_MAX              256
#define REOPEN_LOG_INTERVAL_MS 60000

static void reload_tell(struct master *master, enum log_level level, const char *format, ...)
	PRINTF_LIKE(3, 4);

/* An event for everybody, and a line for those who asked for the reload. */
static void
reload_tell(struct master *master, enum log_level level, const char *format, ...)
{
	char line[1280];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	master_event(master, (int)level, "%s", line);
	text_add(&master->reload->said, "%s\n", line);
}

static void
reload_say(struct master *master, const struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		reload_tell(master,
			findings->items[i].kind == FINDING_WARNING ? LOG_LEVEL_WARNING
								   : LOG_LEVEL_ERROR,
			"%s", findings->items[i].text);
	}
	if (findings->not_shown > 0) {
		log_error("and %zu more", findings->not_shown);
		text_add(&master->reload->said, "and %zu more\n", findings->not_shown);
	}
}

/* Some options hold for the whole life of a master: a reload that seems to change one would lie. */
static void
reload_check_restart(
	const struct master *master, const struct config *config, struct findings *findings)
{
	char names[NAMES_MAX];

	if (config_changed(master->config, config, EFFECT_RESTART, names, sizeof(names)) > 0) {
		findings_add(findings, FINDING_WORLD, NULL,
			"%s: a change takes effect only at a restart; take it back or restart",
			names);
	}
}

struct config *
reload_read(const struct master *master, struct findings *findings)
{
	struct config *config = NULL;
	struct world world;

	if (config_load(master->config_path, &config, findings) != 0) {
		return NULL;
	}
	world_init(&world, WORLD_RELOAD, config);
	world.was = master->config;
	world.listeners = master->listeners;
	world.activation = &master->activation;
	world_check(&world, findings);
	reload_check_restart(master, config, findings);
	if (findings->world_errors > 0) {
		config_free(&config);
	}
	return config;
}

static void
reload_name_new_workers(
	struct master *master, const struct config *was, const struct config *config)
{
	char names[NAMES_MAX];

	if (config_changed(was, config, EFFECT_NEW_WORKERS, names, sizeof(names)) > 0) {
		reload_tell(master, LOG_LEVEL_NOTICE,
			"reload: %s: takes effect for workers that start from now on", names);
	}
}

static bool
reload_changes_logs(const struct config *was, const struct config *is)
{
	return strcmp(was->log, is->log) != 0 || was->log_level != is->log_level ||
	       strcmp(was->session_log, is->session_log) != 0;
}

/* @return whether it is in force */
static bool
reload_try(struct master *master, struct findings *findings)
{
	struct config *config = reload_read(master, findings);
	struct reconfigure *reconfigure;
	bool changes_log;
	struct fault why;

	if (config == NULL) {
		return false;
	}
	if (reconfigure_prepare(master, config, &reconfigure, &why) != 0) {
		findings_add(findings, FINDING_WORLD, NULL, "%s", why.text);
		config_free(&config);
		return false;
	}
	reload_name_new_workers(master, master->config, config);
	changes_log = reload_changes_logs(master->config, config);
	reconfigure_commit(master, &reconfigure);
	if (changes_log) {
		fleet_send_log(master->fleet);
	}
	return true;
}

static void
reload_finish(struct master *master, bool is_good)
{
	struct reload *reload = master->reload;

	reload->is_running = false;
	requests_on_reload(master, reload->run, is_good, reload->words);
	if (master->state != MASTER_SERVING) {
		return;
	}
	lifecycle_say_ready(master);
	if (reload->is_wanted) {
		reload->is_wanted = false;
		reload_request(master);
	} else {
		upgrade_if_wanted(master);
	}
}

static void
reload_on_settled(struct master *master, const char *failure)
{
	if (failure != NULL) {
		reload_tell(master, LOG_LEVEL_ERROR,
			"reload: configuration %llu is in force in the master, but not in all "
			"workers: %s",
			(unsigned long long)master->generation, failure);
	} else {
		reload_tell(master, LOG_LEVEL_NOTICE,
			"reload: configuration %llu is in force in all %u workers",
			(unsigned long long)master->generation, fleet_serving(master->fleet));
	}
	reload_finish(master, failure == NULL);
}

static void
reload_on_reopened(struct master *master, const char *failure)
{
	if (failure != NULL) {
		master_event(master, LOG_LEVEL_ERROR, "listeners opened anew: %s", failure);
	}
	reload_finish(master, failure == NULL);
}

void
reload_reopen(struct master *master)
{
	static struct log_limit limit;
	struct listeners_change *change;
	struct fault why;
	uint64_t suppressed;

	if (master->state != MASTER_SERVING || master->reload->is_running ||
		upgrade_is_going_on(master)) {
		return;
	}
	if (listeners_prepare(master->listeners, master->config, &change, &why) != 0) {
		if (log_limit_allows(&limit, REOPEN_LOG_INTERVAL_MS, &suppressed)) {
			master_event(
				master, LOG_LEVEL_ERROR, "%s; trying again each second", why.text);
		}
		return;
	}
	listeners_commit(master, &change);
	/* The number stands for configuration and sockets together: it tells the workers of both.
	 */
	reconfigure_next_generation(master);
	master->reload->is_running = true;
	monitor_child_apply(master->monitor);
	fleet_apply(master->fleet, reload_on_reopened);
}

static void
reload_fail(struct master *master, const struct findings *findings)
{
	stat_add(&master->board.writable->stats[STAT_MASTER_reloads_failed], 1);
	reload_tell(master, LOG_LEVEL_ERROR,
		"reload refused, errors in %s: %zu; nothing changed, configuration %llu goes on",
		master->config_path, findings->errors + findings->world_errors,
		(unsigned long long)master->generation);
	reload_finish(master, false);
}

static void
reload_resize(struct master *master)
{
	unsigned count = reconfigure_count_workers(master);

	/* What TTIN and TTOU made of it holds until the configuration says something else. */
	if (count != master->reload->workers) {
		fleet_resize(master->fleet, count);
		master->reload->workers = count;
	}
}

void
reload_request(struct master *master)
{
	struct reload *reload = master->reload;
	struct findings *findings;

	if (master->state != MASTER_SERVING || reload->is_running || upgrade_is_going_on(master)) {
		reload->is_wanted = true;
		return;
	}
	findings = calloc(1, sizeof(*findings));
	if (findings == NULL) {
		log_error("reload refused: out of memory; nothing changed");
		return;
	}
	reload->is_running = true;
	reload->run++;
	text_init(&reload->said, reload->words, sizeof(reload->words));
	notify_reloading(&master->notify, clock_monotonic_us());
	master_event(master, LOG_LEVEL_NOTICE, "reload: reading %s", master->config_path);
	reload->was_refused = !reload_try(master, findings);
	if (!reload->was_refused) {
		reload_say(master, findings);
		stat_add(&master->board.writable->stats[STAT_MASTER_reloads], 1);
		listeners_report(master);
		reload_resize(master);
		monitor_child_apply(master->monitor);
		fleet_apply(master->fleet, reload_on_settled);
	} else {
		reload_say(master, findings);
		reload_fail(master, findings);
	}
	free(findings);
}
