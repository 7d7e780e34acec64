/* What is open stays in use until something else is: no line is lost for want of a file. */
#include "master/session_file.h"

#include <string.h>

#include "common/config.h"
#include "common/fault.h"
#include "common/log.h"

#define MOVED_INTERVAL_MS (60 * 1000)

static int
open_file(const char *path, struct log_output *output, struct fault *why)
{
	struct fault cause;
	int status = log_output_open_file(path, output, &cause);

	return status == 0 ? 0 : fault_say(why, -status, "session_log: %s", cause.text);
}

int
session_file_prepare(const struct config *was, const struct config *config,
	struct session_file *next, struct fault *why)
{
	*next = (struct session_file){0};
	next->is_changed = was == NULL || strcmp(was->session_log, config->session_log) != 0;
	if (!next->is_changed || config->session_log[0] == '\0') {
		return 0;
	}
	return open_file(config->session_log, &next->output, why);
}

void
session_file_commit(struct session_file *file, struct session_file *next)
{
	if (next->is_changed) {
		session_file_close(file);
		*file = *next;
		*next = (struct session_file){0};
	}
}

int
session_file_reopen(struct session_file *file, const char *path, struct fault *why)
{
	struct log_output output;
	int status;

	if (!file->output.is_own) {
		return 0;
	}
	status = open_file(path, &output, why);
	if (status == 0) {
		log_output_close(&file->output);
		file->output = output;
	}
	return status;
}

bool
session_file_tend(struct session_file *file, const char *path)
{
	static struct log_limit limit;
	struct fault why;
	uint64_t suppressed;

	if (!file->output.is_own || !log_output_has_moved(&file->output, path)) {
		return false;
	}
	if (session_file_reopen(file, path, &why) == 0) {
		log_notice("session_log: %s was moved or removed; opened it anew", path);
		return true;
	}
	if (log_limit_allows(&limit, MOVED_INTERVAL_MS, &suppressed)) {
		log_error("the file was moved or removed, and %s; going on in the old one, which "
			  "may have no name any more",
			why.text);
	}
	return false;
}

void
session_file_close(struct session_file *file)
{
	log_output_close(&file->output);
}

int
session_file_descriptor(const struct session_file *file)
{
	return file->output.is_own ? file->output.fd : -1;
}
