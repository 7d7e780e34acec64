/* From one configuration to another, or to the first one: prepare everything, then commit or roll
 * back. Used alike at start and by a reload; what the workers do with it comes afterwards. */
#pragma once

#include "common/defs.h"

struct config;
struct fault;
struct master;

/* All that a new configuration needs, opened but not in force. */
struct reconfigure;

/** @param config  taken over on success
 *  @return 0 and *reconfigure; negative errno with a sentence, and nothing has changed */
int reconfigure_prepare(struct master *master, struct config *config,
	struct reconfigure **reconfigure, struct fault *why) MUST_CHECK;
/** Put it in force in the master: generation, kernel settings, listeners, log. Cannot fail; frees
 *  the configuration before. */
void reconfigure_commit(struct master *master, struct reconfigure **reconfigure);

/** Where the log goes under a configuration: a daemon has no terminal. */
const char *reconfigure_log_target(const struct master *master, const struct config *config);
void reconfigure_use_log_level(const struct config *config);
/** Count on: what the workers were told is no longer all. */
void reconfigure_next_generation(struct master *master);
/** How many workers the configuration in force asks for on this machine; says why. */
unsigned reconfigure_count_workers(struct master *master);
