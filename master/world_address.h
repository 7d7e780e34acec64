/* Whether the machine lets us listen on an address; part of world. */
#pragma once

struct findings;
struct world;

/** Try every address of every listener that is not ours already, by binding without listening. */
void world_check_addresses(const struct world *world, struct findings *findings);
/** The same for the doors of the monitor that the configuration names. */
void world_check_doors(const struct world *world, struct findings *findings);
/** Servers of upstreams that are our own listeners: what config_check cannot know, because it does
 *  not know the addresses of the machine. */
void world_check_loops(const struct world *world, struct findings *findings);
