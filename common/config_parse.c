/* Parses with libconfig, and keeps to itself what its version 1.5 needs to be used safely: it
 * judges the structure, and never sees a value.
 *
 * It is given one word per line, so that its line number tells which word it speaks of, and the
 * word knows its file and line. Each value is given as the number of its word: as an integer of 64
 * bits, for it cuts what is written without L to 32 bits without a word, and as no string, for it
 * leaks those before which it finds a syntax error. Each array is given as a list, for it stops at
 * an element of another type. A name given twice makes it stop too: the second one is renamed and
 * the parse begun anew. So one run tells everything. */
#include "common/config_parse.h"

#include <errno.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARSE_SHOWN_MAX 80 /* of a value, in messages */

struct parse {
	struct source *source;
	struct source_unit *unit;
	int error; /* -ENOMEM: the tree is not whole */
};

static bool
is_value(const struct source_token *word)
{
	switch (word->token.kind) {
	case TOKEN_TEXT:
	case TOKEN_INTEGER:
	case TOKEN_FLOAT:
	case TOKEN_BOOL:
	case TOKEN_BROKEN:
		return true;
	default:
		return false;
	}
}

static void
parse_write_word(FILE *stream, const struct source_token *word, size_t index)
{
	char mark = *word->token.start;

	if (is_value(word)) {
		(void)fprintf(stream, "%zuL\n", index);
	} else if (word->is_duplicate) {
		(void)fprintf(stream, "duplicate-%zu\n", index);
	} else if (mark == '[' || mark == ']') {
		(void)fputs(mark == '[' ? "(\n" : ")\n", stream);
	} else {
		(void)fprintf(stream, "%.*s\n", (int)word->token.len, word->token.start);
	}
}

/* What libconfig reads. @return NULL: no memory */
static char *
parse_write_unit(const struct source_unit *unit)
{
	char *text = NULL;
	size_t len = 0;
	FILE *stream = open_memstream(&text, &len);

	if (stream == NULL) {
		return NULL;
	}
	for (size_t i = 0; i < unit->count; i++) {
		parse_write_word(stream, &unit->tokens[i], i);
	}
	if (fclose(stream) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* The word on a line of what libconfig read, or the last one. */
static struct source_token *
parse_word_at(const struct source_unit *unit, int line)
{
	size_t index = line > 0 ? (size_t)line - 1 : 0;

	return &unit->tokens[index < unit->count ? index : unit->count - 1];
}

/* The word with which a setting's value begins. A setting's line is that of its name; an element,
 * which has none, begins on its own. */
static const struct source_token *
parse_value_word(const struct parse *parse, const config_setting_t *setting)
{
	const struct source_unit *unit = parse->unit;
	int line = (int)config_setting_source_line(setting);

	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return &unit->tokens[config_setting_get_int64(setting)];
	case CONFIG_TYPE_NONE: /* the value is the syntax error */
		return parse_word_at(unit, line);
	default:
		return parse_word_at(unit, config_setting_name(setting) == NULL ? line : line + 2);
	}
}

static enum node_kind
parse_kind(const config_setting_t *setting, const struct source_token *word)
{
	if (config_setting_is_group(setting)) {
		return NODE_GROUP;
	}
	if (config_setting_is_list(setting)) {
		return *word->token.start == '[' ? NODE_ARRAY : NODE_LIST;
	}
	switch (word->token.kind) {
	case TOKEN_INTEGER:
		return NODE_NUMBER;
	case TOKEN_FLOAT:
		return NODE_FLOAT;
	case TOKEN_BOOL:
		return NODE_BOOL;
	case TOKEN_TEXT:
		return NODE_TEXT;
	default:
		return NODE_BROKEN;
	}
}

static bool
parse_set_value(struct node *node, const struct source_token *word)
{
	node->number = word->token.number;
	node->flag = *word->token.start == 't' || *word->token.start == 'T';
	node->written = strndup(word->token.start,
		word->token.len < PARSE_SHOWN_MAX ? word->token.len : PARSE_SHOWN_MAX);
	if (node->kind == NODE_TEXT) {
		node->text = scan_unescape(&word->token);
	}
	return node->written != NULL && (node->kind != NODE_TEXT || node->text != NULL);
}

static struct node *parse_convert(struct parse *parse, const config_setting_t *setting);

/* Tell of a name given twice; the second one goes no further. */
static bool
parse_is_duplicate(struct parse *parse, const struct node *parent, const config_setting_t *child)
{
	const struct source_token *word =
		parse_word_at(parse->unit, (int)config_setting_source_line(child));
	const struct node *first;
	char *name;

	if (config_setting_name(child) == NULL || !word->is_duplicate) {
		return false;
	}
	name = strndup(word->token.start, word->token.len);
	first = name == NULL ? NULL : node_member(parent, name);
	if (first != NULL) {
		findings_add(parse->source->findings, FINDING_FILE, &word->origin,
			"%s: given twice; the first one is at %s:%d; hint: remove one of them",
			name, first->origin.file, first->origin.line);
	}
	free(name);
	return true;
}

static bool
parse_convert_children(struct parse *parse, struct node *node, const config_setting_t *setting)
{
	int count = config_setting_length(setting);

	for (int i = 0; i < count; i++) {
		const config_setting_t *child = config_setting_get_elem(setting, (unsigned)i);
		struct node *converted;

		if (parse_is_duplicate(parse, node, child)) {
			continue;
		}
		converted = parse_convert(parse, child);
		if (converted == NULL || node_add(node, converted) < 0) {
			return false;
		}
	}
	return true;
}

/* @return NULL: no memory */
static struct node *
parse_convert(struct parse *parse, const config_setting_t *setting)
{
	const char *name = config_setting_name(setting);
	const struct source_token *word = parse_value_word(parse, setting);
	const struct source_token *place =
		name == NULL ? word
			     : parse_word_at(parse->unit, (int)config_setting_source_line(setting));
	struct node *node = node_new(parse_kind(setting, word), place->origin);
	bool is_whole;

	if (node == NULL) {
		return NULL;
	}
	is_whole = name == NULL || (node->name = strdup(name)) != NULL;
	if (is_whole && config_setting_is_aggregate(setting)) {
		is_whole = parse_convert_children(parse, node, setting);
	} else if (is_whole) {
		is_whole = parse_set_value(node, word);
	}
	if (!is_whole) {
		node_free(&node);
	}
	return node;
}

/* What is most probably meant by a word where libconfig wants another. */
static const char *
parse_hint(const struct source_unit *unit, const struct source_token *word, bool is_past_end)
{
	const struct source_token *before = word > unit->tokens ? word - 1 : NULL;

	if (is_past_end) {
		return "the last setting has no value";
	}
	if (before != NULL && *before->token.start == ',' && word->token.kind == TOKEN_CLOSE) {
		return "no comma after the last element";
	}
	if (before != NULL && before->token.kind == TOKEN_NAME) {
		return "a setting is written name = value;";
	}
	if (is_value(word) || word->token.kind == TOKEN_OPEN) {
		return "is a comma missing before it?";
	}
	return "a setting is written name = value;";
}

static void
parse_report_error(struct parse *parse, const config_t *config)
{
	const struct source_unit *unit = parse->unit;
	const struct source_token *word = parse_word_at(unit, config_error_line(config));
	bool is_past_end = (size_t)config_error_line(config) > unit->count;

	findings_add(parse->source->findings, FINDING_FILE, &word->origin,
		"syntax error %s '%.*s'; hint: %s", is_past_end ? "after" : "at",
		(int)(word->token.len < PARSE_SHOWN_MAX ? word->token.len : PARSE_SHOWN_MAX),
		word->token.start, parse_hint(unit, word, is_past_end));
}

/* Whether the parse stopped at a name given twice, which is then marked. */
static bool
parse_mark_duplicate(struct parse *parse, const config_t *config)
{
	struct source_token *word = parse_word_at(parse->unit, config_error_line(config));

	if (strncmp(config_error_text(config), "duplicate", strlen("duplicate")) != 0 ||
		word->token.kind != TOKEN_NAME || word->is_duplicate) {
		return false;
	}
	word->is_duplicate = true;
	return true;
}

/* @return true, or false with the reason in *config; what stands before the error is there */
static bool
parse_text(struct parse *parse, config_t *config)
{
	char *text = parse_write_unit(parse->unit);
	bool is_good;

	config_init(config);
	if (text == NULL) {
		parse->error = -ENOMEM;
		return true;
	}
	is_good = config_read_string(config, text) == CONFIG_TRUE;
	free(text);
	return is_good;
}

/* What the files put together. */
static bool
is_list_of_elements(const struct node *node)
{
	return node->kind == NODE_LIST &&
	       (strcmp(node->name, "listeners") == 0 || strcmp(node->name, "upstreams") == 0);
}

/* Move the settings of one unit into the tree of all. */
static int
parse_merge(struct parse *parse, struct node *tree, struct node *part)
{
	int result = 0;

	for (size_t i = 0; i < part->count && result == 0; i++) {
		struct node *child = part->children[i];
		struct node *first = node_member(tree, child->name);

		if (first == NULL) {
			part->children[i] = NULL;
			result = node_add(tree, child);
		} else if (is_list_of_elements(child) && first->kind == NODE_LIST) {
			for (size_t k = 0; k < child->count && result == 0; k++) {
				struct node *element = child->children[k];

				child->children[k] = NULL;
				result = node_add(first, element);
			}
		} else if (first->kind != NODE_BROKEN && child->kind != NODE_BROKEN) {
			findings_add(parse->source->findings, FINDING_FILE, &child->origin,
				"%s: given twice; the first one is at %s:%d; hint: remove one of "
				"them",
				child->name, first->origin.file, first->origin.line);
		}
	}
	return result;
}

static int
parse_unit(struct parse *parse, struct node *tree, bool *is_partial)
{
	config_t config;
	struct node *part;
	bool is_good = parse_text(parse, &config);

	for (size_t i = 0; i < FINDINGS_MAX && !is_good && parse_mark_duplicate(parse, &config);
		i++) {
		config_destroy(&config);
		is_good = parse_text(parse, &config);
	}
	if (!is_good && !parse->unit->is_damaged) {
		parse_report_error(parse, &config);
	}
	*is_partial = *is_partial || !is_good || parse->unit->is_damaged;
	part = parse->error < 0 ? NULL : parse_convert(parse, config_root_setting(&config));
	config_destroy(&config);
	if (part == NULL) {
		return -ENOMEM;
	}
	parse->error = parse_merge(parse, tree, part);
	node_free(&part);
	return parse->error;
}

int
config_parse(struct source *source, struct node **tree, bool *is_partial)
{
	struct parse parse = {.source = source};
	struct node *whole = node_new(NODE_GROUP, (struct config_origin){0});
	int result = whole == NULL ? -ENOMEM : 0;

	*is_partial = source->is_incomplete;
	for (size_t i = 0; i < source->unit_count && result == 0; i++) {
		parse.unit = &source->units[i];
		if (parse.unit->count > 0) {
			result = parse_unit(&parse, whole, is_partial);
		} else {
			*is_partial = *is_partial || parse.unit->is_damaged;
		}
	}
	if (result < 0) {
		node_free(&whole);
		return result;
	}
	*tree = whole;
	return 0;
}
