/* All that a child receives, or the program that takes the master's place in an upgrade, and the
 * entry points of the roles. A child is the master's own binary, executed anew: its argv[0] is its
 * title, its environment one variable that names role, slot and channel, its only descriptors the
 * standard ones and the channel. Everything else comes through the channel.
 *
 * In an upgrade the channel is the state (master/upgrade_state.h), and everything that it names
 * stays open; the environment is the master's with the variable. */
#pragma once

#include "common/defs.h"

enum inherit_role {
	ROLE_MASTER,
	ROLE_WORKER,
	ROLE_MONITOR,
	ROLE_HEIR,      /* becomes the master in its place */
	ROLE_CANDIDATE, /* shows that it could, and ends */
};

struct inherit {
	enum inherit_role role;
	int slot; /* of a worker; of an heir 1 when another could not; 0 for the others, -1 for the
		   * master */
	int channel;
};

/** What we were started as; ROLE_MASTER without the variable. In a child the channel is made
 *  close-on-exec again and the process's short name is set.
 *  @return 0, or -EINVAL when the variable is damaged or its descriptor is not open */
int inherit_read(struct inherit *inherit) MUST_CHECK;
/** Fill argv and environment for execveat: pointers into `space` and into our own environment.
 *  Before fork: it is not async-signal-safe. */
struct inherit_space {
	char title[64];
	char variable[64];
	char *argv[2];
	char *environment[10]; /* the variable, and what inherit.c keeps of the master's */
};
void inherit_write(const struct inherit *inherit, struct inherit_space *space);

/** The environment of an heir or a candidate: ours, with the variable.
 *  @return one block of memory that the caller frees; NULL for want of it */
char **inherit_environment(const struct inherit *inherit);

/** Life of a worker from exec to exit; returns the exit status. In worker/worker.c. */
int worker_main(const struct inherit *inherit);
/** The same of the monitor. In monitor/monitor.c. */
int monitor_main(const struct inherit *inherit);
