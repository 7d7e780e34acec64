/* Workers come, learn, go: starts, reloads, sizes, sockets, stops. */
#include "master/fleet.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "common/defs.h"
#include "master/master.h"
#include "tests/unit/fleet_stage.h"
#include "tests/unit/run.h"

START_TEST(fleet_starts_settles_and_drains)
{
	stage_open(3, "");
	STAGE_WAIT(stage.settled > 0);
	ck_assert_str_eq(stage.failure, "");
	ck_assert_uint_eq(fleet_serving(stage.master.fleet), 3);
	ck_assert_uint_eq(fleet_wanted(stage.master.fleet), 3);
	for (int slot = 0; slot < 3; slot++) {
		ck_assert_uint_eq(
			stat_get(&stage.master.board.slots[slot].stats[STAT_WORKER_starts]), 1);
	}
	fleet_drain(stage.master.fleet, 5000, stage_on_gone);
	STAGE_WAIT(stage.gone > 0);
	ck_assert_uint_eq(stage.settled, 1);
	ck_assert_uint_eq(stage_log_count("has finished"), 3);
	ck_assert(!stage_log_has("error:"));
	stage_close();
}
END_TEST

START_TEST(fleet_gives_up_on_a_start_after_a_burst_of_failures_and_goes_on_trying)
{
	const board_cell *starts;
	uint64_t before;

	stage_open(2, "1:exit");
	STAGE_WAIT(stage.settled > 0);
	ck_assert_ptr_nonnull(strstr(stage.failure, "worker 1 (pid "));
	ck_assert_ptr_nonnull(strstr(stage.failure, ") exited with status 78 after "));
	ck_assert_ptr_nonnull(strstr(stage.failure, ", before it served; restarting in "));
	ck_assert_ptr_nonnull(
		strstr(stage.failure, "; failure 5 in a row; 3 before it not logged"));
	STAGE_WAIT(fleet_serving(stage.master.fleet) == 1);
	starts = &stage.master.board.slots[1].stats[STAT_WORKER_starts];
	before = stat_get(starts);
	stage_reload("");
	(void)ev_run(stage.master.loop, EVRUN_NOWAIT);
	/* A new configuration is tried at once, although the wait was at least 640 ms. */
	ck_assert_uint_eq(stat_get(starts), before + 1);
	STAGE_WAIT(fleet_serving(stage.master.fleet) == 2);
	stage_close();
}
END_TEST

START_TEST(fleet_says_what_a_worker_refused_at_the_start)
{
	stage_open(1, "refuse");
	STAGE_WAIT(stage.settled > 0);
	ck_assert_ptr_nonnull(strstr(stage.failure,
		", before it served (refused its configuration); it said: no such\\x0athing; "));
	stage_close();
}
END_TEST

START_TEST(fleet_keeps_workers_that_all_refuse_a_configuration)
{
	stage_open(3, "");
	STAGE_WAIT(stage.settled == 1);
	stage_reload("refuse");
	STAGE_WAIT(stage.settled == 2);
	ck_assert_str_eq(stage.failure, "no worker could take configuration 2: no such\\x0athing");
	ck_assert_uint_eq(stage_log_count("cannot take configuration 2: no such\\x0athing"), 3);
	STAGE_WAIT(stage_stat(STAT_MASTER_worker_crashes) > 1); /* one was replaced, for a try */
	ck_assert_int_eq(kill(stage_pid(0), 0), 0);
	ck_assert_int_eq(kill(stage_pid(1), 0), 0);
	ck_assert_uint_le(fleet_oldest_generation(stage.master.fleet), 1);
	stage_reload("");
	STAGE_WAIT(fleet_serving(stage.master.fleet) == 3);
	STAGE_WAIT(fleet_oldest_generation(stage.master.fleet) == stage.master.generation);
	stage_close();
}
END_TEST

START_TEST(fleet_replaces_the_one_that_refuses_what_others_take)
{
	pid_t pid;

	stage_open(3, "");
	STAGE_WAIT(stage.settled == 1);
	pid = stage_pid(1);
	stage_reload("1:object");
	STAGE_WAIT(stage.settled == 2);
	ck_assert_str_eq(stage.failure, "");
	ck_assert_uint_eq(fleet_serving(stage.master.fleet), 3);
	STAGE_WAIT(kill(pid, 0) != 0);
	ck_assert_uint_eq(stage_stat(STAT_MASTER_worker_crashes), 0);
	stage_close();
}
END_TEST

START_TEST(fleet_grows_and_shrinks)
{
	stage_open(1, "");
	STAGE_WAIT(stage.settled > 0);
	fleet_resize(stage.master.fleet, 4);
	STAGE_WAIT(fleet_serving(stage.master.fleet) == 4);
	fleet_resize(stage.master.fleet, 2);
	STAGE_WAIT(stage_log_count("has finished") == 2);
	ck_assert_uint_eq(fleet_serving(stage.master.fleet), 2);
	ck_assert(stage_log_has("slot 3: ready -> draining"));
	ck_assert(stage_log_has("slot 2: ready -> draining"));
	stage_close();
}
END_TEST

START_TEST(fleet_kills_who_stays_after_the_drain_timeout)
{
	stage_open(1, "stay");
	STAGE_WAIT(stage.settled > 0);
	fleet_drain(stage.master.fleet, 100, stage_on_gone);
	STAGE_WAIT(stage.gone > 0);
	ck_assert(stage_log_has("killed by SIGKILL"));
	ck_assert(stage_log_has("(drain timeout)"));
	ck_assert_uint_eq(stage_stat(STAT_MASTER_worker_crashes), 0);
	stage_close();
}
END_TEST

START_TEST(fleet_takes_a_retired_socket_back_from_all_also_from_the_newborn)
{
	stage_open(2, "");
	STAGE_WAIT(stage.settled == 1);
	ck_assert(fleet_holds_socket(stage.master.fleet, STAGE_SOCKET));
	stage.sockets[0].is_retiring = true;
	stage_reload("keep");
	STAGE_WAIT(stage.settled == 2);
	fleet_release_socket(stage.master.fleet, STAGE_SOCKET);
	ck_assert_int_eq(kill(stage_pid(0), SIGKILL), 0); /* one dies with it */
	STAGE_WAIT(fleet_serving(stage.master.fleet) == 1);
	stage_reload("");
	STAGE_WAIT(stage.settled == 3);
	ck_assert(fleet_holds_socket(stage.master.fleet, STAGE_SOCKET)); /* the other keeps it */
	ck_assert_int_eq(kill(stage_pid(1), SIGKILL), 0);
	STAGE_WAIT(!fleet_holds_socket(stage.master.fleet, STAGE_SOCKET));
	stage_close();
}
END_TEST

START_TEST(fleet_replaces_a_worker_that_keeps_a_retired_socket)
{
	stage_open(1, "");
	STAGE_WAIT(stage.settled == 1);
	stage.sockets[0].is_retiring = true;
	stage_reload("keep");
	STAGE_WAIT(stage.settled == 2);
	fleet_release_socket(stage.master.fleet, STAGE_SOCKET);
	STAGE_WAIT(stage_log_has("(no answer)"));
	stage_configure("");
	STAGE_WAIT(!fleet_holds_socket(stage.master.fleet, STAGE_SOCKET));
	stage_close();
}
END_TEST

START_TEST(fleet_replaces_at_once_a_worker_that_drains_of_its_own_accord)
{
	pid_t pid;

	stage_open(1, "stay");
	STAGE_WAIT(stage.settled == 1);
	pid = stage_pid(0);
	atomic_store(&stage.master.board.slots[0].state, BOARD_WORKER_DRAINING);
	STAGE_WAIT(stage_log_has("worker 1 (pid "));
	STAGE_WAIT(fleet_serving(stage.master.fleet) == 1);
	ck_assert_int_eq(kill(pid, 0), 0);
	ck_assert(stage_log_has("worker 0 (pid %d) drains without being asked", (int)pid));
	stage_close();
}
END_TEST

static void
add_tests(TCase *tests)
{
	tcase_add_test(tests, fleet_starts_settles_and_drains);
	tcase_add_test(
		tests, fleet_gives_up_on_a_start_after_a_burst_of_failures_and_goes_on_trying);
	tcase_add_test(tests, fleet_says_what_a_worker_refused_at_the_start);
	tcase_add_test(tests, fleet_keeps_workers_that_all_refuse_a_configuration);
	tcase_add_test(tests, fleet_replaces_the_one_that_refuses_what_others_take);
	tcase_add_test(tests, fleet_grows_and_shrinks);
	tcase_add_test(tests, fleet_kills_who_stays_after_the_drain_timeout);
	tcase_add_test(tests, fleet_takes_a_retired_socket_back_from_all_also_from_the_newborn);
	tcase_add_test(tests, fleet_replaces_a_worker_that_keeps_a_retired_socket);
	tcase_add_test(tests, fleet_replaces_at_once_a_worker_that_drains_of_its_own_accord);
}

UNIT_TESTS("fleet", add_tests(tests);)
