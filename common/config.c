/* One configuration from birth to death: put together by the files beside this one, then only
 * read. */
#include "common/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config_parse.h"
#include "common/config_private.h"
#include "common/config_source.h"
#include "common/config_tree.h"
#include "common/config_value.h"
#include "common/text.h"

enum option_scope
config_scope_of(const struct config *config, int element)
{
	if (element < 0) {
		return OPTION_SERVER;
	}
	if (element < config_upstream_element(config, 0)) {
		return OPTION_LISTENER;
	}
	return element < config_server_element(config, 0) ? OPTION_UPSTREAM
							  : OPTION_UPSTREAM_SERVER;
}

void *
config_base(const struct config *config, int element)
{
	switch (config_scope_of(config, element)) {
	case OPTION_LISTENER:
		return &config->listeners[element];
	case OPTION_UPSTREAM:
		return &config->upstreams[element - config_upstream_element(config, 0)];
	case OPTION_UPSTREAM_SERVER:
		return &config->servers[element - config_server_element(config, 0)];
	default:
		return (void *)(uintptr_t)config;
	}
}

struct config_origin *
config_element_origin(const struct config *config, int element)
{
	void *base = config_base(config, element);

	switch (config_scope_of(config, element)) {
	case OPTION_LISTENER:
		return &((struct listener_config *)base)->origin;
	case OPTION_UPSTREAM:
		return &((struct upstream_config *)base)->origin;
	case OPTION_UPSTREAM_SERVER:
		return &((struct upstream_server_config *)base)->origin;
	default:
		return NULL;
	}
}

static bool
is_in_scope(const struct config *config, const struct option *option, int element)
{
	return option->scope == config_scope_of(config, element);
}

struct config_origin *
config_origin_place(const struct config *config, int element, const struct option *option)
{
	size_t row = (size_t)(option - config_schema);

	return &config->private->origins[(size_t)(element + 1) * config_schema_count + row];
}

struct config_origin *
config_address_origin(const struct config *config, int listener, size_t index)
{
	return &config->private->addresses[listener][index];
}

/* "listeners[echo]", or by its index while it has no name. */
static void
add_element(struct text *text, const char *list, const char *name, long index)
{
	text_add(text, "%s[", list);
	if (name != NULL && name[0] != '\0') {
		text_add_escaped(text, name, strlen(name));
	} else {
		text_add(text, "%ld", index);
	}
	text_add(text, "]");
}

const struct upstream_config *
config_upstream_of(const struct config *config, size_t server)
{
	for (size_t i = 0; i < config->upstream_count; i++) {
		const struct upstream_config *upstream = &config->upstreams[i];

		if (upstream->servers != NULL && &config->servers[server] >= upstream->servers &&
			&config->servers[server] < upstream->servers + upstream->server_count) {
			return upstream;
		}
	}
	return NULL;
}

static void
add_element_of(struct text *text, const struct config *config, int element)
{
	const void *base = config_base(config, element);
	const struct listener_config *listener = base;
	const struct upstream_config *upstream = base;
	const struct upstream_server_config *server = base;

	switch (config_scope_of(config, element)) {
	case OPTION_LISTENER:
		add_element(text, "listeners", listener->name, element);
		break;
	case OPTION_UPSTREAM:
		add_element(text, "upstreams", upstream->name, upstream - config->upstreams);
		break;
	case OPTION_UPSTREAM_SERVER:
		upstream = config_upstream_of(config, (size_t)(server - config->servers));
		if (upstream != NULL) {
			add_element(
				text, "upstreams", upstream->name, upstream - config->upstreams);
			text_add(text, ".");
			add_element(text, "servers", server->name, server - upstream->servers);
		}
		break;
	default:
		break;
	}
}

const char *
config_path_of(
	const struct config *config, int element, const char *path, char buffer[CONFIG_PATH_MAX])
{
	struct text text;

	text_init(&text, buffer, CONFIG_PATH_MAX);
	add_element_of(&text, config, element);
	text_add(&text, "%s%s", element >= 0 && path[0] != '\0' ? "." : "", path);
	return buffer;
}

static int
set_defaults(const struct config *config, int element)
{
	int result = 0;

	for (size_t i = 0; i < config_schema_count && result == 0; i++) {
		const struct option *option = &config_schema[i];

		if (is_in_scope(config, option, element)) {
			result = config_value_set_default(
				option, config_field(option, config_base(config, element)));
		}
	}
	return result;
}

/* calloc(0) may return NULL */
static void *
make_array(size_t count, size_t size)
{
	return calloc(count > 0 ? count : 1, size);
}

int
config_make_room(struct config *config, struct config_counts counts)
{
	struct config_private *private = config->private;
	size_t elements = counts.listeners + counts.upstreams + counts.servers;
	int result = 0;

	private->origins = calloc((elements + 1) * config_schema_count, sizeof(*private->origins));
	private->addresses = make_array(counts.listeners, sizeof(*private->addresses));
	config->listeners = make_array(counts.listeners, sizeof(*config->listeners));
	config->upstreams = make_array(counts.upstreams, sizeof(*config->upstreams));
	config->servers = make_array(counts.servers, sizeof(*config->servers));
	if (private->origins == NULL || private->addresses == NULL || config->listeners == NULL ||
		config->upstreams == NULL || config->servers == NULL) {
		return -ENOMEM;
	}
	config->listener_count = counts.listeners;
	config->upstream_count = counts.upstreams;
	config->server_count = counts.servers;
	for (int i = CONFIG_TOP; i < config_element_count(config) && result == 0; i++) {
		result = set_defaults(config, i);
	}
	return result;
}

static void
clear_values(const struct config *config, int element)
{
	for (size_t i = 0; i < config_schema_count; i++) {
		const struct option *option = &config_schema[i];

		if (is_in_scope(config, option, element)) {
			config_value_clear(
				option, config_field(option, config_base(config, element)));
		}
	}
}

void
config_free(struct config **config)
{
	struct config *gone = *config;

	if (gone == NULL) {
		return;
	}
	for (int i = CONFIG_TOP; i < config_element_count(gone); i++) {
		clear_values(gone, i);
	}
	free(gone->listeners);
	free(gone->upstreams);
	free(gone->servers);
	free(gone->path);
	if (gone->private != NULL) {
		for (size_t i = 0; i < gone->private->file_count; i++) {
			free(gone->private->files[i]);
		}
		free(gone->private->files);
		free(gone->private->addresses);
		free(gone->private->origins);
		free(gone->private);
	}
	free(gone);
	*config = NULL;
}

static struct config *
config_new(const char *path)
{
	struct config *config = calloc(1, sizeof(*config));
	char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0);
	size_t len = strlen(path) + (cwd == NULL ? 0 : strlen(cwd) + 1) + 1;

	if (config != NULL) {
		config->private = calloc(1, sizeof(*config->private));
		config->path = malloc(len);
	}
	if (config != NULL && config->private != NULL && config->path != NULL) {
		(void)snprintf(config->path, len, "%s%s%s", cwd == NULL ? "" : cwd,
			cwd == NULL ? "" : "/", path);
	} else {
		config_free(&config);
	}
	free(cwd);
	return config;
}

/* From what was read to a configuration that was checked. */
static int
config_build(struct config *config, struct source *source)
{
	struct node *tree = NULL;
	bool is_partial;
	int result = config_parse(source, &tree, &is_partial);

	if (result == 0) {
		result = config_bind(config, tree, is_partial, source->findings);
	}
	if (result == 0) {
		config_check(config, source->findings);
		result = source_take_names(
			source, &config->private->files, &config->private->file_count);
	}
	node_free(&tree);
	return result;
}

/* End a load, good or bad. @param result  of reading; @param first  finding of this load */
static int
config_finish(struct config **config, struct config *built, struct source *source, int result,
	size_t first)
{
	struct findings *findings = source->findings;

	if (result == 0) {
		result = config_build(built, source);
	}
	source_fini(source);
	findings_sort(findings, first);
	if (result < 0) {
		findings_add(findings, FINDING_WORLD, NULL, "cannot read the configuration: %s",
			strerror(-result));
	} else if (findings->errors > 0) {
		result = -EINVAL;
	}
	if (result < 0) {
		config_free(&built);
		return result;
	}
	*config = built;
	return 0;
}

int
config_load(const char *path, struct config **config, struct findings *findings)
{
	struct source source;
	struct config *built = config_new(path);
	size_t first = findings->count;
	int result;

	source_init(&source, findings);
	result = built == NULL ? -ENOMEM : source_read(&source, path);
	return config_finish(config, built, &source, result, first);
}

int
config_load_text(
	const char *text, const char *path, struct config **config, struct findings *findings)
{
	struct source source;
	struct config *built = config_new(path);
	size_t first = findings->count;
	int result;

	source_init(&source, findings);
	result = built == NULL ? -ENOMEM : source_read_text(&source, text, path);
	return config_finish(config, built, &source, result, first);
}

struct config_origin
config_origin_of(const struct config *config, int listener, const char *path)
{
	for (size_t i = 0; i < config_schema_count; i++) {
		const struct option *option = &config_schema[i];

		if (is_in_scope(config, option, listener) && strcmp(option->path, path) == 0) {
			return *config_origin_place(config, listener, option);
		}
	}
	return (struct config_origin){0};
}

const struct listener_config *
config_listener(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		if (strcmp(config->listeners[i].name, name) == 0) {
			return &config->listeners[i];
		}
	}
	return NULL;
}

const struct upstream_config *
config_upstream(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->upstream_count; i++) {
		const struct upstream_config *upstream = &config->upstreams[i];

		if (upstream->name != NULL && strcmp(upstream->name, name) == 0) {
			return upstream;
		}
	}
	return NULL;
}

const char *
config_server_name(const struct upstream_server_config *server, char buffer[ENDPOINT_TEXT_MAX])
{
	if (server->name[0] != '\0') {
		(void)snprintf(buffer, ENDPOINT_TEXT_MAX, "%s", server->name);
		return buffer;
	}
	return endpoint_format(&server->where, buffer);
}

size_t
config_server_rows(const struct upstream_server_config *server)
{
	return endpoint_is_name(&server->where) ? (size_t)server->addresses : 1;
}

const char *
config_row_name(
	const struct upstream_server_config *server, size_t index, char buffer[CONFIG_ROW_NAME_MAX])
{
	char name[ENDPOINT_TEXT_MAX];

	(void)config_server_name(server, name);
	if (endpoint_is_name(&server->where)) {
		(void)snprintf(buffer, CONFIG_ROW_NAME_MAX, "%s/%zu", name, index + 1);
	} else {
		(void)snprintf(buffer, CONFIG_ROW_NAME_MAX, "%s", name);
	}
	return buffer;
}

bool
config_has_names(const struct config *config)
{
	for (size_t i = 0; i < config->server_count; i++) {
		if (endpoint_is_name(&config->servers[i].where)) {
			return true;
		}
	}
	return false;
}

static bool
is_reached(const struct address *listener, const struct address *address, bool is_local)
{
	return is_local ? address_overlaps(listener, address) : address_equal(listener, address);
}

const struct listener_config *
config_find_loop(const struct config *config, const struct upstream_config *upstream,
	const struct address *address, bool is_local)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		const struct listener_config *listener = &config->listeners[i];
		bool is_user = listener->protocol == PROTOCOL_proxy && listener->upstream != NULL &&
			       upstream->name != NULL &&
			       strcmp(listener->upstream, upstream->name) == 0;

		for (size_t k = 0; is_user && k < listener->addresses.count; k++) {
			if (is_reached(&listener->addresses.items[k], address, is_local)) {
				return listener;
			}
		}
	}
	return NULL;
}

int64_t
config_descriptors_each(const struct config *config)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		if (config->listeners[i].protocol == PROTOCOL_proxy) {
			return 2;
		}
	}
	return 1;
}
