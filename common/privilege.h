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

/** Look up a user and, if `group` is not empty, a group, by name or number; otherwise the group is
 *  the user's own. Uses NSS: start-up and reload only.
 *  @return 0; -ENOENT with the sentence; or another negative errno when the database cannot be read
 */
int privilege_find(const char *user, const char *group, struct privilege_identity *identity,
	struct fault *why) MUST_CHECK;

/** Become `identity` for ever: supplementary groups, group, user, all capabilities with the
 * bounding and the ambient set. Then looks at what is left and tries to come back, and fails with
 * -EPERM if anything is left or that works. Async-signal-safe, so that a fresh fork may call it; a
 * caller for whom it failed must end. Without root: succeeds when identity is who we are, and
 *  supplementary groups stay. Identity 0 stays root by name and loses every capability. */
int privilege_drop(const struct privilege_identity *identity) MUST_CHECK;
/** prctl(2): SIGTERM when the parent dies (must come after privilege_drop, which clears it; a new
 *  program in this process keeps it), no new privileges, not dumpable unless `is_dumpable`.
 *  execve(2) makes a process dumpable again, so call it before and after. Async-signal-safe.
 *  @return 0, or -ESRCH if `parent` is gone already */
int privilege_bind_to_parent(pid_t parent, bool is_dumpable) MUST_CHECK;
