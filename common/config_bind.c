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
#define UPSTREAMS "upstreams"
#define SERVERS   "servers"

struct bind {
	struct config *config;
	int element;
	struct findings *findings;
};

/* The lists whose elements have options of their own, by the scope in which the list stands. */
static const char *const lists[OPTION_SCOPE_COUNT][2] = {
	[OPTION_SERVER] = {LISTENERS, UPSTREAMS},
	[OPTION_UPSTREAM] = {SERVERS, NULL},
};

static enum option_scope
bind_scope(const struct bind *bind)
{
	return config_scope_of(bind->config, bind->element);
}

static bool
is_list_name(enum option_scope scope, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(lists[scope]); i++) {
		if (lists[scope][i] != NULL && strcmp(lists[scope][i], name) == 0) {
			return true;
		}
	}
	return false;
}

static void
bind_complain(const struct bind *bind, const struct config_origin *origin, const char *path,
	const char *sentence)
{
	char full[CONFIG_PATH_MAX];

	findings_add(bind->findings, FINDING_FILE, origin, "%s: %s",
		config_path_of(bind->config, bind->element, path, full), sentence);
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

/* A listener's address, unlike other values, has a line of its own: remember that of the last one.
 */
static void
bind_address_origin(const struct bind *bind, const struct address_list *list,
	const struct config_origin *origin)
{
	if (list->count > 0) {
		*config_address_origin(bind->config, bind->element, list->count - 1) = *origin;
	}
}

/* One scalar of the file into the field. */
static int
bind_scalar(const struct bind *bind, const struct option *option, const struct node *node,
	const char *path)
{
	void *field = config_field(option, config_base(bind->config, bind->element));
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
	} else if (option->scope == OPTION_LISTENER && option->type == OPTION_ADDRESSES &&
		   node->kind == NODE_TEXT && result == 0) {
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
			option->type == OPTION_NETWORKS || option->fallback != NULL
				? "an empty array; hint: write \"\" for none"
				: "an empty array; hint: give one address or more");
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
	*config_origin_place(bind->config, bind->element, option) = node->origin;
	if ((option->type == OPTION_ADDRESSES || option->type == OPTION_NETWORKS) &&
		node->kind == NODE_ARRAY) {
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
	for (size_t i = 0; i < ARRAY_LEN(lists[scope]) && prefix_len == 0 && count < room; i++) {
		if (lists[scope][i] != NULL) {
			(void)snprintf(names[count++], 32, "%s", lists[scope][i]);
		}
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

/* Where a setting is at home that has no row in the scope where it stands. @return NULL: nowhere */
static const char *
home_of(enum option_scope scope, const char *path)
{
	static const char *const homes[OPTION_SCOPE_COUNT] = {
		[OPTION_SERVER] = "at the top level, outside of '" LISTENERS "'",
		[OPTION_LISTENER] = "into an element of '" LISTENERS "'",
		[OPTION_UPSTREAM] = "into an element of '" UPSTREAMS "'",
		[OPTION_UPSTREAM_SERVER] = "into an element of '" SERVERS "' of an upstream",
	};

	for (enum option_scope home = 0; home < OPTION_SCOPE_COUNT; home++) {
		if (home != scope &&
			(find_option(home, path) != NULL || is_group_path(home, path))) {
			return homes[home];
		}
	}
	return NULL;
}

static void
bind_add_hint(const struct bind *bind, struct text *text, const struct node *node,
	const char *prefix, const char *path)
{
	enum option_scope scope = bind_scope(bind);
	const char *home = home_of(scope, path);
	char meant[32];

	if (home != NULL) {
		text_add(text, "; hint: it belongs %s", home);
	} else if (closest_name(scope, prefix, node->name, meant) != NULL) {
		text_add(text, "; hint: did you mean '%s'?", meant);
	} else if (is_list_name(OPTION_SERVER, node->name)) {
		text_add(text, "; hint: '%s' stands at the top level", node->name);
	} else if (strcmp(node->name, SERVERS) == 0) {
		text_add(text, "; hint: '" SERVERS "' stands in an element of '" UPSTREAMS "'");
	}
}

/* A name that no row has: most often it is misspelt, or stands in the wrong place. */
static void
bind_refuse_name(const struct bind *bind, const struct node *node, const char *prefix)
{
	char path[CONFIG_PATH_MAX];
	char sentence[256];
	struct text text;

	text_init(&text, path, sizeof(path));
	text_add(&text, "%s%s", prefix, node->name);
	text_init(&text, sentence, sizeof(sentence));
	text_add(&text, "unknown setting");
	bind_add_hint(bind, &text, node, prefix, path);
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
		bool is_list = prefix[0] == '\0' &&
			       is_list_name(bind_scope(bind), group->children[i]->name);

		if (!is_list) {
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
			config_origin_place(bind->config, bind->element, option)->file != NULL) {
			continue;
		}
		text_init(&text, sentence, sizeof(sentence));
		text_add(&text, "must be given; allowed: ");
		config_value_add_allowed(&text, option);
		bind_complain(bind, origin, option->path, sentence);
	}
}

/* The name first: every message about the element bears it. */
static int
bind_name(const struct bind *bind, const struct node *group)
{
	const struct node *name = node_member(group, "name");

	return name == NULL ? 0 : bind_member(bind, name, "");
}

static int
bind_element(const struct bind *bind, const struct node *group, bool is_partial)
{
	struct findings ignored = {0};
	struct bind quiet = {bind->config, bind->element, &ignored};
	int result;

	*config_element_origin(bind->config, bind->element) = group->origin;
	if (group->kind != NODE_GROUP) {
		if (group->kind != NODE_BROKEN) {
			bind_complain(bind, &group->origin, "", "must be a group { }");
		}
		return 0;
	}
	result = bind_name(&quiet, group);
	if (result == 0) {
		result = bind_group(bind, group, "");
	}
	if (result == 0 && !is_partial) {
		bind_find_missing(bind, &group->origin);
	}
	return result;
}

/* One of the lists of elements. */
struct list {
	const char *name;
	size_t max;
	const char *missing; /* NULL: it may be missing */
};
static const struct list list_of_listeners = {LISTENERS, CONFIG_LISTENERS_MAX,
	"there is none; allowed: 1 or more; hint: the server would serve nobody"};
static const struct list list_of_upstreams = {UPSTREAMS, CONFIG_UPSTREAMS_MAX, NULL};
static const struct list list_of_servers = {SERVERS, CONFIG_SERVERS_MAX,
	"there is none; allowed: 1 or more; hint: the upstream would serve nobody"};

/* The list in that group, or NULL when there is none that can be used. */
static const struct node *
find_list(const struct node *group, const struct list *wanted)
{
	const struct node *list =
		group->kind == NODE_GROUP ? node_member(group, wanted->name) : NULL;

	return list != NULL && list->kind == NODE_LIST && list->count <= wanted->max ? list : NULL;
}

/* Say why find_list did not find it. */
static void
bind_judge_list(const struct bind *bind, const struct node *group, const struct list *wanted,
	const struct config_origin *place, bool is_partial)
{
	const struct node *list = node_member(group, wanted->name);
	char sentence[128];

	if (list != NULL && list->kind == NODE_BROKEN) {
		return;
	}
	if (list != NULL && list->kind != NODE_LIST) {
		bind_complain(bind, &list->origin, wanted->name,
			"must be a list; hint: write it as ( { ... }, { ... } );");
	} else if (list != NULL && list->count > wanted->max) {
		(void)snprintf(sentence, sizeof(sentence), "too many; allowed: 1 to %zu; got %zu",
			wanted->max, list->count);
		bind_complain(bind, &list->origin, wanted->name, sentence);
	} else if ((list == NULL || list->count == 0) && wanted->missing != NULL && !is_partial) {
		bind_complain(
			bind, list == NULL ? place : &list->origin, wanted->name, wanted->missing);
	}
}

static size_t
list_count(const struct node *list)
{
	return list == NULL ? 0 : list->count;
}

/* Servers beyond what one configuration may have are not counted, and then not bound. */
static struct config_counts
bind_count(const struct node *tree)
{
	const struct node *upstreams = find_list(tree, &list_of_upstreams);
	struct config_counts counts = {
		list_count(find_list(tree, &list_of_listeners)), list_count(upstreams), 0};

	for (size_t i = 0; i < counts.upstreams; i++) {
		counts.servers += list_count(find_list(upstreams->children[i], &list_of_servers));
	}
	return counts;
}

static int
bind_servers(const struct bind *upstream_bind, struct upstream_config *upstream,
	const struct node *group, size_t first, bool is_partial)
{
	struct bind bind = *upstream_bind;
	const struct node *list = find_list(group, &list_of_servers);
	int result = 0;

	upstream->servers = &bind.config->servers[first];
	upstream->server_count = list_count(list);
	for (size_t i = 0; i < upstream->server_count && result == 0; i++) {
		bind.element = config_server_element(bind.config, first + i);
		result = bind_element(&bind, list->children[i], is_partial);
	}
	return result;
}

static int
bind_upstreams(const struct bind *top, const struct node *tree, bool is_partial)
{
	const struct node *list = find_list(tree, &list_of_upstreams);
	struct bind bind = *top;
	size_t first = 0;
	int result = 0;

	for (size_t i = 0; i < list_count(list) && result == 0; i++) {
		struct upstream_config *upstream = &bind.config->upstreams[i];
		const struct node *group = list->children[i];

		bind.element = config_upstream_element(bind.config, i);
		result = bind_element(&bind, group, is_partial);
		if (result == 0 && group->kind == NODE_GROUP) {
			bind_judge_list(&bind, group, &list_of_servers, &group->origin, is_partial);
		}
		if (result == 0) {
			result = bind_servers(&bind, upstream, group, first, is_partial);
			first += upstream->server_count;
		}
	}
	return result;
}

static int
bind_listeners(const struct bind *top, const struct node *tree, bool is_partial)
{
	const struct node *list = find_list(tree, &list_of_listeners);
	struct bind bind = *top;
	int result = 0;

	for (size_t i = 0; i < list_count(list) && result == 0; i++) {
		bind.element = (int)i;
		result = bind_element(&bind, list->children[i], is_partial);
	}
	return result;
}

int
config_bind(
	struct config *config, const struct node *tree, bool is_partial, struct findings *findings)
{
	const struct config_origin file = {config->path, 0};
	struct bind bind = {config, CONFIG_TOP, findings};
	int result = config_make_room(config, bind_count(tree));

	if (result == 0) {
		bind_judge_list(&bind, tree, &list_of_listeners, &file, is_partial);
		bind_judge_list(&bind, tree, &list_of_upstreams, &file, is_partial);
		result = bind_group(&bind, tree, "");
	}
	if (result == 0 && !is_partial) {
		bind_find_missing(&bind, &file);
	}
	if (result == 0) {
		result = bind_listeners(&bind, tree, is_partial);
	}
	return result == 0 ? bind_upstreams(&bind, tree, is_partial) : result;
}
