/* What the files of the configuration know of one loaded configuration and nobody else does. */
#pragma once

#include <stddef.h>

#include "common/config.h"
#include "common/config_schema.h"

struct node;

struct config_private {
	char **files; /* the names that origins point to */
	size_t file_count;
	/* Per listener, the server first: one origin for each row of the schema. */
	struct config_origin *origins;
	/* Per listener: one for each of its addresses. */
	struct config_origin (*addresses)[CONFIG_ADDRESSES_MAX];
};

/** The struct in which an option's field lies: the config, or the listener of that index. */
void *config_base(const struct config *config, int listener);
/** The field of an option in it. */
static inline void *
config_field(const struct option *option, const void *base)
{
	return (char *)base + option->offset;
}
/** The place of one origin. @param listener  -1: the server's own */
struct config_origin *config_origin_place(
	const struct config *config, int listener, const struct option *option);
/** The same of one of a listener's addresses. */
struct config_origin *config_address_origin(
	const struct config *config, int listener, size_t index);
/** Make room for `count` listeners, with the defaults everywhere. @return 0; -ENOMEM */
int config_make_room(struct config *config, size_t count) MUST_CHECK;

/** Write "workers", "listeners[echo].backlog" or, while it has no name, "listeners[2].backlog",
 *  which counts from 0. @return `buffer` */
#define CONFIG_PATH_MAX 128
const char *config_path_of(
	const struct config *config, int listener, const char *path, char buffer[CONFIG_PATH_MAX]);

/** Give the values of a tree to a new configuration, by the rows of the schema.
 *  @param is_partial  do not report what is missing
 *  @return 0, also when there are findings; -ENOMEM */
int config_bind(struct config *config, const struct node *tree, bool is_partial,
	struct findings *findings) MUST_CHECK;
/** Look for contradictions between values that are good each for itself. */
void config_check(const struct config *config, struct findings *findings);
