/* What a program finds that takes the master's place in an upgrade, or that shows that it could:
 * the state of the one before, read, judged and laid out as this program's own. Until
 * heritage_accept everything can be left as it was. */
#pragma once

#include "common/board.h"
#include "common/defs.h"
#include "master/activation.h"
#include "master/doors.h"
#include "master/listeners.h"
#include "master/upgrade_state.h"

struct config;
struct fault;
struct master;

struct heritage {
	int memory; /* the written state */
	struct upgrade_state state;
	struct board board;
	struct config *config; /* in force */
	struct listeners listeners;
	struct activation activation;
	struct doors doors;
};

/** All that the master is, for the program that takes over.
 *  @param state  zeroed; to be freed also after a failure @return 0 or -ENOMEM */
int heritage_collect(const struct master *master, struct upgrade_state *state) MUST_CHECK;
/** Read and judge a state with everything that it names.
 *  @param heritage  zeroed; to be ended with heritage_dispose also after a failure
 *  @return 0; or negative errno with the sentence: what this program cannot go on with */
int heritage_read(int memory, struct heritage *heritage, struct fault *why) MUST_CHECK;
/** Make it the master's: configuration, board, sockets, doors, log, service manager. Cannot fail.
 *  @param master  has its parts already; what was the heritage's is its own then, but for the state
 */
void heritage_accept(struct heritage *heritage, struct master *master);
/** Forget the state, as it lies in memory and as it was written, and the way back. */
void heritage_dispose(struct heritage *heritage);
