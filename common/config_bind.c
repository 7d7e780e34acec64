/* Gives each setting of the tree to the option whose row has its path. What has no row, is of
 * another type or is missing is a finding. */
#include <errno.h>
#include <string.h>

#include "common/config_private.h"
#include "common/config_tree.h"
#include "common/config_value.h"
#include "common/fault.h"
#include "common/text.h"

#define LISTENERS "listeners"

struct bind {
	struct config *config;
	int listener; /* -1: the server's own options */
	struct findings *findings;
};

static enum option_scope
bind_scope(const struct bind *bind)
{
	return bind->listener < 0 ? OPTION_SERVER : OPTION_LISTENER;
}

static void
bind_complain(const struct bind *bind, const struct config_origin *origin, const char *path,
	const char *sentence)
{
	char full[CONFIG_PATH_MAX];

	findings_add(bind->findings, FINDING_FILE, origin, "%s: %s",
		config_path_of(bind->config, bind->listener, path, full), sentence);
}

static const struct option *
find_option(enum option_scope scope, const char *path)
{
	for (size_t i = 0; i < config_schema_count; i++) {
		if (config_schema[i].scope == scope && strcmp(config_schema[i].path, path) == 0) {
			return &config_schema[i];
		}
	}
	return NULL;
}

/* Whether rows have paths that go on below this one. */
static bool
is_group_path(enum option_scope scope, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < config_schema_count; i++) {
		if (config_schema[i].scope == scope &&
			strncmp(config_schema[i].path, path, len) == 0 &&
			config_schema[i].path[len] == '.') {
			return true;
		}
	}
	return false;
}

static const char *
kind_name(enum node_kind kind)
{
	static const char *const names[] = {
		[NODE_GROUP] = "a group { }",
		[NODE_LIST] = "a list ( )",
		[NODE_ARRAY] = "an array [ ]",
		[NODE_TEXT] = "text",
		[NODE_NUMBER] = "a number",
		[NODE_FLOAT] = "a number with a fraction",
		[NODE_BOOL] = "true or false",
	};

	return names[kind];
}

/* The value is of a kind that the option never has. */
static void
bind_refuse_kind(const struct bind *bind, const struct option *option, const struct node *node,
	const char *path)
{
	char sentence[512];
	struct text text;

	text_init(&text, sentence, sizeof(sentence));
	text_add(&text, "%s where %s is wanted; allowed: ", kind_name(node->kind),
		config_value_type_name(option));
	config_value_add_allowed(&text, option);
	if (node->written != NULL) {
		text_add(&text, "; got ");
		text_add_printable(&text, node->written, strlen(node->written));
	}
	bind_complain(bind, &node->origin, path, sentence);
}

/* An address, unlike other values, has a line of its own: remember that of the last one. */
static void
bind_address_origin(const struct bind *bind, const struct address_list *list,
	const struct config_origin *origin)
{
	if (list->count > 0) {
		*config_address_origin(bind->config, bind->listener, list->count - 1) = *origin;
	}
}

/* One scalar of the file into the field. */
static int
bind_scalar(const struct bind *bind, const struct option *option, const struct node *node,
	const char *path)
{
	void *field = config_field(option, config_base(bind->config, bind->listener));
	struct fault why;
	int result = 0;

	if (node->kind == NODE_TEXT) {
		result = config_value_set_text(option, field, node->text, &why);
	} else if (node->kind == NODE_NUMBER) {
		result = config_value_set_number(option, field, node->number, &why);
	} else if (node->kind == NODE_BOOL && option->type == OPTION_BOOL) {
		*(bool *)field = node->flag;
	} else if (node->kind != NODE_BROKEN) {
		bind_refuse_kind(bind, option, node, path);
	}
	if (result == -EINVAL) {
		bind_complain(bind, &node->origin, path, why.text);
	} else if (option->type == OPTION_ADDRESSES && node->kind == NODE_TEXT && result == 0) {
		bind_address_origin(bind, field, &node->origin);
	}
	return result == -EINVAL ? 0 : result;
}

static int
bind_array(const struct bind *bind, const struct option *option, const struct node *node,
	const char *path)
{
	int result = 0;

	if (node->count == 0) {
		bind_complain(bind, &node->origin, path,
			"an empty array; hint: give one address or more");
	}
	for (size_t i = 0; i < node->count && result == 0; i++) {
		result = bind_scalar(bind, option, node->children[i], path);
	}
	return result;
}

static int
bind_option(const struct bind *bind, const struct option *option, const struct node *node,
	const char *path)
{
	*config_origin_place(bind->config, bind->listener, option) = node->origin;
	if (option->type == OPTION_ADDRESSES && node->kind == NODE_ARRAY) {
		return bind_array(bind, option, node, path);
	}
	return bind_scalar(bind, option, node, path);
}

/* The settings that may stand in the group `prefix`: the next part of each path below it. */
static size_t
group_names(enum option_scope scope, const char *prefix, char names[][32], size_t room)
{
	size_t prefix_len = strlen(prefix);
	size_t count = 0;

	for (size_t i = 0; i < config_schema_count && count < room; i++) {
		const char *rest = config_schema[i].path + prefix_len;

		if (config_schema[i].scope == scope &&
			strncmp(config_schema[i].path, prefix, prefix_len) == 0) {
			(void)snprintf(names[count++], 32, "%.*s", (int)strcspn(rest, "."), rest);
		}
	}
	if (scope == OPTION_SERVER && prefix_len == 0 && count < room) {
		(void)snprintf(names[count++], 32, LISTENERS);
	}
	return count;
}

static const char *
closest_name(enum option_scope scope, const char *prefix, const char *name, char buffer[32])
{
	char names[64][32];
	const char *candidates[64];
	size_t count = group_names(scope, prefix, names, ARRAY_LEN(names));
	const char *meant;

	for (size_t i = 0; i < count; i++) {
		candidates[i] = names[i];
	}
	meant = text_closest(name, candidates, count);
	if (meant == NULL) {
		return NULL;
	}
	(void)snprintf(buffer, 32, "%s", meant);
	return buffer;
}

/* A name that no row has: most often it is misspelt, or stands in the wrong place. */
static void
bind_refuse_name(const struct bind *bind, const struct node *node, const char *prefix)
{
	enum option_scope other =
		bind_scope(bind) == OPTION_SERVER ? OPTION_LISTENER : OPTION_SERVER;
	char path[CONFIG_PATH_MAX];
	char sentence[256];
	char meant[32];
	struct text text;

	text_init(&text, path, sizeof(path));
	text_add(&text, "%s%s", prefix, node->name);
	text_init(&text, sentence, sizeof(sentence));
	text_add(&text, "unknown setting");
	if (find_option(other, path) != NULL || is_group_path(other, path)) {
		text_add(&text,
			other == OPTION_LISTENER
				? "; hint: it belongs into an element of '" LISTENERS "'"
				: "; hint: it belongs at the top level, outside of '" LISTENERS
				  "'");
	} else if (closest_name(bind_scope(bind), prefix, node->name, meant) != NULL) {
		text_add(&text, "; hint: did you mean '%s'?", meant);
	} else if (strcmp(node->name, LISTENERS) == 0) {
		text_add(&text, "; hint: '" LISTENERS "' stands at the top level");
	}
	bind_complain(bind, &node->origin, path, sentence);
}

static int bind_group(const struct bind *bind, const struct node *group, const char *prefix);

static int
bind_member(const struct bind *bind, const struct node *node, const char *prefix)
{
	char path[CONFIG_PATH_MAX];
	const struct option *option;
	struct text text;

	text_init(&text, path, sizeof(path));
	text_add(&text, "%s%s", prefix, node->name);
	option = find_option(bind_scope(bind), path);
	if (option != NULL) {
		return bind_option(bind, option, node, path);
	}
	if (!is_group_path(bind_scope(bind), path)) {
		bind_refuse_name(bind, node, prefix);
		return 0;
	}
	if (node->kind == NODE_GROUP) {
		text_add(&text, ".");
		return bind_group(bind, node, path);
	}
	if (node->kind != NODE_BROKEN) {
		bind_complain(bind, &node->origin, path,
			"must be a group; hint: write it as { name = value; };");
	}
	return 0;
}

static int
bind_group(const struct bind *bind, const struct node *group, const char *prefix)
{
	int result = 0;

	for (size_t i = 0; i < group->count && result == 0; i++) {
		bool is_listeners = bind->listener < 0 && prefix[0] == '\0' &&
				    strcmp(group->children[i]->name, LISTENERS) == 0;

		if (!is_listeners) {
			result = bind_member(bind, group->children[i], prefix);
		}
	}
	return result;
}

/* What must be given and is not. */
static void
bind_find_missing(const struct bind *bind, const struct config_origin *origin)
{
	for (size_t i = 0; i < config_schema_count; i++) {
		const struct option *option = &config_schema[i];
		char sentence[512];
		struct text text;

		if (option->scope != bind_scope(bind) || option->fallback != NULL ||
			config_origin_place(bind->config, bind->listener, option)->file != NULL) {
			continue;
		}
		text_init(&text, sentence, sizeof(sentence));
		text_add(&text, "must be given; allowed: ");
		config_value_add_allowed(&text, option);
		bind_complain(bind, origin, option->path, sentence);
	}
}

/* The name first: every message about the listener bears it. */
static int
bind_listener_name(const struct bind *bind, const struct node *group)
{
	const struct node *name = node_member(group, "name");

	return name == NULL ? 0 : bind_member(bind, name, "");
}

static int
bind_listener(const struct bind *bind, const struct node *group, bool is_partial)
{
	struct findings ignored = {0};
	struct bind quiet = {bind->config, bind->listener, &ignored};
	int result;

	bind->config->listeners[bind->listener].origin = group->origin;
	if (group->kind != NODE_GROUP) {
		if (group->kind != NODE_BROKEN) {
			bind_complain(bind, &group->origin, "", "must be a group { }");
		}
		return 0;
	}
	result = bind_listener_name(&quiet, group);
	if (result == 0) {
		result = bind_group(bind, group, "");
	}
	if (result == 0 && !is_partial) {
		bind_find_missing(bind, &group->origin);
	}
	return result;
}

/* The list of listeners, or NULL when there is none that can be used. */
static const struct node *
bind_listener_list(const struct bind *bind, const struct node *tree, bool is_partial)
{
	const struct node *list = node_member(tree, LISTENERS);

	if (list != NULL && list->kind != NODE_LIST) {
		if (list->kind != NODE_BROKEN) {
			bind_complain(bind, &list->origin, LISTENERS,
				"must be a list; hint: write it as ( { ... }, { ... } );");
		}
		return NULL;
	}
	if (list != NULL && list->count > CONFIG_LISTENERS_MAX) {
		findings_add(bind->findings, FINDING_FILE, &list->origin,
			LISTENERS ": too many; allowed: 1 to %d; got %zu", CONFIG_LISTENERS_MAX,
			list->count);
		return NULL;
	}
	if ((list == NULL || list->count == 0) && !is_partial) {
		const struct config_origin file = {bind->config->path, 0};

		bind_complain(bind, list == NULL ? &file : &list->origin, LISTENERS,
			"there is none; allowed: 1 or more; hint: the server would serve nobody");
		return NULL;
	}
	return list;
}

int
config_bind(
	struct config *config, const struct node *tree, bool is_partial, struct findings *findings)
{
	struct bind bind = {config, -1, findings};
	const struct node *list = bind_listener_list(&bind, tree, is_partial);
	int result = config_make_room(config, list == NULL ? 0 : list->count);

	if (result == 0) {
		result = bind_group(&bind, tree, "");
	}
	if (result == 0 && !is_partial) {
		bind_find_missing(&bind, &(struct config_origin){config->path, 0});
	}
	for (size_t i = 0; list != NULL && i < list->count && result == 0; i++) {
		bind.listener = (int)i;
		result = bind_listener(&bind, list->children[i], is_partial);
	}
	return result;
}
