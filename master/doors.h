/* The listening sockets of the monitor: bound here, because the monitor may not, and handed to each
 * monitor anew. They stay open while no monitor runs, so those who connect just wait a moment. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "common/address.h"
#include "common/channel.h"
#include "common/defs.h"

struct config;
struct fault;
struct master;

enum door_kind { DOOR_ADMIN, DOOR_WEB, DOOR_COUNT };

struct door {
	int fd;               /* -1: closed */
	struct address where; /* len 0: closed */
	dev_t path_device;    /* of a unix socket's path: only that file is ours to remove */
	ino_t path_inode;
};

struct doors {
	struct door at[DOOR_COUNT];
};

void doors_init(struct doors *doors);
/** Open what a configuration asks for and is not open yet. The admin socket has mode 0660, the
 *  master's user and the workers' group, and never more on the way there.
 *  @param next  filled: what is kept is taken from `master->doors` at the commit
 *  @return 0; or negative errno with the sentence, and nothing is open. An admin socket that nobody
 *          asked for by name and that cannot be had is done without; the log says so */
int doors_prepare(struct master *master, const struct config *config, struct doors *next,
	struct fault *why) MUST_CHECK;
/** Close what `next` has no more, with its path. Cannot fail. */
void doors_commit(struct doors *doors, struct doors *next);
void doors_rollback(struct doors *next);
/** Close all and remove the path. */
void doors_close(struct doors *doors);

bool doors_are_closed(const struct doors *doors);
/** For CHANNEL_DOORS. @return how many descriptors */
size_t doors_describe(
	const struct doors *doors, struct channel_doors *payload, int fds[DOOR_COUNT]);
