/* Two workers that race for the last place are the classic case for a full barrier: each stores its
 * claim, then reads the other's. With anything weaker both could read the past. */
#include "worker/admission.h"

#include <string.h>

#include "worker/service.h"
#include "worker/settings.h"

#define STUCK_MS 500 /* five turns of the guard timer: stopped, or hanging in a handler */
#define TRIES    4

static void
census_add(struct census *census, const struct board_slot *slot, int64_t now_ms)
{
	int64_t progress_ms = atomic_load_explicit(&slot->progress_ms, memory_order_relaxed);

	if (atomic_load_explicit(&slot->state, memory_order_relaxed) != BOARD_WORKER_SERVING ||
		now_ms - progress_ms > STUCK_MS) {
		return;
	}
	census->serving++;
	if ((atomic_load_explicit(&slot->pause, memory_order_relaxed) & BOARD_PAUSE_DESCRIPTORS) ==
		0) {
		census->workers++;
		census->open += stat_get(&slot->stats[STAT_WORKER_open]);
	}
}

void
admission_look(const struct service *service, int board_listener, struct census *census)
{
	const struct board *board = &service->board;
	uint32_t slots = atomic_load_explicit(&board->master->slots_used, memory_order_relaxed);

	memset(census, 0, sizeof(*census));
	for (uint32_t i = 0; i < slots && i < BOARD_SLOTS; i++) {
		const struct board_slot *slot = &board->slots[i];

		census_add(census, slot, service->now_ms);
		census->claims += stat_get(&slot->claims);
		if (board_listener >= 0) {
			census->listener_claims +=
				stat_get(&slot->listeners[board_listener].claims);
		}
	}
}

static uint64_t
places_over(uint64_t claims, int64_t limit)
{
	return limit > 0 && claims > (uint64_t)limit ? claims - (uint64_t)limit : 0;
}

/* How many of the places in `census`, ours included, are too many. */
static uint64_t
census_over(const struct settings *settings, const struct census *census)
{
	uint64_t everywhere = places_over(census->claims, settings->service->max_connections);
	uint64_t here = places_over(census->listener_claims, settings->max_connections);

	return everywhere > here ? everywhere : here;
}

static void
look_at_limits(const struct settings *settings, struct census *census)
{
	admission_look(settings->service,
		settings->max_connections > 0 ? settings->board_listener : -1, census);
}

static void
publish_claim(const struct settings *settings, unsigned places)
{
	stat_add(&settings->cells->claims, places);
	stat_add(&settings->service->slot->claims, places);
	atomic_thread_fence(memory_order_seq_cst);
}

void
admission_give_back(const struct settings *settings, unsigned places)
{
	board_cell *here = &settings->cells->claims;
	board_cell *everywhere = &settings->service->slot->claims;

	stat_set(here, stat_get(here) - places);
	stat_set(everywhere, stat_get(everywhere) - places);
}

unsigned
admission_claim(const struct settings *settings, unsigned wanted, struct census *census)
{
	for (int i = 0; i < TRIES; i++) {
		uint64_t over;

		publish_claim(settings, wanted);
		look_at_limits(settings, census);
		over = census_over(settings, census);
		if (over == 0) {
			return wanted;
		}
		if (over < wanted) {
			admission_give_back(settings, (unsigned)over);
			return wanted - (unsigned)over;
		}
		admission_give_back(settings, wanted);
	}
	return 0;
}

bool
admission_has_room(const struct settings *settings)
{
	struct census census;

	look_at_limits(settings, &census);
	census.claims++;
	census.listener_claims++;
	return census_over(settings, &census) == 0;
}

static bool
is_reached(uint64_t open, int64_t limit)
{
	return limit > 0 && open >= (uint64_t)limit;
}

bool
admission_is_full(const struct settings *settings)
{
	const struct board *board = &settings->service->board;
	int slots = board_slots_used(board);
	uint64_t everywhere = 0, here = 0;

	for (int i = 0; i < slots; i++) {
		const struct board_slot *slot = &board->slots[i];

		everywhere += stat_get(&slot->stats[STAT_WORKER_open]);
		here += stat_get(
			&slot->listeners[settings->board_listener].stats[STAT_LISTENER_open]);
	}
	return is_reached(everywhere, settings->service->max_connections) ||
	       is_reached(here, settings->max_connections);
}
