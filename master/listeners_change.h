/* A change of the list of listening sockets, in two steps: prepare opens what is new and touches
 * nothing that serves; commit cannot fail, rollback leaves no trace. */
#pragma once

#include "common/defs.h"

struct config;
struct fault;
struct listeners;
struct master;

/* A change prepared but not yet visible to anybody. */
struct listeners_change;

/** Open what `config` needs and the present list lacks; touch nothing that serves. A socket whose
 *  address stays is kept, and a retiring one is taken back.
 *  @param config  borrowed until commit or rollback
 *  @return 0 and *change; or negative errno with a sentence (which address, who holds the port) */
int listeners_prepare(struct listeners *listeners, const struct config *config,
	struct listeners_change **change, struct fault *why) MUST_CHECK;
/** Make it the list in force: options and backlogs applied to live sockets, removed ones marked as
 *  retiring and shut to new clients. Cannot fail: what the kernel refuses is said in the log and
 * the listener goes on as it was. */
void listeners_commit(struct master *master, struct listeners_change **change);
/** Close what prepare opened, as if nothing had been asked. */
void listeners_rollback(struct listeners_change **change);
