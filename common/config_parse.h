/* The only door to libconfig: words go in, a tree of our own comes out. */
#pragma once

#include <stdbool.h>

#include "common/config_source.h"
#include "common/config_tree.h"
#include "common/defs.h"

/** Parse every unit and put the results together: one group with the settings of all files, and
 *  with the elements of all their `listeners` and `upstreams`.
 *  @param tree        freed by the caller
 *  @param is_partial  a syntax error hides part of it: what is missing is not missing for sure
 *  @return 0, also when there are findings; -ENOMEM */
int config_parse(struct source *source, struct node **tree, bool *is_partial) MUST_CHECK;
