#include "worker/admission.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/unit/run.h"
#include "tests/unit/worker_help.h"

#define HERE 1 /* a slot of another worker */

static void
other_worker(int slot, uint32_t state, uint32_t pause, uint64_t open, int64_t silent_ms)
{
	struct board_slot *other = &room.service.board.slots[slot];

	board_open_slot(&room.board, slot);
	atomic_store(&other->state, state);
	atomic_store(&other->pause, pause);
	atomic_store(&other->progress_ms, room.service.now_ms - silent_ms);
	stat_set(&other->stats[STAT_WORKER_open], open);
	stat_set(&other->claims, open);
	stat_set(&other->listeners[0].claims, open);
}

static unsigned
claim(unsigned wanted)
{
	struct census census;

	return admission_claim(room.settings, wanted, &census);
}

START_TEST(the_census_leaves_out_who_cannot_take_clients)
{
	struct census census;

	room_open();
	other_worker(1, BOARD_WORKER_SERVING, 0, 10, 0);
	other_worker(2, BOARD_WORKER_SERVING, BOARD_PAUSE_BALANCE, 20, 499);
	other_worker(3, BOARD_WORKER_SERVING, BOARD_PAUSE_DESCRIPTORS, 40, 0);
	other_worker(4, BOARD_WORKER_DRAINING, 0, 80, 0);
	other_worker(5, BOARD_WORKER_SERVING, 0, 160, 501);
	other_worker(6, BOARD_WORKER_EMPTY, 0, 0, 0);
	other_worker(7, BOARD_WORKER_STARTING, 0, 0, 0);
	admission_look(&room.service, 0, &census);
	ck_assert_uint_eq(census.open, 0 + 10 + 20);
	ck_assert_uint_eq(census.workers, 3);
	ck_assert_uint_eq(census.serving, 4);
	ck_assert_uint_eq(census.claims, 10 + 20 + 40 + 80 + 160);
	ck_assert_uint_eq(census.listener_claims, census.claims);
	admission_look(&room.service, -1, &census);
	ck_assert_uint_eq(census.listener_claims, 0);
	room_close();
}
END_TEST

static const struct {
	int64_t everywhere, here; /* limits */
	uint64_t others;
	unsigned wanted, granted;
} rows[] = {
	{0, 0, 1000000, 16, 16},
	{100, 0, 99, 1, 1},
	{100, 0, 100, 1, 0},
	{100, 0, 90, 16, 10},
	{0, 100, 90, 16, 10},
	{100, 95, 90, 16, 5},
	{95, 100, 90, 16, 5},
	{100, 100, 200, 16, 0},
	{1, 0, 0, 16, 1},
};

START_TEST(no_more_is_granted_than_the_narrower_limit_leaves)
{
	room_open();
	other_worker(HERE, BOARD_WORKER_SERVING, 0, rows[_i].others, 0);
	room.service.max_connections = rows[_i].everywhere;
	room.config.max_connections = rows[_i].here;
	room_use_config();
	ck_assert_int_eq(admission_has_room(room.settings), rows[_i].granted > 0);
	ck_assert_uint_eq(claim(rows[_i].wanted), rows[_i].granted);
	ck_assert_uint_eq(stat_get(&room.service.slot->claims), rows[_i].granted);
	ck_assert_uint_eq(stat_get(&room.service.slot->listeners[0].claims), rows[_i].granted);
	admission_give_back(room.settings, rows[_i].granted);
	ck_assert_uint_eq(stat_get(&room.service.slot->claims), 0);
	room_close();
}
END_TEST

START_TEST(a_dead_workers_places_count_until_it_is_buried)
{
	room_open();
	room.service.max_connections = 10;
	other_worker(HERE, BOARD_WORKER_SERVING, 0, 10, 5000);
	ck_assert_uint_eq(claim(1), 0);
	(void)board_bury_slot(&room.board, HERE);
	ck_assert_uint_eq(claim(1), 1);
	admission_give_back(room.settings, 1);
	room_close();
}
END_TEST

#define RACERS 4
#define PLACES 3
#define LAPS   20000

struct race {
	_Atomic int inside, most, entered;
};

/* One worker in a slot of its own, on the board all share. */
static NORETURN void
race(int slot, struct race *shared)
{
	room.service.slot_index = slot;
	room.service.slot = &room.service.board.slots[slot];
	room.settings->cells = &room.service.slot->listeners[0];
	for (int lap = 0; lap < LAPS; lap++) {
		if (claim(1) == 1) {
			int inside = atomic_fetch_add(&shared->inside, 1) + 1;
			int most = atomic_load(&shared->most);

			while (inside > most &&
				!atomic_compare_exchange_weak(&shared->most, &most, inside)) {
			}
			atomic_fetch_add(&shared->entered, 1);
			atomic_fetch_sub(&shared->inside, 1);
			admission_give_back(room.settings, 1);
		}
	}
	_exit(0);
}

START_TEST(racing_workers_never_exceed_a_limit)
{
	struct race *shared = mmap(
		NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(shared, MAP_FAILED);
	room_open();
	room.config.max_connections = PLACES;
	room_use_config();
	board_open_slot(&room.board, RACERS);
	for (int slot = 0; slot < RACERS; slot++) {
		if (fork() == 0) {
			race(slot, shared);
		}
	}
	for (int i = 0; i < RACERS; i++) {
		int status;

		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_int_le(atomic_load(&shared->most), PLACES);
	ck_assert_int_gt(atomic_load(&shared->entered), LAPS);
	ck_assert_int_eq(atomic_load(&shared->inside), 0);
	room_close();
}
END_TEST

UNIT_TESTS("admission", tcase_add_test(tests, the_census_leaves_out_who_cannot_take_clients);
	   tcase_add_loop_test(
		   tests, no_more_is_granted_than_the_narrower_limit_leaves, 0, ARRAY_LEN(rows));
	   tcase_add_test(tests, a_dead_workers_places_count_until_it_is_buried);
	   tcase_add_test(tests, racing_workers_never_exceed_a_limit);)
