/* What the files of the configuration know of one loaded configuration and nobody else does. */
#pragma once

#include <stddef.h>

#include "common/config.h"
#include "common/config_schema.h"

struct node;

struct config_private {
	char **files; /* the names that origins point to */
	size_t file_count;
	/* Per element: one origin for each row of the schema. */
	struct config_origin *origins;
	/* Per listener: one for each of its addresses. */
	struct config_origin (*addresses)[CONFIG_ADDRESSES_MAX];
};

/* Whatever has options is an element and has a number: -1 the top level, from 0 the listeners by
 * their index, behind them the upstreams, behind those the servers of all upstreams. */
#define CONFIG_TOP (-1)
static inline int
config_upstream_element(const struct config *config, size_t upstream)
{
	return (int)(config->listener_count + upstream);
}
static inline int
config_server_element(const struct config *config, size_t server)
{
	return (int)(config->listener_count + config->upstream_count + server);
}
static inline int
config_element_count(const struct config *config)
{
	return config_server_element(config, config->server_count);
}
/** Whose options an element has. */
enum option_scope config_scope_of(const struct config *config, int element);
/** The struct in which the fields of an element's options lie. */
void *config_base(const struct config *config, int element);
/** Where an element's group stands; NULL for the top level. */
struct config_origin *config_element_origin(const struct config *config, int element);
/** The field of an option in it. */
static inline void *
config_field(const struct option *option, const void *base)
{
	return (char *)base + option->offset;
}
/** The place of one origin. */
struct config_origin *config_origin_place(
	const struct config *config, int element, const struct option *option);
/** The same of one of a listener's addresses. */
struct config_origin *config_address_origin(
	const struct config *config, int listener, size_t index);
/** Make room for so many of each, with the defaults everywhere. @return 0; -ENOMEM */
struct config_counts {
	size_t listeners, upstreams, servers;
};
int config_make_room(struct config *config, struct config_counts counts) MUST_CHECK;

/** Write "workers", "listeners[echo].backlog", "upstreams[java].servers[app1].weight" or, while it
 *  has no name, "listeners[2].backlog", which counts from 0. @return `buffer` */
#define CONFIG_PATH_MAX 192
const char *config_path_of(
	const struct config *config, int element, const char *path, char buffer[CONFIG_PATH_MAX]);

/** Give the values of a tree to a new configuration, by the rows of the schema.
 *  @param is_partial  do not report what is missing
 *  @return 0, also when there are findings; -ENOMEM */
int config_bind(struct config *config, const struct node *tree, bool is_partial,
	struct findings *findings) MUST_CHECK;
/** Look for contradictions between values that are good each for itself. */
void config_check(const struct config *config, struct findings *findings);
/** The part of it that concerns upstreams and the listeners that use them. */
void config_check_upstreams(const struct config *config, struct findings *findings);
/** Whether a text is a name of a listener, upstream or server. */
bool config_is_name(const char *name);
