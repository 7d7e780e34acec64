/* What can be asked on the admin socket: one row per command. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/defs.h"

struct admin_call;
struct ucred;

/* Who may. Whoever can connect may read: the socket's permissions say who that is. */
enum admin_right {
	RIGHT_READ,
	RIGHT_OPERATE,    /* the workers' user, and administrators */
	RIGHT_ADMINISTER, /* root, and the user who started acceptd */
};

struct admin_command {
	const char *word;
	const char *arguments; /* for help */
	int most;              /* arguments at most */
	enum admin_right right;
	void (*run)(struct admin_call *call);
	const char *help; /* one sentence */
};

extern const struct admin_command admin_commands[];
extern const size_t admin_command_count;

/** Take the line apart, judge, do. The answer is in the call, or comes later. */
void admin_commands_run(struct admin_call *call, char *line);
/** Free what the call has gathered. */
void admin_commands_clean(struct admin_call *call);
/** Whether somebody has a right. Pure. @param worker_uid  of the workers and the monitor */
bool admin_may(
	enum admin_right right, const struct ucred *peer, uid_t worker_uid, uid_t master_uid);
const char *admin_right_name(enum admin_right right);
