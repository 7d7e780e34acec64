/* May this worker take more clients? Connection limits that hold exactly over all workers, and how
 * the workers stand, in one look at their slots on the board. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/defs.h"

struct service;
struct settings;

/* How the workers stand. */
struct census {
	uint64_t open;    /* connections of the workers that can take clients */
	unsigned workers; /* how many these are: serving, making progress, not out of descriptors */
	unsigned serving; /* serving and making progress, with descriptors or not */
	uint64_t claims;  /* places taken of the global limit, by everybody */
	uint64_t listener_claims; /* places taken of one listener's limit */
};
/** Look at every slot, about 10 ns each.
 *  @param board_listener  -1: no listener's claims are wanted */
void admission_look(const struct service *service, int board_listener, struct census *census);

/** Claim places for up to `wanted` clients before they are accepted. A place is given back when its
 *  connection has ended, or when no client came for it. Our claim is visible to all before theirs
 *  are read, so two workers can never both take the last place; both may give it back, therefore it
 *  is tried anew.
 *  @param census  filled in passing
 *  @return how many were granted; 0 at a limit */
unsigned admission_claim(
	const struct settings *settings, unsigned wanted, struct census *census) MUST_CHECK;
void admission_give_back(const struct settings *settings, unsigned places);
/** Whether a place is free, without claiming one. */
bool admission_has_room(const struct settings *settings);
/** Whether as many clients are open as a limit allows. Not being granted a place proves less: the
 *  others may have claimed more than they will use, and give it back a moment later. */
bool admission_is_full(const struct settings *settings);
