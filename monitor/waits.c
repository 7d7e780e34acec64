/* The last minute is the difference to a copy that is 60 to 70 seconds old: seven copies in a ring,
 * one of which is renewed every ten seconds. */
#include "monitor/waits.h"

#include <stdlib.h>
#include <string.h>

#include "common/board.h"
#include "common/json.h"
#include "monitor/reading.h"

#define COPIES            7
#define SECONDS_OF_A_COPY 10

struct waits_past {
	struct histogram_copy copies[COPIES];
	uint64_t accepted[COPIES];
	unsigned count, next; /* how many were taken, and where the next one goes */
};

struct waits {
	const struct board *board;
	unsigned seconds;
	struct waits_past *past[BOARD_LISTENERS]; /* by index on the board; NULL: none yet */
};

void
waits_of_listener(const struct board *board, int listener, struct histogram_copy *copy)
{
	uint32_t slots = atomic_load_explicit(&board->master->slots_used, memory_order_acquire);

	memset(copy, 0, sizeof(*copy));
	for (uint32_t slot = 0; slot < slots && slot < BOARD_SLOTS; slot++) {
		histogram_merge(copy, &board->slots[slot].listeners[listener].queue_wait_ms);
	}
}

void
waits_of_worker(const struct board *board, int slot, struct histogram_copy *copy)
{
	memset(copy, 0, sizeof(*copy));
	histogram_merge(copy, &board->slots[slot].turn_us);
}

struct waits *
waits_new(const struct board *board)
{
	struct waits *waits = calloc(1, sizeof(*waits));

	if (waits != NULL) {
		waits->board = board;
	}
	return waits;
}

void
waits_free(struct waits **waits)
{
	if (*waits == NULL) {
		return;
	}
	for (size_t i = 0; i < BOARD_LISTENERS; i++) {
		free((*waits)->past[i]);
	}
	free(*waits);
	*waits = NULL;
}

static void
waits_remember(struct waits *waits, const struct reading_listener *listener)
{
	struct waits_past **past = &waits->past[listener->index];
	unsigned at;

	if (*past == NULL) {
		*past = calloc(1, sizeof(**past));
	}
	if (*past == NULL) {
		return;
	}
	at = (*past)->next;
	waits_of_listener(waits->board, listener->index, &(*past)->copies[at]);
	(*past)->accepted[at] = listener->sum.stats[STAT_LISTENER_accepted];
	(*past)->next = (at + 1) % COPIES;
	(*past)->count += (*past)->count < COPIES;
}

void
waits_tend(struct waits *waits, const struct reading *now)
{
	bool is_due = waits->seconds++ % SECONDS_OF_A_COPY == 0;

	for (size_t i = 0; i < now->listener_count; i++) {
		if (is_due || waits->past[now->listeners[i].index] == NULL) {
			waits_remember(waits, &now->listeners[i]);
		}
	}
}

static void
render_share(
	struct json *json, const char *key, const struct histogram_copy *copy, uint64_t accepted)
{
	json_object_begin(json, key);
	json_unsigned(json, "accepted", accepted);
	json_unsigned(json, "measured", copy->count);
	json_real(json, "mean_ms", histogram_mean(copy));
	json_unsigned(json, "p50_ms", histogram_percentile(copy, 50));
	json_unsigned(json, "p90_ms", histogram_percentile(copy, 90));
	json_unsigned(json, "p99_ms", histogram_percentile(copy, 99));
	json_unsigned(json, "longest_ms", histogram_percentile(copy, 100));
	json_object_end(json);
}

static void
render_listener(
	const struct waits *waits, const struct reading_listener *listener, struct json *json)
{
	const struct waits_past *past = waits->past[listener->index];
	uint64_t accepted = listener->sum.stats[STAT_LISTENER_accepted];
	struct histogram_copy copy;

	waits_of_listener(waits->board, listener->index, &copy);
	json_object_begin(json, NULL);
	json_string(json, "name", listener->name);
	render_share(json, "since_start", &copy, accepted);
	if (past != NULL) {
		unsigned oldest = past->count < COPIES ? 0 : past->next;

		histogram_subtract(&copy, &past->copies[oldest]);
		accepted -= past->accepted[oldest];
	}
	render_share(json, "last_minute", &copy, accepted);
	json_object_end(json);
}

void
waits_render(const struct waits *waits, const struct reading *now, FILE *stream)
{
	struct json json;

	json_init(&json, stream);
	json_array_begin(&json, NULL);
	for (size_t i = 0; i < now->listener_count; i++) {
		render_listener(waits, &now->listeners[i], &json);
	}
	json_array_end(&json);
}
