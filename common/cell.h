/* A number on the board that one process writes and all may read. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t board_cell;

/* Cells have one writer, so a plain load and store is enough: no locked instruction. */
static inline void
stat_add(board_cell *cell, uint64_t amount)
{
	atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + amount,
		memory_order_relaxed);
}
static inline void
stat_set(board_cell *cell, uint64_t value)
{
	atomic_store_explicit(cell, value, memory_order_relaxed);
}
static inline uint64_t
stat_get(const board_cell *cell)
{
	return atomic_load_explicit((board_cell *)cell, memory_order_relaxed);
}
