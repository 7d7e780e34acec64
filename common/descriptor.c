/* Descriptors. Files are read with pread where they can be: a memory file is shared by all children
 * as one open file, so a file position would be shared, too. */
#include "common/descriptor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

enum { FIRST_BUFFER = 4096 }; /* grows by doubling; most files of /proc fit */

void
descriptor_close(int *fd)
{
	if (*fd >= 0) {
		(void)close(*fd); /* Linux releases the number even when close fails */
	}
	*fd = -1;
}

/* Where vm.memfd_noexec is 2 the kernel insists on the newer flag, which older kernels refuse. */
static int
memory_file(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) {
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	}
	return fd < 0 ? -errno : fd;
}

static int
write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t written = write(fd, bytes, len);

		if (written < 0 && errno != EINTR) {
			return -errno;
		}
		if (written > 0) {
			bytes += written;
			len -= (size_t)written;
		}
	}
	return 0;
}

int
descriptor_seal_bytes(const char *name, const void *bytes, size_t len)
{
	int fd = memory_file(name);
	int status;

	if (fd < 0) {
		return fd;
	}
	status = write_all(fd, bytes, len);
	if (status == 0 && fcntl(fd, F_ADD_SEALS,
				   F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
		status = -errno;
	}
	if (status < 0) {
		descriptor_close(&fd);
		return status;
	}
	return fd;
}

int
descriptor_fixed_memory(const char *name, size_t size)
{
	int fd = memory_file(name);
	int status;

	if (fd < 0) {
		return fd;
	}
	if (ftruncate(fd, (off_t)size) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		status = -errno;
		descriptor_close(&fd);
		return status;
	}
	return fd;
}

static ssize_t
read_some(int fd, char *into, size_t room, size_t offset)
{
	ssize_t got;

	do {
		got = pread(fd, into, room, (off_t)offset);
		if (got < 0 && errno == ESPIPE) {
			got = read(fd, into, room);
		}
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

/* A buffer for the next read: at least one byte more than `max`, never much more, so that a file
 * past the limit is noticed without being read. */
static int
make_room(char **buffer, size_t *size, size_t max)
{
	size_t wanted = *size == 0 ? FIRST_BUFFER : *size * 2;
	char *grown;

	if (wanted / 2 > max) {
		wanted = max + 2;
	}
	grown = realloc(*buffer, wanted);
	if (grown == NULL) {
		return -ENOMEM;
	}
	*buffer = grown;
	*size = wanted;
	return 0;
}

int
descriptor_read_all(int fd, size_t max, char **bytes, size_t *len)
{
	char *buffer = NULL;
	size_t size = 0, used = 0;
	ssize_t got = 0;

	do {
		used += (size_t)got;
		if (used > max) {
			got = -EFBIG;
		} else if (used + 1 >= size) {
			got = make_room(&buffer, &size, max);
		}
		if (got >= 0) {
			got = read_some(fd, buffer + used, size - used - 1, used);
		}
	} while (got > 0);
	if (got < 0) {
		free(buffer);
		return (int)got;
	}
	buffer[used] = '\0';
	*bytes = buffer;
	*len = used;
	return 0;
}

int
descriptor_read_file(const char *path, size_t max, char **bytes, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int status;

	if (fd < 0) {
		return -errno;
	}
	status = descriptor_read_all(fd, max, bytes, len);
	descriptor_close(&fd);
	return status;
}

int
descriptor_write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t written;
	int status = 0;

	if (fd < 0) {
		return -errno;
	}
	/* One call: /proc/sys takes a value whole or not at all. */
	written = write(fd, value, strlen(value));
	if (written < 0) {
		status = -errno;
	} else if ((size_t)written != strlen(value)) {
		status = -EIO;
	}
	descriptor_close(&fd);
	return status;
}

void
descriptor_close_from(int first)
{
	struct rlimit limit;

	if (close_range((unsigned)first, ~0U, 0) == 0) {
		return;
	}
	/* Before Linux 5.9, or behind a system call filter. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		for (rlim_t fd = (rlim_t)first; fd < limit.rlim_cur; fd++) {
			(void)close((int)fd);
		}
	}
}

int64_t
descriptor_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
		return -errno;
	}
	if (limit.rlim_cur != limit.rlim_max) {
		struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};

		if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
			limit = raised;
		}
	}
	return limit.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_cur;
}

int64_t
descriptor_count_open(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int64_t count = 0;

	if (directory == NULL) {
		return -errno;
	}
	while (readdir(directory) != NULL) {
		count++;
	}
	(void)closedir(directory);
	return count - 3; /* ".", ".." and the directory itself */
}
