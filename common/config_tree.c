/* The tree is small and short-lived: read, understood, freed. */
#include "common/config_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct node *
node_new(enum node_kind kind, struct config_origin origin)
{
	struct node *node = calloc(1, sizeof(*node));

	if (node != NULL) {
		node->kind = kind;
		node->origin = origin;
	}
	return node;
}

int
node_add(struct node *parent, struct node *child)
{
	struct node **children = realloc(parent->children, (parent->count + 1) * sizeof(*children));

	if (children == NULL) {
		node_free(&child);
		return -ENOMEM;
	}
	parent->children = children;
	children[parent->count++] = child;
	return 0;
}

struct node *
node_member(const struct node *group, const char *name)
{
	for (size_t i = 0; i < group->count; i++) {
		if (group->children[i]->name != NULL &&
			strcmp(group->children[i]->name, name) == 0) {
			return group->children[i];
		}
	}
	return NULL;
}

void
node_free(struct node **node)
{
	struct node *gone = *node;

	if (gone == NULL) {
		return;
	}
	for (size_t i = 0; i < gone->count; i++) {
		node_free(&gone->children[i]);
	}
	free(gone->children);
	free(gone->name);
	free(gone->written);
	free(gone->text);
	free(gone);
	*node = NULL;
}
