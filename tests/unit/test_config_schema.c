#include "common/config_schema.h"

#include <stdbool.h>
#include <string.h>

#include "common/config.h"
#include "common/config_private.h"
#include "common/config_value.h"
#include "tests/unit/run.h"

static bool
is_number_type(const struct option *option)
{
	return option->type == OPTION_COUNT || option->type == OPTION_DURATION_MS ||
	       option->type == OPTION_SIZE || option->type == OPTION_MODE;
}

START_TEST(a_row_is_sound)
{
	const struct option *option = &config_schema[_i];
	size_t len = strlen(option->help);

	ck_assert_int_lt(option->scope, OPTION_SCOPE_COUNT);
	ck_assert_msg(len > 10 && option->help[len - 1] == '.', "%s: a sentence", option->path);
	ck_assert_msg(
		(option->choices != NULL) == (option->type == OPTION_CHOICE), "%s", option->path);
	ck_assert_msg(!is_number_type(option) || option->min < option->max, "%s", option->path);
	ck_assert_msg(option->words[0].word == NULL || is_number_type(option), "%s", option->path);
	/* a group has no groups in it: the dump knows one level */
	ck_assert_ptr_eq(strchr(option->path, '.'), strrchr(option->path, '.'));
}
END_TEST

/* Then every number that libconfig 1.5 alone would cut to 32 bits is out of range. */
START_TEST(no_number_needs_more_than_31_bits)
{
	const struct option *option = &config_schema[_i];

	if (option->type == OPTION_COUNT) {
		ck_assert_int_ge(option->min, 0);
		ck_assert_int_le(option->max, INT32_MAX);
	}
}
END_TEST

START_TEST(a_path_is_there_once)
{
	for (size_t i = 0; i < (size_t)_i; i++) {
		ck_assert(config_schema[i].scope != config_schema[_i].scope ||
			  strcmp(config_schema[i].path, config_schema[_i].path) != 0);
	}
}
END_TEST

/* The dump opens a group before its first row and closes it after the last. */
START_TEST(rows_of_a_group_stand_together)
{
	const struct option *option = &config_schema[_i];
	size_t len = strcspn(option->path, ".");
	bool has_left = false;

	for (size_t i = (size_t)_i + 1; i < config_schema_count && option->path[len] == '.'; i++) {
		bool is_member = config_schema[i].scope == option->scope &&
				 strncmp(config_schema[i].path, option->path, len + 1) == 0;

		ck_assert_msg(!is_member || !has_left, "%s", config_schema[i].path);
		has_left = has_left || !is_member;
	}
}
END_TEST

/* config_value_set_default asserts what it is given. */
START_TEST(a_default_is_within_its_own_bounds)
{
	const struct option *option = &config_schema[_i];
	union {
		struct config server;
		struct listener_config listener;
		struct upstream_config upstream;
		struct upstream_server_config upstream_server;
	} base;

	memset(&base, 0, sizeof(base));
	ck_assert_int_eq(config_value_set_default(option, config_field(option, &base)), 0);
	config_value_clear(option, config_field(option, &base));
}
END_TEST

UNIT_TESTS("config_schema", int rows = (int)config_schema_count;
	   tcase_add_loop_test(tests, a_row_is_sound, 0, rows);
	   tcase_add_loop_test(tests, no_number_needs_more_than_31_bits, 0, rows);
	   tcase_add_loop_test(tests, a_path_is_there_once, 0, rows);
	   tcase_add_loop_test(tests, rows_of_a_group_stand_together, 0, rows);
	   tcase_add_loop_test(tests, a_default_is_within_its_own_bounds, 0, rows);)
