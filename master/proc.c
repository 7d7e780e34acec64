/* What /proc tells of a child. Read while something is wrong already, so it must not need memory or
 * more than one descriptor. */
#include "master/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "master/watchdog.h"

ssize_t
proc_read_small(const char *path, char *buffer, size_t size)
{
	ssize_t len;
	int error, fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	len = read(fd, buffer, size - 1);
	error = errno;
	(void)close(fd);
	if (len < 0) {
		return -error;
	}
	if (len > 0 && buffer[len - 1] == '\n') {
		len--;
	}
	buffer[len] = '\0';
	return len;
}

int
proc_parse_stat(const char *line, long ticks_per_second, struct watchdog_sample *sample)
{
	const char *after_name = strrchr(line, ')');
	unsigned long long user, system;
	char state;

	if (after_name == NULL ||
		sscanf(after_name + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
			&state, &user, &system) != 3) {
		return -EINVAL;
	}
	sample->state = state;
	sample->cpu_ms = (int64_t)((user + system) * 1000 / (unsigned long long)ticks_per_second);
	return 0;
}

int
proc_read_stat(pid_t pid, struct watchdog_sample *sample)
{
	char path[32], line[512];
	ssize_t len;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	len = proc_read_small(path, line, sizeof(line));
	if (len < 0) {
		return (int)len;
	}
	return proc_parse_stat(line, sysconf(_SC_CLK_TCK), sample);
}

const char *
proc_read_wait(pid_t pid, char *buffer, size_t size)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/wchan", (int)pid);
	if (proc_read_small(path, buffer, size) <= 0 || strcmp(buffer, "0") == 0) {
		(void)snprintf(buffer, size, "?");
	}
	return buffer;
}
