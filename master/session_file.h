/* The file of the session log: opened here, with the care of the log's own (common/log.h), and
 * written by the workers. A struct of zeroes has none. */
#pragma once

#include <stdbool.h>

#include "common/defs.h"
#include "common/log_output.h"

struct config;
struct fault;

struct session_file {
	struct log_output output; /* is_own: it is open */
	bool is_changed;          /* while preparing: another file than before, or none */
};

/** Open what a configuration names, unless that is in use already.
 *  @param was   the one in force; NULL: none
 *  @param next  for session_file_commit or session_file_close
 *  @return 0 or the errors of log_open */
int session_file_prepare(const struct config *was, const struct config *config,
	struct session_file *next, struct fault *why) MUST_CHECK;
void session_file_commit(struct session_file *file, struct session_file *next);
/** Open it again by its path, as after a rotation; on failure the old one stays in use. */
int session_file_reopen(struct session_file *file, const char *path, struct fault *why) MUST_CHECK;
/** To be called each second: opens a file anew that was moved or removed, as log_tend does.
 *  @return true when the workers need the new one */
bool session_file_tend(struct session_file *file, const char *path);
void session_file_close(struct session_file *file);
/** For the workers; -1: there is none. */
int session_file_descriptor(const struct session_file *file);
