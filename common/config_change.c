/* What differs between two configurations, by the rows. */
#include <string.h>

#include "common/config.h"
#include "common/config_private.h"
#include "common/config_value.h"
#include "common/text.h"

static int
listener_index(const struct config *config, const char *name)
{
	const struct listener_config *listener = config_listener(config, name);

	return listener == NULL ? -1 : (int)(listener - config->listeners);
}

static bool
is_changed(const struct config *was, int was_element, const struct config *is, int is_element,
	const struct option *option)
{
	return !config_value_equal(option, config_field(option, config_base(was, was_element)),
		config_field(option, config_base(is, is_element)));
}

static size_t
add_changed(struct text *names, const struct config *was, int was_element, const struct config *is,
	int is_element, int effect)
{
	enum option_scope scope = config_scope_of(is, is_element);
	char path[CONFIG_PATH_MAX];
	size_t count = 0;

	for (size_t i = 0; i < config_schema_count; i++) {
		const struct option *option = &config_schema[i];

		if (option->scope == scope && (int)option->effect == effect &&
			is_changed(was, was_element, is, is_element, option)) {
			text_add(names, "%s%s", names->len > 0 ? ", " : "",
				config_path_of(is, is_element, option->path, path));
			count++;
		}
	}
	return count;
}

size_t
config_changed(
	const struct config *was, const struct config *is, int effect, char *buffer, size_t size)
{
	struct text names;
	size_t count;

	text_init(&names, buffer, size);
	count = add_changed(&names, was, -1, is, -1, effect);
	for (size_t i = 0; i < is->listener_count; i++) {
		int before = listener_index(was, is->listeners[i].name);

		if (before >= 0) {
			count += add_changed(&names, was, before, is, (int)i, effect);
		}
	}
	return count;
}
