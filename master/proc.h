/* What /proc tells of a child. Allocates nothing. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "common/defs.h"

struct watchdog_sample;

/** Read state and CPU time from /proc/PID/stat. @return 0 or negative errno; -ENOENT: gone */
int proc_read_stat(pid_t pid, struct watchdog_sample *sample) MUST_CHECK;
/** The pure part: fields 3, 14 and 15 of proc_pid_stat(5). The name in field 2 may hold blanks and
 *  parentheses. @return 0 or -EINVAL */
int proc_parse_stat(
	const char *line, long ticks_per_second, struct watchdog_sample *sample) MUST_CHECK;
/** The kernel function that a blocked process waits in, "?" where the kernel does not say.
 *  @return buffer */
const char *proc_read_wait(pid_t pid, char *buffer, size_t size);
/** Read a small file into `buffer`, terminated, a line break at its end removed.
 *  @return its length or negative errno */
ssize_t proc_read_small(const char *path, char *buffer, size_t size) MUST_CHECK;
