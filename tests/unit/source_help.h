/* Sources of a board, by their addresses. */
#pragma once

#include "common/board.h"
#include "tests/unit/peer_help.h"

static inline struct source
help_source(const struct board *board, const char *address, int listener)
{
	union peer from = help_peer(address);
	struct source made;

	ck_assert(source_of(&board->master->source_key, &from, listener, &made));
	return made;
}

/** So many connections in a slot, let in at `now_ms`. */
static inline void
help_let_in(struct board *board, int slot, const struct source *source, int count, int64_t now_ms)
{
	static const struct source_limits none = {0, 0};
	struct sources all;

	stat_set(&board->slots[slot].has_sources, 1);
	board_sources(board, slot, &all);
	for (int i = 0; i < count; i++) {
		ck_assert_int_eq(sources_admit(&all, source, &none, now_ms), SOURCE_ADMITTED);
	}
}

/** So many attempts in a slot that are refused, of a source that has more than one connection. */
static inline void
help_refuse(struct board *board, int slot, const struct source *source, int count, int64_t now_ms)
{
	static const struct source_limits one = {1, 0};
	struct sources all;

	board_sources(board, slot, &all);
	for (int i = 0; i < count; i++) {
		ck_assert_int_eq(
			sources_admit(&all, source, &one, now_ms), SOURCE_OVER_CONNECTIONS);
	}
}
