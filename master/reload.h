/* Reload in place (SIGHUP): nothing is drained, no process replaced, no connection touched. A new
 * configuration is read, checked against itself and the machine, prepared and then put in force;
 * any error leaves everything as it was. */
#pragma once

#include <stdbool.h>

#include "common/defs.h"
#include "common/text.h"

#define RELOAD_WORDS_MAX 24576 /* room for every finding */

struct config;
struct findings;
struct master;

struct reload {
	bool was_refused; /* the last one */
	bool is_running;  /* the workers have not all taken the last one yet */
	bool is_wanted;   /* asked for meanwhile: once more when they have */
	unsigned workers; /* how many the last configuration asked for */
	unsigned run;     /* number of the last one begun */
	struct text said; /* what the log has of it, for those who asked */
	char words[RELOAD_WORDS_MAX];
};

/** Open the lost sockets of the configuration in force anew and hand them to the workers; not while
 * a reload is going on, to be asked for again then. */
void reload_reopen(struct master *master);
/** Read and check the file of the configuration as for a reload. Of the master it takes
 *  configuration and sockets in force. @return NULL when it has errors */
struct config *reload_read(const struct master *master, struct findings *findings);
/** Reload now, or once more after the reload or upgrade that is going on. */
void reload_request(struct master *master);
