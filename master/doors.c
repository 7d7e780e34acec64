/* A door that stays the same over a reload stays open: nobody who is on the way in is turned away.
 */
#include "master/doors.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/net.h"
#include "master/master.h"

#define DOOR_BACKLOG 64
#define DOOR_MODE    0660

static const char *const option_names[DOOR_COUNT] = {"admin.socket", "admin.web"};

static void
door_clear(struct door *door)
{
	memset(door, 0, sizeof(*door));
	door->fd = -1;
}

void
doors_init(struct doors *doors)
{
	for (size_t i = 0; i < DOOR_COUNT; i++) {
		door_clear(&doors->at[i]);
	}
}

static void
door_close(struct door *door)
{
	struct stat found;

	/* Somebody may have put another socket at the path: that one is not ours to remove. */
	if (door->fd >= 0 && door->path_inode != 0 && lstat(door->where.un.sun_path, &found) == 0 &&
		found.st_dev == door->path_device && found.st_ino == door->path_inode) {
		(void)unlink(door->where.un.sun_path);
	}
	descriptor_close(&door->fd);
	door_clear(door);
}

/* Give the path to the workers' group and note which file it is. Until then it is root's alone. */
static int
door_adopt_path(const struct master *master, struct door *door, struct fault *why)
{
	const char *path = door->where.un.sun_path;
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat found;
	int status = 0;

	if (fd < 0 || fstat(fd, &found) < 0 || !S_ISSOCK(found.st_mode)) {
		status = fault_say(
			why, ENOTSOCK, "its path %s is lost: another file is there", path);
	} else if (master->drops_privileges && found.st_gid != master->identity.gid &&
		   fchownat(fd, "", (uid_t)-1, master->identity.gid, AT_EMPTY_PATH) < 0) {
		status = fault_set(why, errno, "cannot give %s to the workers' group", path);
	} else {
		door->path_device = found.st_dev;
		door->path_inode = found.st_ino;
	}
	descriptor_close(&fd);
	return status;
}

/* The directory below /run is gone after each boot of the machine. */
static void
door_make_directory(const char *path)
{
	char copy[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];

	(void)snprintf(copy, sizeof(copy), "%s", path);
	(void)mkdir(dirname(copy), 0755);
}

static int
door_open(const struct master *master, struct door *door, struct fault *why)
{
	struct net_options options = {
		.backlog = DOOR_BACKLOG, .no_delay = true, .unix_mode = DOOR_MODE};
	bool is_unix = door->where.any.sa_family == AF_UNIX;
	int status;

	if (is_unix) {
		door_make_directory(door->where.un.sun_path);
	}
	door->fd = net_listen(&door->where, &options, why);
	if (door->fd < 0) {
		status = door->fd;
		door_clear(door);
		return status;
	}
	status = is_unix ? door_adopt_path(master, door, why) : 0;
	if (status < 0) {
		door_close(door);
	}
	return status;
}

/* @return 0; `where` has the length 0 when none is wanted */
static int
door_find_address(
	enum door_kind kind, const struct config *config, struct address *where, struct fault *why)
{
	char text[ADDRESS_TEXT_MAX];
	const char *wanted = kind == DOOR_ADMIN ? config->admin.socket : config->admin.web;

	memset(where, 0, sizeof(*where));
	if (wanted[0] == '\0') {
		return 0;
	}
	(void)snprintf(text, sizeof(text), "%s%s", kind == DOOR_ADMIN ? "unix:" : "", wanted);
	return address_parse(text, where, why);
}

static int
door_prepare(const struct master *master, enum door_kind kind, const struct config *config,
	struct door *next, struct fault *why)
{
	const struct door *now = &master->doors->at[kind];
	struct address where;
	int status = door_find_address(kind, config, &where, why);

	if (status < 0 || where.len == 0) {
		return status;
	}
	next->where = where;
	if (now->fd >= 0 && address_equal(&now->where, &where)) {
		return 0; /* kept: its descriptor is moved at the commit */
	}
	return door_open(master, next, why);
}

int
doors_prepare(
	struct master *master, const struct config *config, struct doors *next, struct fault *why)
{
	struct fault cause;
	int status;

	doors_init(next);
	for (int kind = 0; kind < DOOR_COUNT; kind++) {
		status =
			door_prepare(master, (enum door_kind)kind, config, &next->at[kind], &cause);
		if (status == 0) {
			continue;
		}
		door_clear(&next->at[kind]);
		if (config_origin_of(config, -1, option_names[kind]).file != NULL) {
			doors_rollback(next);
			return fault_say(why, -status, "%s: %s", option_names[kind], cause.text);
		}
		master_event(master, LOG_LEVEL_NOTICE,
			"no admin socket: %s; acceptctl cannot reach this server; name another "
			"path with admin.socket, or \"\" for none",
			cause.text);
	}
	return 0;
}

void
doors_commit(struct doors *doors, struct doors *next)
{
	for (size_t i = 0; i < DOOR_COUNT; i++) {
		struct door *was = &doors->at[i], *is = &next->at[i];

		if (is->fd < 0 && is->where.len > 0) {
			continue; /* kept */
		}
		door_close(was);
		*was = *is;
		door_clear(is);
	}
}

void
doors_rollback(struct doors *next)
{
	doors_close(next);
}

void
doors_close(struct doors *doors)
{
	for (size_t i = 0; i < DOOR_COUNT; i++) {
		door_close(&doors->at[i]);
	}
}

bool
doors_are_closed(const struct doors *doors)
{
	return doors->at[DOOR_ADMIN].fd < 0 && doors->at[DOOR_WEB].fd < 0;
}

size_t
doors_describe(const struct doors *doors, struct channel_doors *payload, int fds[DOOR_COUNT])
{
	size_t count = 0;

	memset(payload, 0, sizeof(*payload));
	payload->has_admin = doors->at[DOOR_ADMIN].fd >= 0;
	payload->has_web = doors->at[DOOR_WEB].fd >= 0;
	for (size_t i = 0; i < DOOR_COUNT; i++) {
		if (doors->at[i].fd >= 0) {
			fds[count++] = doors->at[i].fd;
		}
	}
	return count;
}
