#include "common/table.h"

#include "common/defs.h"
#include "tests/unit/run.h"

static const struct table_column columns[] = {
	{"name", TABLE_LEFT},
	{"open", TABLE_RIGHT},
	{"what to do", TABLE_LEFT},
};

static char *
print(const struct table *table, bool with_colour)
{
	char *printed = NULL;
	size_t len;
	FILE *stream = open_memstream(&printed, &len);

	ck_assert_int_eq(table_print(table, stream, with_colour), 0);
	fclose(stream);
	return printed;
}

START_TEST(columns_are_as_wide_as_their_widest_cell)
{
	struct table *table = table_new(columns, ARRAY_LEN(columns));
	char *printed;

	table_cell(table, "front");
	table_cell(table, "%d", 12345);
	table_cell(table, "nothing");
	table_cell(table, "e");
	table_cell(table, "7");
	table_cell(table, "raise it");
	printed = print(table, false);
	ck_assert_str_eq(printed, "name    open  what to do\n"
				  "front  12345  nothing\n"
				  "e          7  raise it\n");
	free(printed);
	table_free(&table);
	ck_assert_ptr_null(table);
}
END_TEST

START_TEST(colour_is_written_only_when_wanted_and_does_not_count_as_width)
{
	struct table *table = table_new(columns, ARRAY_LEN(columns));
	char *plain, *coloured;

	table_cell(table, "a");
	table_cell_coloured(table, TABLE_BAD, "9");
	table_cell(table, "x");
	plain = print(table, false);
	coloured = print(table, true);
	ck_assert_ptr_null(strchr(plain, '\033'));
	ck_assert_ptr_nonnull(strstr(coloured, "     \033[1;31m9\033[0m  x\n"));
	free(plain);
	free(coloured);
	table_free(&table);
}
END_TEST

START_TEST(many_rows_keep_their_order)
{
	struct table *table = table_new(columns, 1);
	char *printed;
	int i;

	for (i = 0; i < 1000; i++) {
		table_cell(table, "%04d", i);
	}
	printed = print(table, false);
	ck_assert_uint_eq(strlen(printed), 1001 * 5);
	ck_assert_str_eq(printed + 1000 * 5, "0999\n");
	free(printed);
	table_free(&table);
}
END_TEST

UNIT_TESTS("table", tcase_add_test(tests, columns_are_as_wide_as_their_widest_cell);
	   tcase_add_test(tests, colour_is_written_only_when_wanted_and_does_not_count_as_width);
	   tcase_add_test(tests, many_rows_keep_their_order);)
