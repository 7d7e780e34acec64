/* The counters tell that somebody was refused; only then are the tables searched for whom. */
#include "master/refusals_watch.h"

#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/text.h"
#include "master/master.h"
#include "master/refusals.h"

#define SAY_AGAIN_MS       10000
#define UNTRACKED_AGAIN_MS 60000
#define PERIOD_MS          1000
#define SENTENCE_MAX       500

static uint64_t
count_refused(const struct master *master, int listener, enum close_reason reason)
{
	uint64_t count = 0;

	for (int slot = 0; slot < board_slots_used(&master->board); slot++) {
		count += stat_get(&master->board.slots[slot].listeners[listener].closed[reason]);
	}
	return count;
}

/* --- the worst --- */

struct search {
	int listener;
	int64_t now_ms;
	struct source found; /* in one table */
	uint64_t refused;
};

static void
search_visit(const struct source *source, const struct source_sum *part, void *arg)
{
	struct search *search = arg;
	uint64_t refused = source_refused(part, search->now_ms);

	if (source->listener == search->listener && refused > search->refused) {
		search->found = *source;
		search->refused = refused;
	}
}

/* The worst of each worker, looked up in all: who is refused most is so by at least one of them.
 * @return false: nobody was refused lately */
static bool
find_worst(const struct master *master, int listener, int64_t now_ms, struct source *worst,
	struct refusals *refusals)
{
	struct sources all;

	board_sources(&master->board, -1, &all);
	for (int slot = 0; slot < all.slots; slot++) {
		struct search search = {.listener = listener, .now_ms = now_ms};
		struct source_sum sum;

		if (stat_get(&master->board.slots[slot].has_sources) == 0) {
			continue;
		}
		sources_visit(&all, slot, now_ms, search_visit, &search);
		sources_sum(&all, &search.found, now_ms, &sum);
		if (search.refused > 0 && source_refused(&sum, now_ms) > refusals->worst_refused) {
			*worst = search.found;
			refusals->worst = worst;
			refusals->worst_refused = source_refused(&sum, now_ms);
			refusals->worst_open = sum.open;
		}
	}
	return refusals->worst != NULL;
}

/* --- saying --- */

static void
say_refused(struct master *master, int listener, struct refusals *refusals, int64_t now_ms)
{
	const struct listener_config *config;
	char sentence[SENTENCE_MAX];
	struct source worst;
	struct text text;

	refusals->listener = master->board.master->listeners[listener].name;
	config = config_listener(master->config, refusals->listener);
	if (config != NULL) {
		refusals->max_connections_per_source = config->max_connections_per_source;
		refusals->connection_rate_per_source = config->connection_rate_per_source;
	}
	if (refusals->clients[REFUSAL_SOURCE_LIMIT] + refusals->clients[REFUSAL_SOURCE_RATE] > 0) {
		(void)find_worst(master, listener, now_ms, &worst, refusals);
	}
	text_init(&text, sentence, sizeof(sentence));
	refusals_write(refusals, &text);
	master_event(master, LOG_LEVEL_WARNING, "%s", sentence);
}

/* Of the reasons from `first` on, up to `end`. */
static void
say_growth(struct refusals_watch *watch, struct master *master, int listener, enum refusal first,
	enum refusal end, const uint64_t count[REFUSAL_COUNT], int64_t now_ms)
{
	const uint64_t *seen = watch->listeners[listener].seen;
	struct refusals refusals = {.duration_ms = now_ms - watch->listeners[listener].moved_ms};
	uint64_t growth = 0;

	for (size_t i = first; i < end; i++) {
		refusals.clients[i] = count[i] - seen[i];
		growth += refusals.clients[i];
	}
	if (growth > 0) {
		say_refused(master, listener, &refusals, now_ms);
	}
}

static void
look_at_listener(struct refusals_watch *watch, struct master *master, int listener, int64_t now_ms)
{
	uint64_t count[REFUSAL_COUNT], *seen = watch->listeners[listener].seen;
	uint64_t suppressed;

	for (size_t i = 0; i < REFUSAL_COUNT; i++) {
		count[i] = count_refused(master, listener, refusal_close_reason((enum refusal)i));
	}
	if (memcmp(count, seen, sizeof(count)) == 0) {
		return;
	}
	if (watch->listeners[listener].moved_ms == 0) {
		watch->listeners[listener].moved_ms = now_ms - PERIOD_MS;
	}
	if (!log_limit_allows_at(
		    &watch->listeners[listener].limit, now_ms, SAY_AGAIN_MS, &suppressed)) {
		return;
	}
	say_growth(watch, master, listener, REFUSAL_SOURCE_LIMIT, REFUSAL_LIMIT, count, now_ms);
	say_growth(watch, master, listener, REFUSAL_LIMIT, REFUSAL_COUNT, count, now_ms);
	memcpy(seen, count, sizeof(count));
	watch->listeners[listener].moved_ms = 0;
}

static uint64_t
count_untracked(const struct master *master)
{
	uint64_t count = 0;

	for (int slot = 0; slot < board_slots_used(&master->board); slot++) {
		count += stat_get(&master->board.slots[slot].stats[STAT_WORKER_sources_untracked]);
	}
	return count;
}

static void
look_for_untracked(struct refusals_watch *watch, struct master *master, int64_t now_ms)
{
	uint64_t count = count_untracked(master), suppressed;

	if (count == watch->untracked_seen || !log_limit_allows_at(&watch->untracked_limit, now_ms,
						      UNTRACKED_AGAIN_MS, &suppressed)) {
		return;
	}
	master_event(master, LOG_LEVEL_WARNING,
		"%" PRIu64 " clients were let in without being counted by their source: the "
		"workers' tables have no room, so that the limits by source do not hold for them; "
		"raise source_table (%" PRId64 ") and restart",
		count - watch->untracked_seen, master->config->source_table);
	watch->untracked_seen = count;
}

static bool
is_used(const struct master *master, int listener)
{
	return listener < BOARD_LISTENERS &&
	       atomic_load_explicit(&master->board.writable->listeners[listener].is_used,
		       memory_order_relaxed) != 0;
}

void
refusals_watch_start(struct refusals_watch *watch, const struct master *master)
{
	for (int i = 0; is_used(master, i); i++) {
		for (size_t k = 0; k < REFUSAL_COUNT; k++) {
			watch->listeners[i].seen[k] =
				count_refused(master, i, refusal_close_reason((enum refusal)k));
		}
	}
	watch->untracked_seen = count_untracked(master);
}

void
refusals_watch_second(struct refusals_watch *watch, struct master *master)
{
	int64_t now_ms = clock_monotonic_ms();

	for (int i = 0; is_used(master, i); i++) {
		look_at_listener(watch, master, i, now_ms);
	}
	look_for_untracked(watch, master, now_ms);
}
