/* The file with the master's number, whose lock says that a master runs. The lock decides, never
 * the number: it goes with its holder however that ends, and no other program can hold it by
 * accident.
 *
 * What stands at the path is not trusted: a symbolic link, a directory, a file of somebody else, a
 * file with a second name or one that holds anything but a number is refused and left as it is. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "common/defs.h"

struct fault;

struct pidfile {
	char *path; /* NULL: no pid file */
	int fd;     /* holds the lock */
	bool was_created;
};

/** Open or create the file and lock it; nothing is written yet. The directory is made when only its
 *  last part is missing (0755).
 *  @param path  "" means that there is no pid file
 *  @return 0; -EEXIST "already running: pid 4711 holds …" ; -EPERM for a path that is not trusted;
 *          or another negative errno */
int pidfile_open(struct pidfile *pidfile, const char *path, struct fault *why) MUST_CHECK;
/** Go on with what the program before in this process had opened. @param path  "" : nothing
 *  @return 0 or -ENOMEM */
int pidfile_adopt(struct pidfile *pidfile, const char *path, int fd, bool was_created) MUST_CHECK;
/** Write our number: once we serve. @return 0 or negative errno */
int pidfile_write(struct pidfile *pidfile, struct fault *why) MUST_CHECK;
/** Remove the file if the path still leads to it, and let the lock go. */
void pidfile_remove(struct pidfile *pidfile);
/** Let go of a file that pidfile_open opened, as if nothing had been asked: one that was there
 *  before stays. */
void pidfile_abandon(struct pidfile *pidfile);

/** Whether pidfile_open would find a place that it trusts and may write, without touching anything
 *  and whoever holds the lock. @return 0 or what pidfile_open would return */
int pidfile_check(const char *path, struct fault *why) MUST_CHECK;
/** Who holds the lock of a path, without touching anything.
 *  @return its pid, 0 when nobody holds it or there is no file, -1 when somebody does whose number
 *          is not in the file (yet) */
pid_t pidfile_holder(const char *path);
