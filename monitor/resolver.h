/* Looks up every name of the configuration in force, again and again as its TTL says, and tells the
 * master what came. It keeps nothing that matters: what was found is on the board, so that a new
 * monitor goes on where this one ended. */
#pragma once

struct monitor;
struct resolver;

/** Begin with all names of the monitor's configuration and generation; when there are others,
 *  free it and make another. @return NULL when there is no memory for it, which is logged */
struct resolver *resolver_new(struct monitor *monitor);
void resolver_free(struct resolver **resolver);
