/* Descriptors: close-on-exec from birth, sealed memory files, reading whole small files. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/defs.h"

struct fault;

/** Close and set to -1; -1 is accepted. */
void descriptor_close(int *fd);

/** An anonymous file that holds a copy of `bytes` and can never change again
 *  (memfd_create(2); F_SEAL_SHRINK|GROW|WRITE|SEAL). @return a descriptor, or negative errno */
int descriptor_seal_bytes(const char *name, const void *bytes, size_t len) MUST_CHECK;
/** An anonymous file of fixed size, zeroed, writable through mappings, that can neither shrink nor
 *  grow (a truncated mapping would be SIGBUS for all who share it). @return descriptor or negative
 * errno */
int descriptor_fixed_memory(const char *name, size_t size) MUST_CHECK;

/** Read a file, pipe or memfd from its beginning to its end into a new, terminated buffer that the
 *  caller frees. @return 0; -EFBIG past `max` bytes, -EISDIR, or another negative errno */
int descriptor_read_all(int fd, size_t max, char **bytes, size_t *len) MUST_CHECK;
/** The same for a path, for /proc and /sys. */
int descriptor_read_file(const char *path, size_t max, char **bytes, size_t *len) MUST_CHECK;
/** Write one short value to an existing file of /proc/sys. @return 0 or negative errno */
int descriptor_write_file(const char *path, const char *value) MUST_CHECK;

/** Close every descriptor from `first` up (close_range(2)). */
void descriptor_close_from(int first);
/** Raise the soft limit of descriptors to the hard one. @return the limit in force, or negative
 * errno */
int64_t descriptor_raise_limit(void);
/** How many descriptors this process has open (/proc/self/fd), or negative errno. */
int64_t descriptor_count_open(void);
