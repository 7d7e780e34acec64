/* Who else could change a file that a privileged process believes. */
#pragma once

#include "common/defs.h"

struct fault;

/** Open a regular file for reading if nobody but root and the user we run as can change what it
 *  says: the file itself, and every directory on the way to it, is owned by one of the two and not
 *  writable by others. A sticky directory (/tmp) is good enough for what one of the two owns in it:
 *  others can neither replace nor remove that. Symbolic links are followed by hand, under the same
 *  rule.
 *  @return a descriptor that the caller closes; negative errno with a sentence:
 *          -EPERM others may change it (the sentence says which part, and how to mend it),
 *          -ENOENT, -EACCES, -EISDIR, -ELOOP, or -EINVAL for what is no file */
int config_trust_open(const char *path, struct fault *why) MUST_CHECK;
