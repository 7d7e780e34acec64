/* The worker processes as one thing: started, watched, replaced, told of changes, stopped. It acts;
 * who should run and when to try again is decided in supervisor and backoff, who hangs in watchdog.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/defs.h"

struct channel_kill;
struct fault;
struct fleet;
struct master;
struct upgrade_state;

/** Make the fleet, watchers included, and start `count` workers. A worker that cannot be forked is
 *  tried again later; only want of memory for the fleet itself is an error. */
int fleet_start(struct master *master, unsigned count, struct fault *why) MUST_CHECK;
/** Change how many should run: new ones start at once, surplus ones (highest slots) drain. */
void fleet_resize(struct fleet *fleet, unsigned count);
unsigned fleet_wanted(const struct fleet *fleet);
/** Workers that serve under the configuration in force. */
unsigned fleet_serving(const struct fleet *fleet);

/** The oldest configuration that a worker may still work under; UINT64_MAX: there is no worker. */
uint64_t fleet_oldest_generation(const struct fleet *fleet);

/** Send configuration and sockets in force to every live worker. One that does not answer within
 * the hang timeout is replaced; one that refuses serves on under the configuration before until
 * another worker has taken the new one, and is replaced then. Slots that wait for their next try
 * after a failure try at once.
 *  @param on_settled  called once, later: when all who worked at the time of the call are under the
 *                     new generation (at the start: when all wanted ones serve); or with a
 * sentence, when a worker has failed five times in a row before it served, or when all have
 * refused. The fleet goes on trying in any case. A later call supersedes an earlier one, which is
 * then never reported; so does fleet_drain */
void fleet_apply(
	struct fleet *fleet, void (*on_settled)(struct master *master, const char *failure));

/** All that the fleet knows, for the program that takes over. @return 0 or -ENOMEM */
int fleet_hand_over(const struct fleet *fleet, struct upgrade_state *state) MUST_CHECK;
/** The same there, after fleet_start and before the loop: workers go on under us until as many of
 *  our own program serve, unless they are of it. @return 0 or -ENOMEM */
int fleet_take_over(
	struct fleet *fleet, const struct upgrade_state *state, bool are_old) MUST_CHECK;
/** Workers of the program before an upgrade that serve still. */
unsigned fleet_outdated(const struct fleet *fleet);
/** Workers that finish, and how many connections they have. */
unsigned fleet_finishing(const struct fleet *fleet, uint64_t *connections);
/** Whether there are slots for a second fleet beside this one. */
bool fleet_has_room(const struct fleet *fleet);

/** Tell every worker to close its copy of a retired socket. */
void fleet_release_socket(struct fleet *fleet, uint32_t number);
bool fleet_holds_socket(const struct fleet *fleet, uint32_t number);

/** Whether the worker in a slot has connections and hears questions about them. */
bool fleet_can_be_asked(const struct fleet *fleet, int slot);
/** Ask for its connections, written to `memory`; the answer goes to requests.
 *  @return false when it cannot be asked */
bool fleet_ask_list(struct fleet *fleet, int slot, uint32_t id, int memory);
bool fleet_ask_kill(struct fleet *fleet, int slot, const struct channel_kill *kill);

/** Tell every worker to use the log sink in use now. */
void fleet_send_log(struct fleet *fleet);
/** Drain all; SIGKILL after the timeout plus a grace of 2 s. `on_gone` is called when none is left.
 */
void fleet_drain(struct fleet *fleet, int64_t timeout_ms, void (*on_gone)(struct master *master));
/** SIGKILL all that are left, at once; on_gone follows. */
void fleet_kill(struct fleet *fleet);
/** After SIGCHLD: collect every dead child, explain it, bury its slot, plan its successor. */
void fleet_reap(struct fleet *fleet);
void fleet_free(struct fleet **fleet);
