/* Cells are kept as strings until all are known, because widths depend on the last row too. */
#include "common/table.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct table_text {
	char *string;
	enum table_colour colour;
};

struct table {
	const struct table_column *columns;
	size_t column_count;
	struct table_text *cells;
	size_t cell_count;
	size_t cell_room;
	bool is_short_of_memory;
};

struct table *
table_new(const struct table_column *columns, size_t count)
{
	struct table *table = calloc(1, sizeof(*table));

	assert(count > 0 && count <= TABLE_COLUMNS_MAX);
	if (table != NULL) {
		table->columns = columns;
		table->column_count = count;
	}
	return table;
}

void
table_free(struct table **table)
{
	size_t i;

	if (*table == NULL) {
		return;
	}
	for (i = 0; i < (*table)->cell_count; i++) {
		free((*table)->cells[i].string);
	}
	free((*table)->cells);
	free(*table);
	*table = NULL;
}

static bool
table_make_room(struct table *table)
{
	size_t room = table->cell_room == 0 ? 64 : table->cell_room * 2;
	struct table_text *cells;

	if (table->cell_count < table->cell_room) {
		return true;
	}
	cells = realloc(table->cells, room * sizeof(*cells));
	if (cells == NULL) {
		return false;
	}
	table->cells = cells;
	table->cell_room = room;
	return true;
}

static void table_add(struct table *table, enum table_colour colour, const char *format,
	va_list args) PRINTF_LIKE(3, 0);

static void
table_add(struct table *table, enum table_colour colour, const char *format, va_list args)
{
	char *string = NULL;

	if (!table_make_room(table) || vasprintf(&string, format, args) < 0) {
		table->is_short_of_memory = true;
		return;
	}
	table->cells[table->cell_count++] = (struct table_text){string, colour};
}

void
table_cell(struct table *table, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	table_add(table, TABLE_PLAIN, format, args);
	va_end(args);
}

void
table_cell_coloured(struct table *table, enum table_colour colour, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	table_add(table, colour, format, args);
	va_end(args);
}

const char *
table_colour_on(enum table_colour colour, bool with_colour)
{
	static const char *const codes[] = {
		[TABLE_PLAIN] = "",
		[TABLE_GOOD] = "\033[32m",
		[TABLE_WARN] = "\033[33m",
		[TABLE_BAD] = "\033[1;31m",
		[TABLE_DIM] = "\033[2m",
	};

	return with_colour ? codes[colour] : "";
}

const char *
table_colour_off(bool with_colour)
{
	return with_colour ? "\033[0m" : "";
}

static void
table_measure(const struct table *table, size_t widths[TABLE_COLUMNS_MAX])
{
	size_t i, len;

	for (i = 0; i < table->column_count; i++) {
		widths[i] = strlen(table->columns[i].title);
	}
	for (i = 0; i < table->cell_count; i++) {
		len = strlen(table->cells[i].string);
		if (len > widths[i % table->column_count]) {
			widths[i % table->column_count] = len;
		}
	}
}

static void
table_print_cell(const struct table *table, size_t column, size_t width, const char *string,
	enum table_colour colour, FILE *stream, bool with_colour)
{
	bool is_last = column + 1 == table->column_count;
	bool is_right = table->columns[column].align == TABLE_RIGHT;
	int padding = (int)(width - strlen(string));

	if (colour == TABLE_PLAIN) {
		with_colour = false;
	}
	fprintf(stream, "%*s%s%s%s", is_right ? padding : 0, "",
		table_colour_on(colour, with_colour), string, table_colour_off(with_colour));
	if (is_last) {
		fputc('\n', stream);
	} else {
		fprintf(stream, "%*s  ", is_right ? 0 : padding, "");
	}
}

int
table_print(const struct table *table, FILE *stream, bool with_colour)
{
	size_t widths[TABLE_COLUMNS_MAX];
	size_t i, column;

	table_measure(table, widths);
	for (i = 0; i < table->column_count; i++) {
		table_print_cell(table, i, widths[i], table->columns[i].title, TABLE_DIM, stream,
			with_colour);
	}
	for (i = 0; i < table->cell_count; i++) {
		column = i % table->column_count;
		table_print_cell(table, column, widths[column], table->cells[i].string,
			table->cells[i].colour, stream, with_colour);
	}
	return table->is_short_of_memory ? -ENOMEM : 0;
}
