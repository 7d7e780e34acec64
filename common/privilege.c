/* Giving up privileges, and the proof. The system calls are made directly where the C library would
 * do more: its setresuid(3) stops all threads and is not for a child just forked. */
#include "common/privilege.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/text.h"

enum { CAPABILITIES_MAX = 64 }; /* the kernel's sets have so many bits */

static const uid_t ROOT = 0;
static const uid_t SAME = (uid_t)-1;

/* @return whether `string` is the number of a user or group; the last one means "no change" */
static bool
parse_identifier(const char *string, uint32_t *identifier)
{
	int64_t number;

	if (text_parse_number(string, &number) != 0 || number < 0 || number >= UINT32_MAX) {
		return false;
	}
	*identifier = (uint32_t)number;
	return true;
}

/* NSS says "not found" in many ways, getpwnam(3) lists them. */
static bool
is_not_found(int error)
{
	return error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
}

static int
find_user(
	const char *user, bool needs_group, struct privilege_identity *identity, struct fault *why)
{
	const struct passwd *entry;
	uint32_t number;
	bool is_number = parse_identifier(user, &number);

	errno = 0;
	entry = getpwnam(user);
	if (entry == NULL && is_not_found(errno) && is_number) {
		errno = 0;
		entry = getpwuid(number);
	}
	if (entry != NULL) {
		*identity = (struct privilege_identity){entry->pw_uid, entry->pw_gid};
		return 0;
	}
	if (!is_not_found(errno)) {
		return fault_set(why, errno, "cannot look up user '%s'", user);
	}
	if (!is_number) {
		return fault_say(why, ENOENT, "no user '%s' on this machine", user);
	}
	if (needs_group) {
		return fault_say(why, ENOENT,
			"user %s is not in the user database, so its group is unknown: name a "
			"group",
			user);
	}
	identity->uid = number;
	return 0;
}

static int
find_group(const char *group, gid_t *gid, struct fault *why)
{
	const struct group *entry;
	uint32_t number;

	errno = 0;
	entry = getgrnam(group);
	if (entry != NULL) {
		*gid = entry->gr_gid;
		return 0;
	}
	if (!is_not_found(errno)) {
		return fault_set(why, errno, "cannot look up group '%s'", group);
	}
	if (!parse_identifier(group, &number)) {
		return fault_say(why, ENOENT, "no group '%s' on this machine", group);
	}
	*gid = number;
	return 0;
}

int
privilege_find(
	const char *user, const char *group, struct privilege_identity *identity, struct fault *why)
{
	struct privilege_identity found = {0};
	bool has_group = group[0] != '\0';
	int status = find_user(user, !has_group, &found, why);

	if (status == 0 && has_group) {
		status = find_group(group, &found.gid, why);
	}
	if (status == 0) {
		*identity = found;
	}
	return status;
}

/* Real, effective and saved: as long as one of them differs there is a way back. */
static bool
is_already(const struct privilege_identity *identity)
{
	uid_t user[3];
	gid_t group[3];

	return getresuid(&user[0], &user[1], &user[2]) == 0 &&
	       getresgid(&group[0], &group[1], &group[2]) == 0 && user[0] == identity->uid &&
	       user[1] == identity->uid && user[2] == identity->uid && group[0] == identity->gid &&
	       group[1] == identity->gid && group[2] == identity->gid;
}

/* Needs CAP_SETPCAP, which root in a container may lack; then no-new-privileges has to do. */
static void
clear_bounding_set(void)
{
	for (unsigned long capability = 0; capability < CAPABILITIES_MAX; capability++) {
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
			break; /* past the last one, or not allowed */
		}
	}
}

static struct __user_cap_header_struct
this_process(void)
{
	return (struct __user_cap_header_struct){.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
}

/* A change of user clears them as a rule, but not under every securebits(7) setting, and not at all
 * for who was never root. */
static int
clear_capabilities(void)
{
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}};
	struct __user_cap_header_struct header = this_process();

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* Linux 4.3 */
	return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

static bool
has_capabilities(void)
{
	struct __user_cap_data_struct left[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}};
	struct __user_cap_header_struct header = this_process();
	uint32_t any = 0;

	if (syscall(SYS_capget, &header, left) < 0) {
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(left); i++) {
		any |= left[i].effective | left[i].permitted | left[i].inheritable;
	}
	return any != 0;
}

static bool
can_come_back(const struct privilege_identity *identity)
{
	return (identity->uid != ROOT && (syscall(SYS_setresuid, ROOT, ROOT, ROOT) == 0 ||
						 syscall(SYS_setresuid, SAME, ROOT, SAME) == 0)) ||
	       (identity->gid != ROOT && syscall(SYS_setresgid, ROOT, ROOT, ROOT) == 0);
}

/* Order matters: each step needs what the next one gives away. */
int
privilege_drop(const struct privilege_identity *identity)
{
	bool was_already = is_already(identity);
	int status;

	clear_bounding_set();
	/* Refused where one user is mapped into a user namespace, too; nothing is gained then. */
	if (syscall(SYS_setgroups, 0, NULL) < 0 && !was_already) {
		return -errno;
	}
	if (!was_already &&
		(syscall(SYS_setresgid, identity->gid, identity->gid, identity->gid) < 0 ||
			syscall(SYS_setresuid, identity->uid, identity->uid, identity->uid) < 0)) {
		return -errno;
	}
	status = clear_capabilities();
	if (status < 0) {
		return status;
	}
	if (!is_already(identity) || (!was_already && getgroups(0, NULL) != 0) ||
		has_capabilities() || can_come_back(identity)) {
		return -EPERM;
	}
	return 0;
}

int
privilege_bind_to_parent(pid_t parent, bool is_dumpable)
{
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		prctl(PR_SET_DUMPABLE, is_dumpable ? 1 : 0) < 0) {
		return -errno;
	}
	/* A parent that died before the first line sends no signal. */
	return getppid() == parent ? 0 : -ESRCH;
}
