/* User, groups, capabilities, limits; proof that they were given up. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "common/defs.h"

struct fault;

struct privilege_identity {
	uid_t uid;
	gid_t gid;
};

/** Look up a user and, if `group` is not empty, a group, by name or number. Uses NSS: start-up and
 *  reload only. @return 0; -ENOENT with the sentence */
int privilege_find(const char *user, const char *group, struct privilege_identity *identity,
	struct fault *why) MUST_CHECK;

/** Become `identity` for ever: supplementary groups, group, user, all capabilities. Then tries to
 *  come back, and fails with -EPERM if that works. Async-signal-safe on its success path, so that a
 *  fresh fork may call it. Without root: succeeds when identity is who we are. */
int privilege_drop(const struct privilege_identity *identity) MUST_CHECK;
/** prctl(2): die with the parent (must come after privilege_drop, which clears it), no new
 *  privileges, not dumpable unless `is_dumpable`. @return 0, or -ESRCH if `parent` is gone already
 */
int privilege_bind_to_parent(pid_t parent, bool is_dumpable) MUST_CHECK;
