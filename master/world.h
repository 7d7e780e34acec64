/* A configuration against the machine: what the file alone cannot tell. Used alike by -t, at start
 * and at a reload; looks, but changes nothing. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct config;
struct findings;
struct listeners;

enum world_occasion { WORLD_TEST, WORLD_START, WORLD_RELOAD };

struct world {
	enum world_occasion occasion;
	const struct config *config;
	const struct config *was;            /* in force, at a reload; else NULL */
	const struct listeners *listeners;   /* ours already, at a reload; else NULL */
	const struct activation *activation; /* passed to us; NULL: none */
	pid_t running; /* the instance that holds the pid file, if any: its ports are no news */
	const char *kernel_root;
};

/** Fill in what the occasion leaves open. */
void world_init(struct world *world, enum world_occasion occasion, const struct config *config);
/** Look at everything and add what is wrong: FINDING_WORLD what forbids to start, FINDING_WARNING
 *  what is cut or dangerous (FINDING_WORLD with `strict`). */
void world_check(const struct world *world, struct findings *findings);
