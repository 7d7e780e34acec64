/* One value of one option: from a word of the file into its field, and back. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/config_schema.h"
#include "common/defs.h"

struct fault;
struct text;

/** Set a field from text: durations, sizes, permissions, choices, addresses (one more of them),
 *  texts, and words that stand for a number.
 *  @param field  at the option's offset in its struct
 *  @return 0; -EINVAL with "what; allowed: …; got …"; -ENOMEM */
int config_value_set_text(
	const struct option *option, void *field, const char *text, struct fault *why) MUST_CHECK;
/** Set a field from a number of the file. Errors as above. */
int config_value_set_number(
	const struct option *option, void *field, int64_t number, struct fault *why) MUST_CHECK;
/** Set a field to the default. A row whose default is wrong is our mistake. @return 0; -ENOMEM */
int config_value_set_default(const struct option *option, void *field) MUST_CHECK;

/** Write the value as it stands in a file, quotes included. */
void config_value_add(struct text *text, const struct option *option, const void *field);
/** Write the default as it stands in a file. */
void config_value_add_default(struct text *text, const struct option *option);
/** Write what is allowed, as `"auto" or 1..1024`. */
void config_value_add_allowed(struct text *text, const struct option *option);
/** What the type is called, as "a duration". */
const char *config_value_type_name(const struct option *option);

bool config_value_equal(const struct option *option, const void *a, const void *b);
/** Free what the field owns. */
void config_value_clear(const struct option *option, void *field);
