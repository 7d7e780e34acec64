/* Which worker holds a copy of which listening socket. One row per socket, one bit per slot: a few
 * sockets, looked up when configurations change, so a plain list will do. */
#include "master/holdings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 16

static bool
bit_is_set(const uint64_t *words, int slot)
{
	return (words[slot / 64] >> (slot % 64) & 1) != 0;
}

static void
bit_set(uint64_t *words, int slot)
{
	words[slot / 64] |= UINT64_C(1) << (slot % 64);
}

static void
bit_clear(uint64_t *words, int slot)
{
	words[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
}

static struct holding *
holdings_find(const struct holdings *holdings, uint32_t number)
{
	size_t i;

	for (i = 0; i < holdings->count; i++) {
		if (holdings->rows[i].number == number) {
			return &holdings->rows[i];
		}
	}
	return NULL;
}

static bool
holding_is_empty(const struct holding *row)
{
	static const uint64_t none[HOLDINGS_WORDS];

	return memcmp(row->has, none, sizeof(none)) == 0 &&
	       memcmp(row->leaves, none, sizeof(none)) == 0;
}

int
holdings_add(struct holdings *holdings, uint32_t number)
{
	struct holding *rows;
	size_t room;

	if (holdings_find(holdings, number) != NULL) {
		return 0;
	}
	if (holdings->count == holdings->room) {
		room = holdings->room == 0 ? ROOM_FIRST : 2 * holdings->room;
		rows = realloc(holdings->rows, room * sizeof(*rows));
		if (rows == NULL) {
			return -ENOMEM;
		}
		holdings->rows = rows;
		holdings->room = room;
	}
	memset(&holdings->rows[holdings->count], 0, sizeof(*holdings->rows));
	holdings->rows[holdings->count++].number = number;
	return 0;
}

void
holdings_give(struct holdings *holdings, uint32_t number, int slot)
{
	struct holding *row = holdings_find(holdings, number);

	if (row != NULL) {
		bit_set(row->has, slot);
	}
}

void
holdings_recall(struct holdings *holdings, uint32_t number, bool is_wanted)
{
	struct holding *row = holdings_find(holdings, number);

	if (row != NULL) {
		row->is_recalled = is_wanted;
	}
}

bool
holdings_next_release(struct holdings *holdings, int slot, uint32_t *number)
{
	size_t i;

	for (i = 0; i < holdings->count; i++) {
		struct holding *row = &holdings->rows[i];

		/* One question at a time: an answer names only the socket. */
		if (row->is_recalled && bit_is_set(row->has, slot) &&
			!bit_is_set(row->leaves, slot)) {
			bit_clear(row->has, slot);
			bit_set(row->leaves, slot);
			*number = row->number;
			return true;
		}
	}
	return false;
}

int
holdings_released(struct holdings *holdings, uint32_t number, int slot)
{
	struct holding *row = holdings_find(holdings, number);

	if (row == NULL || !bit_is_set(row->leaves, slot)) {
		return -EPROTO;
	}
	bit_clear(row->leaves, slot);
	return 0;
}

void
holdings_forget_slot(struct holdings *holdings, int slot)
{
	size_t i;

	for (i = 0; i < holdings->count; i++) {
		bit_clear(holdings->rows[i].has, slot);
		bit_clear(holdings->rows[i].leaves, slot);
	}
}

bool
holdings_slot_has(const struct holdings *holdings, uint32_t number, int slot)
{
	const struct holding *row = holdings_find(holdings, number);

	return row != NULL && bit_is_set(row->has, slot);
}

bool
holdings_anybody_has(const struct holdings *holdings, uint32_t number)
{
	const struct holding *row = holdings_find(holdings, number);

	return row != NULL && !holding_is_empty(row);
}

void
holdings_sweep(struct holdings *holdings)
{
	size_t i, kept = 0;

	for (i = 0; i < holdings->count; i++) {
		if (!holding_is_empty(&holdings->rows[i])) {
			holdings->rows[kept++] = holdings->rows[i];
		}
	}
	holdings->count = kept;
}

void
holdings_fini(struct holdings *holdings)
{
	free(holdings->rows);
	memset(holdings, 0, sizeof(*holdings));
}
