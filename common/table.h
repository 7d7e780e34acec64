/* Tables for people: columns as wide as their widest cell, numbers to the right, colour if wanted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "common/defs.h"

#define TABLE_COLUMNS_MAX 24

enum table_align { TABLE_LEFT, TABLE_RIGHT };
enum table_colour { TABLE_PLAIN, TABLE_GOOD, TABLE_WARN, TABLE_BAD, TABLE_DIM };

struct table_column {
	const char *title; /* borrowed for the life of the table */
	enum table_align align;
};

struct table;

/** @param columns  borrowed, `count` of them (at most TABLE_COLUMNS_MAX) @return NULL without
 * memory */
struct table *table_new(const struct table_column *columns, size_t count);
void table_free(struct table **table);
/** The next cell of the row; after the last column the next row begins. A cell that cannot be kept
 * for want of memory makes table_print fail. */
void table_cell(struct table *table, const char *format, ...) PRINTF_LIKE(2, 3);
void table_cell_coloured(struct table *table, enum table_colour colour, const char *format, ...)
	PRINTF_LIKE(3, 4);
/** Header and rows; the last column, when left-aligned, is not padded. No rows: the header alone.
 *  @return 0, or -ENOMEM when cells were lost */
int table_print(const struct table *table, FILE *stream, bool with_colour) MUST_CHECK;
/** The escape sequence of a colour, "" without. */
const char *table_colour_on(enum table_colour colour, bool with_colour);
const char *table_colour_off(bool with_colour);
