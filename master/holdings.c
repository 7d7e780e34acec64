/* Which worker holds a copy of which listening socket. One row per socket, one bit per slot;
 * sorted, because a reload asks for each socket and worker. */
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

/* Where the row of a socket is, or would be: rows are in the order of numbers. */
static size_t
holdings_place(const struct holdings *holdings, uint32_t number)
{
	size_t low = 0, high = holdings->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (holdings->rows[middle].number < number) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

static struct holding *
holdings_find(const struct holdings *holdings, uint32_t number)
{
	size_t place = holdings_place(holdings, number);

	if (place == holdings->count || holdings->rows[place].number != number) {
		return NULL;
	}
	return &holdings->rows[place];
}

static bool
holding_is_empty(const struct holding *row)
{
	static const uint64_t none[HOLDINGS_WORDS];

	return memcmp(row->has, none, sizeof(none)) == 0 &&
	       memcmp(row->leaves, none, sizeof(none)) == 0;
}

static int
holdings_make_room(struct holdings *holdings)
{
	size_t room = holdings->room == 0 ? ROOM_FIRST : 2 * holdings->room;
	struct holding *rows;

	if (holdings->count < holdings->room) {
		return 0;
	}
	rows = realloc(holdings->rows, room * sizeof(*rows));
	if (rows == NULL) {
		return -ENOMEM;
	}
	holdings->rows = rows;
	holdings->room = room;
	return 0;
}

int
holdings_add(struct holdings *holdings, uint32_t number)
{
	size_t place = holdings_place(holdings, number);
	struct holding *row;

	if (holdings_find(holdings, number) != NULL) {
		return 0;
	}
	if (holdings_make_room(holdings) < 0) {
		return -ENOMEM;
	}
	row = &holdings->rows[place];
	memmove(row + 1, row, (holdings->count - place) * sizeof(*row));
	memset(row, 0, sizeof(*row));
	row->number = number;
	holdings->count++;
	return 0;
}

int
holdings_restore(struct holdings *holdings, const struct holding *row)
{
	int status = holdings_add(holdings, row->number);

	if (status == 0) {
		*holdings_find(holdings, row->number) = *row;
	}
	return status;
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
