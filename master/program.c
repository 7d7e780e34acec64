/* The file of our own program. After a package was upgraded /proc/self/exe names a file that is
 * deleted, so the path is noted at the start. */
#include "master/program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "common/fault.h"

#define SELF "/proc/self/exe"

static bool
is_our_file(const char *path)
{
	struct stat found, ours;

	return stat(path, &found) == 0 && stat(SELF, &ours) == 0 && found.st_dev == ours.st_dev &&
	       found.st_ino == ours.st_ino;
}

/* @return NULL when it does not fit or there is no directory any more */
static char *
make_absolute(const char *word)
{
	char directory[PATH_MAX], path[2 * PATH_MAX];

	if (word[0] == '/') {
		return strdup(word);
	}
	word += strncmp(word, "./", 2) == 0 ? 2 : 0;
	if (getcwd(directory, sizeof(directory)) == NULL ||
		snprintf(path, sizeof(path), "%s/%s", directory, word) >= PATH_MAX) {
		return NULL;
	}
	return strdup(path);
}

char *
program_path(const char *word)
{
	char path[PATH_MAX];
	ssize_t len;

	if (word != NULL && strchr(word, '/') != NULL && strlen(word) < PATH_MAX &&
		is_our_file(word)) {
		char *made = make_absolute(word);

		if (made != NULL) {
			return made;
		}
	}
	len = readlink(SELF, path, sizeof(path) - 1);
	if (len < 0) {
		return NULL;
	}
	path[len] = '\0';
	return strdup(path);
}

/* A file that was not copied to its end may begin to run, and die at the first page that is
 * missing: perhaps only when it is the master. What is no ELF file of this machine is left to
 * execve(2). */
static int
check_whole(int fd, const char *path, const struct stat *found, struct fault *why)
{
	ElfW(Ehdr) head;
	ElfW(Phdr) part;
	uint64_t needed = 0;

	if (pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
		memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_phentsize != sizeof(part)) {
		return 0;
	}
	for (size_t i = 0; i < head.e_phnum; i++) {
		off_t at = (off_t)(head.e_phoff + i * sizeof(part));

		if (pread(fd, &part, sizeof(part), at) != (ssize_t)sizeof(part)) {
			return 0;
		}
		if (part.p_type == PT_LOAD && part.p_offset + part.p_filesz > needed) {
			needed = part.p_offset + part.p_filesz;
		}
	}
	if ((uint64_t)found->st_size >= needed) {
		return 0;
	}
	return fault_say(why, ENOEXEC,
		"%s is cut: it has %lld bytes of at least %llu; install it anew", path,
		(long long)found->st_size, (unsigned long long)needed);
}

int
program_open(const char *path, struct fault *why)
{
	/* O_NONBLOCK: not to wait for the writer of a FIFO that has the name. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat found;
	int status = 0;

	if (fd < 0) {
		return fault_set(why, errno, "cannot open %s", path);
	}
	if (fstat(fd, &found) != 0) {
		status = fault_set(why, errno, "cannot examine %s", path);
	} else if (!S_ISREG(found.st_mode)) {
		status = fault_say(why, EACCES, "%s is no regular file", path);
	} else if ((found.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0) {
		status = fault_say(
			why, EACCES, "%s is not executable; run: chmod 755 %s", path, path);
	} else {
		status = check_whole(fd, path, &found, why);
	}
	if (status != 0) {
		descriptor_close(&fd);
		return status;
	}
	return fd;
}
