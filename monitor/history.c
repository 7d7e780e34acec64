/* Columns of small numbers in rings; a point's number tells its place, so all rings turn together.
 */
#include "monitor/history.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/board.h"
#include "common/json.h"
#include "monitor/reading.h"

enum column { DEPTH, LIMIT, ACCEPTED, OPEN, DROPPED, COLUMNS };

static const char *const column_names[] = {
	[DEPTH] = "queue_depth", /* the deepest of that second */
	[LIMIT] = "queue_limit", /* at its end */
	[ACCEPTED] = "accepted_per_second",
	[OPEN] = "open",                /* at its end */
	[DROPPED] = "dropped_segments", /* in that second */
};

struct history_listener {
	uint64_t first; /* number of its first point */
	uint32_t points[COLUMNS][HISTORY_POINTS];
};

struct history {
	const struct board *board;
	uint64_t last;
	int64_t last_wall_seconds;
	uint64_t deepest[BOARD_LISTENERS];                   /* in this second so far */
	struct history_listener *listeners[BOARD_LISTENERS]; /* by index on the board */
};

struct history *
history_new(const struct board *board)
{
	struct history *history = calloc(1, sizeof(*history));

	if (history != NULL) {
		history->board = board;
	}
	return history;
}

void
history_free(struct history **history)
{
	if (*history == NULL) {
		return;
	}
	for (size_t i = 0; i < BOARD_LISTENERS; i++) {
		free((*history)->listeners[i]);
	}
	free(*history);
	*history = NULL;
}

void
history_look(struct history *history)
{
	for (size_t i = 0; i < BOARD_LISTENERS; i++) {
		const struct board_listener_head *head = &history->board->master->listeners[i];
		uint64_t depth;

		if (history->listeners[i] == NULL) {
			continue;
		}
		depth = stat_get(&head->queue[STAT_QUEUE_depth]);
		if (depth > history->deepest[i]) {
			history->deepest[i] = depth;
		}
	}
}

static uint64_t
grown(uint64_t before, uint64_t now)
{
	return now > before ? now - before : 0;
}

/* The peak since the start says exactly how deep the queue was, when it rose in this second. */
static uint64_t
take_deepest(struct history *history, const struct reading_listener *before,
	const struct reading_listener *now)
{
	uint64_t deepest = history->deepest[now->index];

	history->deepest[now->index] = 0;
	if (now->queue[STAT_QUEUE_peak] > before->queue[STAT_QUEUE_peak]) {
		deepest = now->queue[STAT_QUEUE_peak];
	}
	return deepest > now->queue[STAT_QUEUE_depth] ? deepest : now->queue[STAT_QUEUE_depth];
}

static void
history_set(struct history_listener *listener, enum column column, uint64_t number, uint64_t value)
{
	listener->points[column][number % HISTORY_POINTS] =
		value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static void
history_add_listener(struct history *history, const struct reading *before,
	const struct reading *now, const struct reading_listener *listener)
{
	const struct reading_listener *old = reading_find_listener(before, listener->name);
	struct history_listener **ring = &history->listeners[listener->index];
	uint64_t number = history->last;

	if (*ring == NULL) {
		*ring = calloc(1, sizeof(**ring));
		if (*ring == NULL) {
			return; /* tried again in a second */
		}
		(*ring)->first = number;
	}
	old = old == NULL ? listener : old;
	history_set(*ring, DEPTH, number, take_deepest(history, old, listener));
	history_set(*ring, LIMIT, number, listener->queue[STAT_QUEUE_limit]);
	history_set(*ring, ACCEPTED, number,
		(uint64_t)(reading_rate(before, now, old->sum.stats[STAT_LISTENER_accepted],
				   listener->sum.stats[STAT_LISTENER_accepted]) +
			   0.5));
	history_set(*ring, OPEN, number, listener->sum.stats[STAT_LISTENER_open]);
	history_set(*ring, DROPPED, number,
		grown(old->queue[STAT_QUEUE_dropped_segments],
			listener->queue[STAT_QUEUE_dropped_segments]));
}

void
history_add(struct history *history, const struct reading *before, const struct reading *now)
{
	history->last++;
	history->last_wall_seconds = now->wall_seconds;
	for (size_t i = 0; i < now->listener_count; i++) {
		history_add_listener(history, before, now, &now->listeners[i]);
	}
}

static void
render_listener(const struct history *history, size_t index, uint64_t from, struct json *json)
{
	const struct history_listener *listener = history->listeners[index];

	json_object_begin(json, NULL);
	json_string(json, "name", history->board->master->listeners[index].name);
	for (int column = 0; column < COLUMNS; column++) {
		json_array_begin(json, column_names[column]);
		for (uint64_t number = from; number <= history->last; number++) {
			if (number < listener->first) {
				json_null(json, NULL);
			} else {
				json_unsigned(json, NULL,
					listener->points[column][number % HISTORY_POINTS]);
			}
		}
		json_array_end(json);
	}
	json_object_end(json);
}

void
history_render(const struct history *history, uint64_t after, FILE *stream)
{
	uint64_t from = history->last > HISTORY_POINTS ? history->last - HISTORY_POINTS + 1 : 1;
	struct json json;

	/* A number of another monitor's life is no number of ours: then all there is. */
	if (after >= from && after <= history->last) {
		from = after + 1;
	}
	json_init(&json, stream);
	json_object_begin(&json, NULL);
	json_unsigned(&json, "interval_ms", 1000);
	json_unsigned(&json, "first", from);
	json_unsigned(&json, "last", history->last);
	json_signed(&json, "last_time_ms", history->last_wall_seconds * 1000);
	json_array_begin(&json, "listeners");
	for (size_t i = 0; i < BOARD_LISTENERS; i++) {
		if (history->listeners[i] != NULL) {
			render_listener(history, i, from, &json);
		}
	}
	json_array_end(&json);
	json_object_end(&json);
}
