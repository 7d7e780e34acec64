/* The board's tables of sources, and the sources that are refused after a crash. */
#include <assert.h>

#include "common/board.h"

static_assert(BOARD_LISTENERS <= 0x10000, "an entry has 16 bits for its listener");

/* Readers map the board read-only and load from it atomically all the same. */
static struct board_master *
master_of(const struct board *board)
{
	return (struct board_master *)(uintptr_t)board->master;
}

void
board_set_source_table(struct board *board, int64_t entries)
{
	board->writable->source_sets = (uint32_t)((entries + SOURCES_WAYS - 1) / SOURCES_WAYS);
}

void
board_sources(const struct board *board, int own, struct sources *sources)
{
	sources->first = &board->slots[0].sources;
	sources->stride = sizeof(struct board_slot);
	sources->slots = board_slots_used(board);
	sources->own = own;
	sources->sets = board->master->source_sets;
}

/* --- penalties --- */

/* The row of the source, or a free one, or that which ends first. */
static struct board_penalty *
find_row(struct board_penalty *rows, uint64_t tag)
{
	struct board_penalty *found = &rows[0];

	for (int i = 0; i < BOARD_PENALTIES; i++) {
		if (stat_get(&rows[i].tag) == tag) {
			return &rows[i];
		}
		if (stat_get(&rows[i].until_ms) < stat_get(&found->until_ms)) {
			found = &rows[i];
		}
	}
	return found;
}

void
board_penalise(struct board *board, const struct source *source, int64_t until_ms)
{
	struct board_master *master = board->writable;
	struct board_penalty *row = find_row(master->penalties, source->tag);

	stat_set(&row->tag, 0);
	atomic_thread_fence(memory_order_release);
	stat_set(&row->until_ms, (uint64_t)until_ms);
	stat_set(&row->prefix, source->prefix);
	stat_set(&row->is_v6, source->is_v6);
	stat_set(&row->listener, (uint64_t)source->listener);
	atomic_store_explicit(&row->tag, source->tag, memory_order_release);
	if (until_ms > (int64_t)stat_get(&master->penalised_until_ms)) {
		stat_set(&master->penalised_until_ms, (uint64_t)until_ms);
	}
}

void
board_lift_penalty(struct board *board, const struct source *source)
{
	struct board_penalty *rows = board->writable->penalties;

	for (int i = 0; i < BOARD_PENALTIES; i++) {
		if (stat_get(&rows[i].tag) == source->tag) {
			stat_set(&rows[i].tag, 0);
			atomic_thread_fence(memory_order_release);
			stat_set(&rows[i].until_ms, 0);
		}
	}
}

int64_t
board_read_penalty(const struct board *board, int row, int64_t now_ms, struct source *source)
{
	struct board_penalty *from = &master_of(board)->penalties[row];
	int64_t until_ms;

	source->tag = atomic_load_explicit(&from->tag, memory_order_acquire);
	source->prefix = stat_get(&from->prefix);
	source->is_v6 = stat_get(&from->is_v6) != 0;
	source->listener = (int)stat_get(&from->listener);
	until_ms = (int64_t)stat_get(&from->until_ms);
	atomic_thread_fence(memory_order_acquire);
	if (source->tag == 0 || stat_get(&from->tag) != source->tag || until_ms <= now_ms) {
		return 0;
	}
	return until_ms - now_ms;
}

int64_t
board_penalty_left_ms(const struct board *board, const struct source *source, int64_t now_ms)
{
	for (int row = 0; row < BOARD_PENALTIES; row++) {
		struct source refused;
		int64_t left_ms = board_read_penalty(board, row, now_ms, &refused);

		if (left_ms > 0 && refused.tag == source->tag) {
			return left_ms;
		}
	}
	return 0;
}
