/* The master's life from a checked configuration to its exit status. */
#pragma once

#include "common/defs.h"

struct config;
struct findings;
struct inherit;
struct master;

#define EXIT_FILE  2 /* the configuration is wrong */
#define EXIT_WORLD 3 /* this machine does not allow it */

/** Read and check a configuration as for serving.
 *  @return 0 and *config; EXIT_FILE or EXIT_WORLD, the errors in `findings` */
int startup_read(struct master *master, const char *path, struct config **config,
	struct findings *findings) MUST_CHECK;
/** Open everything, start the workers, serve until told to stop.
 *  @param config    taken over
 *  @param findings  warnings, to be logged once there is a log
 *  @return exit status of the process */
int startup_serve(struct master *master, struct config *config, const struct findings *findings);
/** The same for a program that takes the place of another master in this process, with its children
 *  and sockets. If it cannot, the one before is executed again.
 *  @return exit status of the process */
int startup_take_over(struct master *master, const struct inherit *inherit);
