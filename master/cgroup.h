/* The limits that the control groups put on this process, version 1 or 2 (cgroups(7); the kernel's
 * Documentation/admin-guide/cgroup-v2.rst). After cgroup_find nothing allocates memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/defs.h"

#define CGROUP_PATH_MAX 512

/* Where one controller keeps the files of our group. */
struct cgroup_place {
	char directory[CGROUP_PATH_MAX]; /* "" : the controller is not there */
	size_t mount_len;                /* of the part that is the mount point */
	bool is_v2;
};

/** Where "cpu", "memory" or "pids" has our group; an empty place, which has no limits, when there
 * is none. */
void cgroup_find(const char *controller, struct cgroup_place *place);
/** The pure part: /proc/self/cgroup and /proc/self/mountinfo as texts. A controller that version 1
 *  does not list is looked for in version 2. @return 0; -ENOENT or -ENAMETOOLONG and an empty place
 */
int cgroup_locate(const char *cgroups, const char *mounts, const char *controller,
	struct cgroup_place *place) MUST_CHECK;
/** Go to the parent group. @return false at the mount point */
bool cgroup_climb(struct cgroup_place *place);

/** "150000 100000" or "max 100000" (version 2), as thousandths of a core; 0: no limit. */
int64_t cgroup_parse_quota(const char *cpu_max);
/** The value of a line "key value" in a text of such lines. @return 0 or -ENOENT */
int cgroup_parse_key(const char *text, const char *key, uint64_t *value) MUST_CHECK;

/** The tightest CPU quota of our group and its parents, in thousandths of a core; 0: none. */
int64_t cgroup_cpu_quota(const struct cgroup_place *cpu);
/** Whether some group above us has as many processes as it may; then `sentence` names it with the
 *  number: "pids.max of /sys/fs/cgroup/x is 12 and 12 are in use". */
bool cgroup_pids_full(const struct cgroup_place *pids, char *sentence, size_t size);
/** How many processes of our group the OOM killer has ended (of the machine, where the group does
 *  not tell). */
uint64_t cgroup_oom_kills(const struct cgroup_place *memory);
/** "memory limit 256M of cgroup /x", or "" without a limit. @return buffer */
const char *cgroup_memory_limit(const struct cgroup_place *memory, char *buffer, size_t size);
