/* A source is met once in each table that has it and summed over all of them each time: what is not
 * among the fullest then is not the next time either, and what is, is found there. */
#include "monitor/fullest.h"

#include <string.h>

static bool
comes_before(const struct fullest_row *a, const struct fullest_row *b)
{
	if ((a->penalty_ms > 0) != (b->penalty_ms > 0)) {
		return a->penalty_ms > 0;
	}
	if (a->open != b->open) {
		return a->open > b->open;
	}
	return a->rate != b->rate ? a->rate > b->rate : a->refused > b->refused;
}

static bool
is_there(const struct fullest_listener *listener, uint64_t tag)
{
	for (size_t i = 0; i < listener->count; i++) {
		if (listener->rows[i].source.tag == tag) {
			return true;
		}
	}
	return false;
}

static void
insert(struct fullest_listener *listener, const struct fullest_row *row)
{
	size_t at = listener->count;

	while (at > 0 && comes_before(row, &listener->rows[at - 1])) {
		at--;
	}
	if (at == FULLEST_ROWS) {
		return;
	}
	listener->count += listener->count < FULLEST_ROWS;
	memmove(&listener->rows[at + 1], &listener->rows[at],
		(listener->count - at - 1) * sizeof(*row));
	listener->rows[at] = *row;
}

static void
consider(struct fullest *fullest, const struct source *source, int64_t penalty_ms)
{
	struct fullest_listener *listener = &fullest->listeners[source->listener];
	struct fullest_row row = {.source = *source, .penalty_ms = penalty_ms};
	struct source_sum sum;

	if (is_there(listener, source->tag)) {
		return;
	}
	sources_sum(&fullest->all, source, fullest->now_ms, &sum);
	row.open = sum.open;
	row.rate = source_rate(&sum, fullest->now_ms);
	row.refused = source_refused(&sum, fullest->now_ms);
	if (row.open > 0 || row.rate > 0 || row.refused > 0 || penalty_ms > 0) {
		insert(listener, &row);
	}
}

/* What a worker wrote is not trusted: there may be no such listener. */
static void
on_source(const struct source *source, const struct source_sum *part, void *arg)
{
	(void)part;
	if (source->listener < BOARD_LISTENERS) {
		consider(arg, source, 0);
	}
}

void
fullest_take(const struct board *board, int64_t now_ms, struct fullest *fullest)
{
	memset(fullest, 0, sizeof(*fullest));
	fullest->now_ms = now_ms;
	board_sources(board, -1, &fullest->all);
	for (int row = 0; row < BOARD_PENALTIES; row++) {
		struct source source;
		int64_t left_ms = board_read_penalty(board, row, now_ms, &source);

		if (left_ms > 0) {
			consider(fullest, &source, left_ms);
		}
	}
	for (int slot = 0; slot < fullest->all.slots; slot++) {
		if (stat_get(&board->slots[slot].has_sources) != 0) {
			sources_visit(&fullest->all, slot, now_ms, on_source, fullest);
		}
	}
}
