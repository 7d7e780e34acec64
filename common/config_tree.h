/* What a configuration file says, before anybody asks what it means: settings with values and the
 * places they stand at. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/defs.h"

enum node_kind {
	NODE_GROUP, /* { } */
	NODE_LIST,  /* ( ) */
	NODE_ARRAY, /* [ ] */
	NODE_TEXT,
	NODE_NUMBER,
	NODE_FLOAT, /* no option takes one */
	NODE_BOOL,
	NODE_BROKEN, /* a fault was reported already */
};

struct node {
	enum node_kind kind;
	char *name; /* NULL in lists and arrays */
	struct config_origin origin;
	char *written; /* a value as it stands in the file, cut to what a message can show */
	char *text;
	int64_t number;
	bool flag;
	struct node **children;
	size_t count;
};

/** A new node of no name. @return NULL: no memory */
struct node *node_new(enum node_kind kind, struct config_origin origin);
/** Append, taking the child over, also when it fails. @return 0; -ENOMEM */
int node_add(struct node *parent, struct node *child) MUST_CHECK;
/** The first member of that name, or NULL. */
struct node *node_member(const struct node *group, const char *name);
void node_free(struct node **node);
