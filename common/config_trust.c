/* Walks a path as the kernel does, from the root and one name at a time, and looks at each part
 * before going through it. What has been looked at cannot be changed by those it protects against,
 * so there is no race between looking and opening. */
#include "common/config_trust.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "common/fault.h"

#define TRUST_LINKS_MAX   40                   /* as the kernel */
#define TRUST_OVERFLOW_ID 65534                /* as what a namespace shows users it does not map */
#define TRUST_ALL_USERS   UINT32_C(4294967295) /* length of a map that leaves nobody out */

struct trust_walk {
	char done[PATH_MAX]; /* looked at, free of symbolic links; "" is the root */
	char rest[PATH_MAX]; /* to be walked */
	char name[NAME_MAX + 1];
	unsigned links;
};

/* In a user namespace that knows only some users (unshare -r, a container) root's own directories
 * bear the overflow number: who owns them cannot be told, and to refuse them would be to refuse
 * everything. */
static bool
is_beyond_namespace(uid_t uid)
{
	char map[256] = "";
	unsigned long inside, outside, length = TRUST_ALL_USERS;
	FILE *stream;

	if (uid != TRUST_OVERFLOW_ID) {
		return false;
	}
	stream = fopen("/proc/self/uid_map", "re");
	if (stream != NULL) {
		if (fgets(map, sizeof(map), stream) != NULL) {
			(void)sscanf(map, "%lu %lu %lu", &inside, &outside, &length);
		}
		(void)fclose(stream);
	}
	return length < TRUST_ALL_USERS;
}

static bool
is_trusted_owner(const struct stat *info)
{
	return info->st_uid == 0 || info->st_uid == geteuid();
}

/* By Debian's custom a user's private group bears the user's number; such a group on the user's own
 * directory (umask 002) lets nobody else in. */
static bool
is_private_group(const struct stat *info)
{
	return info->st_uid != 0 && info->st_uid == geteuid() && info->st_gid == info->st_uid;
}

static int
trust_check_owner(const char *path, const struct stat *info, struct fault *why)
{
	if (is_trusted_owner(info)) {
		return 0;
	}
	return fault_say(why, EPERM,
		"%s is owned by uid %u, who can change it at will; allowed: root%s; hint: chown "
		"root %s",
		path, (unsigned)info->st_uid,
		geteuid() == 0 ? "" : " or the user who starts acceptd", path);
}

static int
trust_check_directory(const char *path, const struct stat *info, struct fault *why)
{
	mode_t others = info->st_mode & (S_IWGRP | S_IWOTH);
	int result = is_beyond_namespace(info->st_uid) ? 0 : trust_check_owner(path, info, why);

	if (result < 0) {
		return result;
	}
	if (is_private_group(info)) {
		others &= ~(mode_t)S_IWGRP;
	}
	if (others == 0 || (info->st_mode & S_ISVTX) != 0) {
		return 0;
	}
	return fault_say(why, EPERM,
		"the directory %s is writable by %s (mode %04o), who can replace the files in it; "
		"hint: chmod go-w %s",
		path, (others & S_IWOTH) != 0 ? "others" : "its group", info->st_mode & 07777U,
		path);
}

static int
trust_check_file(const char *path, const struct stat *info, struct fault *why)
{
	mode_t others = info->st_mode & (S_IWGRP | S_IWOTH);
	int result;

	if (S_ISDIR(info->st_mode)) {
		return fault_say(why, EISDIR, "%s is a directory, not a file", path);
	}
	if (!S_ISREG(info->st_mode)) {
		return fault_say(why, EINVAL, "%s is not a regular file", path);
	}
	result = trust_check_owner(path, info, why);
	if (result < 0 || others == 0) {
		return result;
	}
	return fault_say(why, EPERM, "%s is writable by %s (mode %04o); hint: chmod go-w %s", path,
		(others & S_IWOTH) != 0 ? "others" : "its group", info->st_mode & 07777U, path);
}

/* Take the next name off the rest. @return 1; 0 when there is none */
static int
trust_next_name(struct trust_walk *walk, struct fault *why)
{
	const char *at = walk->rest + strspn(walk->rest, "/");
	size_t len = strcspn(at, "/");

	if (len > NAME_MAX) {
		return fault_set(why, ENAMETOOLONG, "%.40s...", at);
	}
	memcpy(walk->name, at, len);
	walk->name[len] = '\0';
	memmove(walk->rest, at + len, strlen(at + len) + 1);
	return len > 0 ? 1 : 0;
}

static void
trust_go_up(struct trust_walk *walk)
{
	char *slash = strrchr(walk->done, '/');

	if (slash != NULL) {
		*slash = '\0';
	}
}

static int
trust_too_long(const char *path, struct fault *why)
{
	return fault_set(why, ENAMETOOLONG, "%.200s", path);
}

/* Put where the link leads before what is left to walk. */
static int
trust_follow_link(struct trust_walk *walk, const char *path, struct fault *why)
{
	char target[PATH_MAX];
	char rest[PATH_MAX];
	ssize_t len;

	if (++walk->links > TRUST_LINKS_MAX) {
		return fault_set(why, ELOOP, "%s", path);
	}
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0) {
		return fault_set(why, errno, "cannot read the link %s", path);
	}
	target[len] = '\0';
	if (snprintf(rest, sizeof(rest), "%s%s", target, walk->rest) >= (int)sizeof(rest)) {
		return trust_too_long(target, why);
	}
	memcpy(walk->rest, rest, strlen(rest) + 1);
	if (target[0] == '/') {
		walk->done[0] = '\0';
	}
	return 0;
}

/* One name: look at what it is and step into it. `info` is about the last one looked at. */
static int
trust_step(struct trust_walk *walk, struct stat *info, struct fault *why)
{
	char path[PATH_MAX];
	int result;

	if (strcmp(walk->name, ".") == 0) {
		return 0;
	}
	if (strcmp(walk->name, "..") == 0) {
		trust_go_up(walk);
		return 0;
	}
	if (snprintf(path, sizeof(path), "%s/%s", walk->done, walk->name) >= (int)sizeof(path)) {
		return trust_too_long(walk->done, why);
	}
	if (lstat(path, info) < 0) {
		return fault_set(why, errno, "cannot read %s", path);
	}
	if (S_ISLNK(info->st_mode)) {
		result = trust_check_owner(path, info, why);
		return result < 0 ? result : trust_follow_link(walk, path, why);
	}
	memcpy(walk->done, path, strlen(path) + 1);
	if (S_ISDIR(info->st_mode)) {
		return trust_check_directory(path, info, why);
	}
	if (walk->rest[strspn(walk->rest, "/")] != '\0') {
		return fault_set(why, ENOTDIR, "cannot read %s", path);
	}
	return 0;
}

static int
trust_walk_path(struct trust_walk *walk, const char *path, struct fault *why)
{
	struct stat info;
	int result;

	if (path[0] != '/') {
		if (getcwd(walk->rest, sizeof(walk->rest)) == NULL) {
			return fault_set(why, errno, "cannot tell the working directory");
		}
	}
	if (strlen(walk->rest) + 1 + strlen(path) >= sizeof(walk->rest)) {
		return trust_too_long(path, why);
	}
	strcat(walk->rest, "/");
	strcat(walk->rest, path);
	if (stat("/", &info) < 0) {
		return fault_set(why, errno, "cannot read /");
	}
	result = trust_check_directory("/", &info, why);
	while (result == 0 && (result = trust_next_name(walk, why)) > 0) {
		result = trust_step(walk, &info, why);
	}
	return result;
}

int
config_trust_open(const char *path, struct fault *why)
{
	struct trust_walk walk = {0};
	struct stat info;
	int result = trust_walk_path(&walk, path, why);
	int fd;

	if (result < 0) {
		return result;
	}
	if (walk.done[0] == '\0') {
		return fault_say(why, EISDIR, "/ is a directory, not a file");
	}
	/* O_NONBLOCK: a pipe must not make us wait before we have refused it */
	fd = open(walk.done, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		return fault_set(why, errno, "cannot open %s", walk.done);
	}
	if (fstat(fd, &info) < 0) {
		result = fault_set(why, errno, "cannot look at %s", walk.done);
	} else {
		result = trust_check_file(walk.done, &info, why);
	}
	if (result < 0) {
		descriptor_close(&fd);
		return result;
	}
	return fd;
}
