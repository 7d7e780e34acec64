/* The file of our own program: where an upgrade finds the next one. */
#pragma once

#include "common/defs.h"

struct fault;

/** The path by which we were started, absolute. A symbolic link stays one, so that an upgrade
 * follows where it leads by then.
 *  @param word  argv[0]: what was typed; if it does not lead to us, as a word found by PATH, the
 *               kernel says where our file is
 *  @return a string that the caller frees; NULL for want of memory or of /proc */
char *program_path(const char *word);
/** What is at the path now, to be executed by descriptor.
 *  @return the descriptor, or negative errno with the sentence: not there, no regular file, not
 *          executable, not whole */
int program_open(const char *path, struct fault *why) MUST_CHECK;
