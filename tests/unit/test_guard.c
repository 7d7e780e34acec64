#include "worker/guard.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/board.h"
#include "common/clock.h"
#include "tests/unit/board_help.h"
#include "tests/unit/run.h"

#define WORKERS     8
#define LIMIT       5
#define CLAIMS      100000
#define WORK_MAX_MS 10000

static struct board board;
static const struct guard_limits five = {.held = LIMIT};

static void
setup(void)
{
	help_create_board(&board, 0);
	for (int slot = 0; slot < WORKERS; slot++) {
		board_open_slot(&board, slot);
		atomic_store(&board.slots[slot].progress_ms, clock_monotonic_ms());
	}
	ck_assert_int_eq(board_upstream_index(&board, "u"), 0);
	ck_assert_int_eq(board_server_index(&board, 0, "s"), 0);
}

static void
teardown(void)
{
	board_detach(&board);
}

START_TEST(a_limit_counts_all_workers)
{
	for (int i = 0; i < LIMIT; i++) {
		ck_assert(guard_take(&board, i % WORKERS, 0, &five));
	}
	ck_assert(!guard_has_room(&board, 0, &five));
	ck_assert(!guard_take(&board, 7, 0, &five));
	ck_assert_uint_eq(guard_held(&board, 0), LIMIT);
	guard_give_back(&board, 0, 0, GUARD_UNPROVEN);
	ck_assert(guard_take(&board, 7, 0, &five));
}
END_TEST

START_TEST(connects_are_paced_by_what_is_unproven)
{
	const struct guard_limits two = {.backlog = 2};

	ck_assert(guard_take(&board, 0, 0, &two) && guard_take(&board, 1, 0, &two));
	ck_assert(!guard_take(&board, 0, 0, &two));
	guard_move(&board, 1, 0, GUARD_UNPROVEN, GUARD_PROVEN);
	ck_assert(guard_take(&board, 0, 0, &two));
	ck_assert_uint_eq(guard_held(&board, 0), 3);
}
END_TEST

static void
show_queue(uint64_t depth, bool is_known)
{
	struct board_server_head *head = &board.writable->servers[0];

	stat_set(&head->queue_depth, depth);
	stat_set(&head->queue_limit, is_known ? 50 + 1 : 0);
}

static const struct {
	int unproven, settled;
	uint64_t depth;
	bool is_known, has_room; /* for one more, in a queue of 5 */
} queues[] = {
	{0, 0, 0, true, true},
	{5, 0, 0, true, false},
	{0, 100, 0, true, true}, /* long sessions of a server that accepts */
	{4, 100, 0, true, true},
	{0, 100, 4, true, true},
	{0, 100, 5, true, false}, /* it pauses */
	{0, 5, 5, true, false},
	{0, 4, 5, true, true}, /* others are in its queue, too */
	{2, 2, 50, true, true},
	{2, 3, 50, true, false},
	{2, 50, 3, true, false},
	{2, 50, 2, true, true},
	{0, 100, 5, false, true},
	{5, 100, 5, false, false},
};

START_TEST(who_settled_counts_as_far_as_the_queue_is_deep)
{
	const struct guard_limits none = {0}, queue = {.backlog = 5};

	show_queue(queues[_i].depth, queues[_i].is_known);
	for (int i = 0; i < queues[_i].unproven + queues[_i].settled; i++) {
		ck_assert(guard_take(&board, i % WORKERS, 0, &none));
		if (i >= queues[_i].unproven) {
			guard_move(&board, i % WORKERS, 0, GUARD_UNPROVEN, GUARD_SETTLED);
		}
	}
	ck_assert_int_eq(guard_has_room(&board, 0, &queue), queues[_i].has_room);
	ck_assert_int_eq(guard_take(&board, 3, 0, &queue), queues[_i].has_room);
}
END_TEST

START_TEST(who_settled_makes_room_with_the_first_byte_or_the_end)
{
	const struct guard_limits two = {.backlog = 2};

	show_queue(2, true);
	for (int slot = 0; slot < 2; slot++) {
		ck_assert(guard_take(&board, slot, 0, &two));
		guard_move(&board, slot, 0, GUARD_UNPROVEN, GUARD_SETTLED);
	}
	ck_assert(!guard_has_room(&board, 0, &two));
	guard_move(&board, 0, 0, GUARD_SETTLED, GUARD_PROVEN);
	ck_assert(guard_take(&board, 2, 0, &two));
	ck_assert(!guard_has_room(&board, 0, &two));
	guard_give_back(&board, 1, 0, GUARD_SETTLED);
	ck_assert(guard_has_room(&board, 0, &two));
	guard_give_back(&board, 0, 0, GUARD_PROVEN);
	guard_give_back(&board, 2, 0, GUARD_UNPROVEN);
	ck_assert_uint_eq(guard_held(&board, 0), 0);
	for (int slot = 0; slot < 3; slot++) {
		ck_assert_uint_eq(stat_get(&board.slots[slot].servers[0].settled), 0);
		ck_assert_uint_eq(stat_get(&board.slots[slot].servers[0].unproven), 0);
	}
}
END_TEST

static const struct {
	uint64_t sampled_ms;
	bool is_known, may_settle; /* what was connected at 1000 */
} samples[] = {
	{0, false, false}, /* nobody has looked yet */
	{999, true, false},
	{1000, true, false},
	{1000 + GUARD_HANDSHAKE_MS, true, false}, /* it may be on its way into the queue */
	{1001 + GUARD_HANDSHAKE_MS, true, true},
	{999, false, true},
	{1001, false, true},
};

START_TEST(only_a_younger_sample_lets_a_connection_settle)
{
	show_queue(0, samples[_i].is_known);
	stat_set(&board.writable->servers[0].queue_sampled_ms, samples[_i].sampled_ms);
	ck_assert_int_eq(guard_may_settle(&board, 0, 1000), samples[_i].may_settle);
}
END_TEST

START_TEST(without_limits_there_is_always_room)
{
	const struct guard_limits none = {0};

	for (int i = 0; i < 1000; i++) {
		ck_assert(guard_take(&board, i % WORKERS, 0, &none));
	}
}
END_TEST

START_TEST(the_earliest_ticket_is_first)
{
	int64_t now_ms = clock_monotonic_ms();
	uint64_t early = guard_ticket(1000, 3, 0), late = guard_ticket(1001, 1, 0);

	ck_assert_int_eq(guard_first(&board, 0, now_ms), -1);
	guard_publish(&board, 1, 0, late);
	ck_assert_int_eq(guard_first(&board, 0, now_ms), 1);
	guard_publish(&board, 3, 0, early);
	ck_assert_int_eq(guard_first(&board, 0, now_ms), 3);
	guard_publish(&board, 3, 0, 0);
	ck_assert_int_eq(guard_first(&board, 0, now_ms), 1);
}
END_TEST

START_TEST(a_worker_that_stands_still_is_passed_over)
{
	int64_t now_ms = clock_monotonic_ms();

	guard_publish(&board, 3, 0, guard_ticket(1000, 3, 0));
	guard_publish(&board, 1, 0, guard_ticket(2000, 1, 0));
	atomic_store(&board.slots[3].progress_ms, now_ms - GUARD_STALL_MS - 1);
	ck_assert_int_eq(guard_first(&board, 0, now_ms), 1);
}
END_TEST

START_TEST(tickets_of_one_instant_differ)
{
	uint64_t one = guard_ticket(1000, 3, 0);

	ck_assert_uint_gt(guard_ticket(1000, 3, one), one);
	ck_assert_int_eq(guard_ticket_ms(one), 1);
	ck_assert_uint_ne(guard_ticket(1000, 4, 0), one);
	ck_assert_uint_ne(guard_ticket(1000, 4, 0), guard_ticket(1000, 3, one));
}
END_TEST

START_TEST(burial_frees_the_places_of_the_dead)
{
	ck_assert(guard_take(&board, 2, 0, &five));
	ck_assert(guard_take(&board, 2, 0, &five));
	guard_move(&board, 2, 0, GUARD_UNPROVEN, GUARD_SETTLED);
	guard_publish(&board, 2, 0, 77);
	(void)board_bury_slot(&board, 2);
	ck_assert_uint_eq(stat_get(&board.slots[2].servers[0].unproven), 0);
	ck_assert_uint_eq(stat_get(&board.slots[2].servers[0].settled), 0);
	ck_assert_uint_eq(guard_held(&board, 0), 0);
	ck_assert_int_eq(guard_first(&board, 0, clock_monotonic_ms()), -1);
}
END_TEST

/* What the server counts, which the limit must hold for: shared by all processes. */
struct server {
	_Atomic int inside, most;
	_Atomic long served[WORKERS];
};

/* One worker: wait for our turn, take a place, be served, give it back. Turns are taken strictly,
 * so on a busy machine each waits for a certain process to get a processor: then fewer must do. */
static void
work(struct server *server, int slot, long claims)
{
	int64_t end_ms = clock_monotonic_ms() + WORK_MAX_MS;
	uint64_t ticket = 0;

	for (long i = 0; i < claims && clock_monotonic_ms() < end_ms; i++) {
		int inside, most;

		ticket = guard_ticket(clock_monotonic_us(), slot, ticket);
		guard_publish(&board, slot, 0, ticket);
		while (guard_first(&board, 0, 0) != slot || !guard_take(&board, slot, 0, &five)) {
			sched_yield();
		}
		inside = atomic_fetch_add(&server->inside, 1) + 1;
		guard_publish(&board, slot, 0, 0);
		for (most = atomic_load(&server->most);
			inside > most &&
			!atomic_compare_exchange_weak(&server->most, &most, inside);) {
		}
		if (i % 16 == 0) {
			sched_yield();
		}
		atomic_fetch_sub(&server->inside, 1);
		atomic_fetch_add(&server->served[slot], 1);
		guard_give_back(&board, slot, 0, GUARD_UNPROVEN);
	}
}

static struct server *
server_new(void)
{
	void *memory = mmap(NULL, sizeof(struct server), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert(memory != MAP_FAILED);
	return memory;
}

static pid_t
work_in_child(struct server *server, int slot, long claims)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		work(server, slot, claims);
		_exit(0);
	}
	return pid;
}

START_TEST(the_limit_is_exact_over_processes_and_everybody_is_served)
{
	struct server *server = server_new();
	pid_t pids[WORKERS];
	int status;

	for (int slot = 0; slot < WORKERS; slot++) {
		pids[slot] = work_in_child(server, slot, CLAIMS / WORKERS);
	}
	for (int slot = 0; slot < WORKERS; slot++) {
		ck_assert_int_eq(waitpid(pids[slot], &status, 0), pids[slot]);
		ck_assert_int_eq(status, 0);
		ck_assert_int_gt(server->served[slot], 0);
	}
	ck_assert_int_le(server->most, LIMIT);
	ck_assert_uint_eq(guard_held(&board, 0), 0);
}
END_TEST

START_TEST(a_killed_worker_costs_no_place)
{
	struct server *server = server_new();
	pid_t victim = work_in_child(server, 0, 1L << 40);
	pid_t others[] = {work_in_child(server, 1, 20000), work_in_child(server, 2, 20000)};
	int status;

	while (atomic_load(&server->served[0]) < 100) {
		sched_yield();
	}
	ck_assert_int_eq(kill(victim, SIGKILL), 0);
	ck_assert_int_eq(waitpid(victim, &status, 0), victim);
	(void)board_bury_slot(&board, 0); /* else its ticket would hold up the others for ever */
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		ck_assert_int_eq(waitpid(others[i], &status, 0), others[i]);
		ck_assert_int_eq(status, 0);
	}
	for (int i = 0; i < LIMIT; i++) {
		ck_assert(guard_take(&board, 3, 0, &five));
	}
	ck_assert(!guard_take(&board, 3, 0, &five));
}
END_TEST

UNIT_TESTS("guard", tcase_add_checked_fixture(tests, setup, teardown); tcase_set_timeout(tests, 60);
	   tcase_add_test(tests, a_limit_counts_all_workers);
	   tcase_add_test(tests, connects_are_paced_by_what_is_unproven); tcase_add_loop_test(
		   tests, who_settled_counts_as_far_as_the_queue_is_deep, 0, ARRAY_LEN(queues));
	   tcase_add_test(tests, who_settled_makes_room_with_the_first_byte_or_the_end);
	   tcase_add_loop_test(
		   tests, only_a_younger_sample_lets_a_connection_settle, 0, ARRAY_LEN(samples));
	   tcase_add_test(tests, without_limits_there_is_always_room);
	   tcase_add_test(tests, the_earliest_ticket_is_first);
	   tcase_add_test(tests, a_worker_that_stands_still_is_passed_over);
	   tcase_add_test(tests, tickets_of_one_instant_differ);
	   tcase_add_test(tests, burial_frees_the_places_of_the_dead);
	   tcase_add_test(tests, the_limit_is_exact_over_processes_and_everybody_is_served);
	   tcase_add_test(tests, a_killed_worker_costs_no_place);)
