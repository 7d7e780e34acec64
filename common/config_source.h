/* The files of a configuration: the main one and what it includes, read, cut into words, and put
 * together. An include at the top level begins a unit of its own, so that a mistake in one fragment
 * hides nothing in the others and each may have its own `listeners`; an include inside brackets is
 * taken in place. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/config.h"
#include "common/config_scan.h"

#define SOURCE_FILE_MAX  (1024 * 1024) /* bytes of one file */
#define SOURCE_FILES_MAX 1000          /* with all includes */
#define SOURCE_NEST_MAX  16            /* includes within includes */

struct source_token {
	struct token token;
	struct config_origin origin;
	bool is_duplicate; /* a name given before in the same group */
};

/* What libconfig reads in one go. */
struct source_unit {
	struct source_token *tokens;
	size_t count, room;
	bool is_damaged; /* a fault was given that makes a syntax error certain: do not report it */
};

struct source_file {
	char *name;
	char *text;
	size_t len;
	dev_t device; /* with the inode: which file it is, whatever it was called */
	ino_t inode;
};

struct source {
	struct source_file *files[SOURCE_FILES_MAX];
	size_t file_count;
	struct source_unit *units;
	size_t unit_count;
	bool is_incomplete;        /* a file could not be read */
	bool is_memory;            /* no file: it may include none */
	struct findings *findings; /* borrowed */
};

/** Begin with nothing. @param findings  borrowed for the life of the source */
void source_init(struct source *source, struct findings *findings);
/** Read a file and all that it includes. Whatever is wrong with it is in the findings.
 *  @return 0, also when there are findings; -ENOMEM */
int source_read(struct source *source, const char *path) MUST_CHECK;
/** The same for text in memory, which may include nothing. @param name  for messages */
int source_read_text(struct source *source, const char *text, const char *name) MUST_CHECK;
/** Give the names of the files, which origins point to, to the caller, who frees the array and each
 *  of them. @return 0; -ENOMEM */
int source_take_names(struct source *source, char ***names, size_t *count) MUST_CHECK;
void source_fini(struct source *source);
