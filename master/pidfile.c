/* The master's number under a lock. The lock is one of the open file description (fcntl(2),
 * F_OFD_SETLK): it survives the forks of -d and an exec in place, ends with the last process that
 * holds the file open, and can be asked about without taking it. */
#include "master/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/text.h"

#define PIDFILE_MODE       0644
#define PIDFILE_TRIES      10 /* each one lost to another instance that ended just then */
#define PIDFILE_NUMBER_MAX 24

/* The number in the file: 0 for an empty file, -1 for anything that is no number. */
static pid_t
pidfile_read_number(int fd)
{
	char text[PIDFILE_NUMBER_MAX + 1];
	ssize_t len = pread(fd, text, sizeof(text), 0);
	int64_t number;

	if (len < 0 || len > PIDFILE_NUMBER_MAX) {
		return -1;
	}
	text[len] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (text[0] == '\0') {
		return len == 0 ? 0 : -1;
	}
	if (text_parse_number(text, &number) != 0 || number <= 0 || number > INT32_MAX) {
		return -1;
	}
	return (pid_t)number;
}

/* A directory in which others may rename files would let them put theirs in place of ours. */
static int
pidfile_check_trust(
	const char *path, const char *directory, const struct stat *found, struct fault *why)
{
	if (!S_ISDIR(found->st_mode)) {
		return fault_set(why, ENOTDIR, "pid file %s: %s", path, directory);
	}
	if (found->st_uid != 0 && found->st_uid != geteuid()) {
		return fault_say(why, EPERM,
			"pid file %s: directory %s belongs to uid %u, who could replace the file; "
			"use "
			"a directory of root or of uid %u",
			path, directory, (unsigned)found->st_uid, (unsigned)geteuid());
	}
	if ((found->st_mode & (S_IWGRP | S_IWOTH)) != 0 && (found->st_mode & S_ISVTX) == 0) {
		return fault_say(why, EPERM,
			"pid file %s: directory %s may be written by others, who could replace the "
			"file; run: chmod go-w %s",
			path, directory, directory);
	}
	return 0;
}

/* @param makes  the directory if only its last part is missing; otherwise say whether we could */
static int
pidfile_check_directory(const char *path, bool makes, struct fault *why)
{
	char *copy = strdup(path);
	const char *directory;
	struct stat found;
	int status;

	if (copy == NULL) {
		return fault_set(why, ENOMEM, "pid file %s", path);
	}
	directory = dirname(copy);
	status = stat(directory, &found) == 0 ? 0 : -errno;
	if (status == -ENOENT && makes) {
		/* Whatever the umask is: others may read who runs. */
		status = mkdir(directory, 0755) == 0 && chmod(directory, 0755) == 0 &&
					 stat(directory, &found) == 0
				 ? 0
				 : -errno;
	}
	if (status == 0) {
		status = pidfile_check_trust(path, directory, &found, why);
	} else if (status == -ENOENT && !makes) {
		char *parent = strdup(directory);

		status = parent != NULL && access(dirname(parent), W_OK) == 0 ? 0 : -errno;
		free(parent);
		if (status != 0) {
			status = fault_set(why, -status, "pid file %s: cannot make directory %s",
				path, directory);
		}
	} else {
		status = fault_set(why, -status, "pid file %s: directory %s", path, directory);
	}
	free(copy);
	return status;
}

static int
pidfile_check_file(int fd, const char *path, struct fault *why)
{
	struct stat found;

	if (fstat(fd, &found) != 0) {
		return fault_set(why, errno, "pid file %s", path);
	}
	if (!S_ISREG(found.st_mode)) {
		return fault_say(
			why, EPERM, "pid file %s: not a regular file; left as it is", path);
	}
	if (found.st_uid != geteuid()) {
		return fault_say(why, EPERM,
			"pid file %s: belongs to uid %u, not to us (uid %u); left as it is", path,
			(unsigned)found.st_uid, (unsigned)geteuid());
	}
	if (found.st_nlink > 1) {
		return fault_say(why, EPERM,
			"pid file %s: the file has a second name (hard link); left as it is", path);
	}
	if (pidfile_read_number(fd) < 0) {
		return fault_say(why, EPERM,
			"pid file %s: holds something else than a process number; left as it is. "
			"Remove it if it is not needed, or choose another pid_file",
			path);
	}
	return 0;
}

static int
pidfile_lock(int fd, const char *path, struct fault *why)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	pid_t holder;

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
		return 0;
	}
	if (errno != EAGAIN && errno != EACCES) {
		return fault_set(why, errno, "pid file %s: cannot lock it", path);
	}
	holder = pidfile_read_number(fd);
	if (holder <= 0) {
		return fault_say(why, EEXIST,
			"already running: another acceptd, which is just starting, holds %s", path);
	}
	return fault_say(why, EEXIST,
		"already running: pid %d holds %s; kill -HUP %d makes it read its configuration "
		"again",
		(int)holder, path, (int)holder);
}

static bool
pidfile_is_at(int fd, const char *path)
{
	struct stat held, found;

	return fstat(fd, &held) == 0 && lstat(path, &found) == 0 && held.st_dev == found.st_dev &&
	       held.st_ino == found.st_ino;
}

static int
pidfile_open_file(const char *path, int creates, bool *was_created, struct fault *why)
{
	int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
	int fd = open(path, flags | creates, PIDFILE_MODE);

	*was_created = fd >= 0 && creates != 0;
	if (*was_created) {
		(void)fchmod(fd, PIDFILE_MODE); /* whatever the umask is */
	} else if (fd < 0 && errno == EEXIST) {
		fd = open(path, flags);
	}
	if (fd >= 0) {
		return fd;
	}
	if (errno == ELOOP) {
		return fault_say(
			why, ELOOP, "pid file %s: is a symbolic link; left as it is", path);
	}
	return fault_set(why, errno, "pid file %s: cannot open it", path);
}

/* @return a locked descriptor; -EAGAIN when the file vanished while we locked it */
static int
pidfile_try(const char *path, bool *was_created, struct fault *why)
{
	int fd = pidfile_open_file(path, O_CREAT | O_EXCL, was_created, why);
	int status;

	if (fd < 0) {
		return fd == -ENOENT ? -EAGAIN : fd;
	}
	status = pidfile_check_file(fd, path, why);
	if (status == 0) {
		status = pidfile_lock(fd, path, why);
	}
	/* The holder before us may have removed the name between our open and its end. */
	if (status == 0 && !pidfile_is_at(fd, path)) {
		status = fault_say(why, EAGAIN, "pid file %s: somebody keeps removing it", path);
	}
	if (status != 0) {
		(void)close(fd);
		return status;
	}
	return fd;
}

int
pidfile_open(struct pidfile *pidfile, const char *path, struct fault *why)
{
	int fd = -EAGAIN, status;

	memset(pidfile, 0, sizeof(*pidfile));
	pidfile->fd = -1;
	if (path[0] == '\0') {
		return 0;
	}
	status = pidfile_check_directory(path, true, why);
	if (status != 0) {
		return status;
	}
	for (int i = 0; i < PIDFILE_TRIES && fd == -EAGAIN; i++) {
		fd = pidfile_try(path, &pidfile->was_created, why);
	}
	if (fd < 0) {
		return fd;
	}
	pidfile->path = strdup(path);
	if (pidfile->path == NULL) {
		(void)close(fd);
		return fault_set(why, ENOMEM, "pid file %s", path);
	}
	pidfile->fd = fd;
	return 0;
}

int
pidfile_adopt(struct pidfile *pidfile, const char *path, int fd, bool was_created)
{
	*pidfile = (struct pidfile){.fd = fd, .was_created = was_created};
	if (path[0] != '\0') {
		pidfile->path = strdup(path);
	}
	return path[0] != '\0' && pidfile->path == NULL ? -ENOMEM : 0;
}

int
pidfile_write(struct pidfile *pidfile, struct fault *why)
{
	char text[PIDFILE_NUMBER_MAX];
	int len;

	if (pidfile->fd < 0) {
		return 0;
	}
	len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(pidfile->fd, 0) != 0 || pwrite(pidfile->fd, text, (size_t)len, 0) != len) {
		return fault_set(why, errno, "pid file %s: cannot write it", pidfile->path);
	}
	return 0;
}

static void
pidfile_close(struct pidfile *pidfile, bool removes)
{
	if (pidfile->fd >= 0) {
		/* While we hold the lock nobody else uses the name, so it cannot change here. */
		if (removes && pidfile_is_at(pidfile->fd, pidfile->path)) {
			(void)unlink(pidfile->path);
		}
		(void)close(pidfile->fd);
	}
	free(pidfile->path);
	pidfile->path = NULL;
	pidfile->fd = -1;
}

void
pidfile_remove(struct pidfile *pidfile)
{
	pidfile_close(pidfile, true);
}

void
pidfile_abandon(struct pidfile *pidfile)
{
	pidfile_close(pidfile, pidfile->was_created);
}

/* An existing file is looked at, for one that is missing the directory must be writable. */
int
pidfile_check(const char *path, struct fault *why)
{
	int status = path[0] != '\0' ? pidfile_check_directory(path, false, why) : 0;
	bool was_created;
	struct stat found;
	char *copy;
	int fd;

	if (path[0] == '\0' || status != 0) {
		return status;
	}
	if (lstat(path, &found) == 0) {
		fd = pidfile_open_file(path, 0, &was_created, why);
		if (fd < 0) {
			return fd;
		}
		status = pidfile_check_file(fd, path, why);
		(void)close(fd);
		return status;
	}
	copy = strdup(path);
	if (copy == NULL || (access(dirname(copy), W_OK) != 0 && errno != ENOENT)) {
		status = fault_set(why, errno, "pid file %s: cannot write its directory", path);
	}
	free(copy);
	return status;
}

pid_t
pidfile_holder(const char *path)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	pid_t holder = 0;

	if (fd < 0) {
		return 0;
	}
	if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) {
		holder = pidfile_read_number(fd);
		holder = holder > 0 ? holder : -1;
	}
	(void)close(fd);
	return holder;
}
