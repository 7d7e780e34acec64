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

void *
config_base(const struct config *config, int listener)
{
	return listener < 0 ? (void *)config : (void *)&config->listeners[listener];
}

static bool
is_in_scope(const struct option *option, int listener)
{
	return option->scope == (listener < 0 ? OPTION_SERVER : OPTION_LISTENER);
}

struct config_origin *
config_origin_place(const struct config *config, int listener, const struct option *option)
{
	size_t row = (size_t)(option - config_schema);

	return &config->private->origins[(size_t)(listener + 1) * config_schema_count + row];
}

struct config_origin *
config_address_origin(const struct config *config, int listener, size_t index)
{
	return &config->private->addresses[listener][index];
}

const char *
config_path_of(
	const struct config *config, int listener, const char *path, char buffer[CONFIG_PATH_MAX])
{
	struct text text;
	const char *name = listener < 0 ? NULL : config->listeners[listener].name;

	text_init(&text, buffer, CONFIG_PATH_MAX);
	if (name != NULL) {
		text_add(&text, "listeners[");
		text_add_escaped(&text, name, strlen(name));
		text_add(&text, "]");
	} else if (listener >= 0) {
		text_add(&text, "listeners[%d]", listener);
	}
	text_add(&text, "%s%s", listener >= 0 && path[0] != '\0' ? "." : "", path);
	return buffer;
}

static int
set_defaults(const struct config *config, int listener)
{
	int result = 0;

	for (size_t i = 0; i < config_schema_count && result == 0; i++) {
		const struct option *option = &config_schema[i];

		if (is_in_scope(option, listener)) {
			result = config_value_set_default(
				option, config_field(option, config_base(config, listener)));
		}
	}
	return result;
}

int
config_make_room(struct config *config, size_t count)
{
	int result = 0;

	config->private->origins =
		calloc((count + 1) * config_schema_count, sizeof(*config->private->origins));
	config->listeners = calloc(count > 0 ? count : 1, sizeof(*config->listeners));
	config->private->addresses =
		calloc(count > 0 ? count : 1, sizeof(*config->private->addresses));
	if (config->private->origins == NULL || config->private->addresses == NULL ||
		config->listeners == NULL) {
		return -ENOMEM;
	}
	config->listener_count = count;
	for (int i = -1; i < (int)count && result == 0; i++) {
		result = set_defaults(config, i);
	}
	return result;
}

static void
clear_values(const struct config *config, int listener)
{
	for (size_t i = 0; i < config_schema_count; i++) {
		const struct option *option = &config_schema[i];

		if (is_in_scope(option, listener)) {
			config_value_clear(
				option, config_field(option, config_base(config, listener)));
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
	for (int i = -1; i < (int)gone->listener_count; i++) {
		clear_values(gone, i);
	}
	free(gone->listeners);
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

		if (is_in_scope(option, listener) && strcmp(option->path, path) == 0) {
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
