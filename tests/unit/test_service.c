#include "worker/service.h"

#include "tests/unit/run.h"
#include "tests/unit/worker_help.h"

static unsigned expired;

static void
note_expiry(struct deadline *deadline)
{
	(void)deadline;
	expired++;
}

START_TEST(what_is_due_sooner_is_not_slept_over)
{
	static const int64_t lengths_ms[] = {60, 30, 1};
	struct deadline_list *lists[ARRAY_LEN(lengths_ms)];
	struct deadline deadlines[ARRAY_LEN(lengths_ms)] = {{0}};
	struct service *service = &room.service;

	room_open();
	expired = 0;
	for (size_t i = 0; i < ARRAY_LEN(lengths_ms); i++) {
		room_turn_at_once();
		lists[i] = deadlines_open_list(&service->deadlines, lengths_ms[i], note_expiry);
		deadline_set(&service->deadlines, &deadlines[i], lists[i], service->now_ms);
		room_turn_at_once();
		ck_assert(service->alarm_ms == INT64_MAX /* it has rung */ ||
			  service->alarm_ms <= deadlines[i].expires_ms);
	}
	room_turn_until(expired == ARRAY_LEN(lengths_ms));
	for (size_t i = 0; i < ARRAY_LEN(lengths_ms); i++) {
		ck_assert_int_ge(service->now_ms, deadlines[i].expires_ms);
		deadlines_close_list(&service->deadlines, &lists[i]);
	}
	room_close();
}
END_TEST

/* And yet the guard looks in time, which each turn may put off. */
START_TEST(an_alarm_is_set_anew_when_it_has_rung_or_the_guard_has_looked)
{
	struct service *service = &room.service;

	room_open();
	room_turn();
	for (int64_t end_ms = service->now_ms + 5 * SERVICE_GUARD_MS; service->now_ms < end_ms;) {
		int64_t alarm_ms = service->alarm_ms, guard_ms = service->next_guard_ms;

		room_turn_at_once();
		if (service->next_guard_ms != guard_ms) {
			room_turn_at_once();
			ck_assert_int_eq(service->alarm_ms, service->next_guard_ms);
			continue;
		}
		/* The loop reads the clock a moment after us: in the next millisecond, perhaps. */
		ck_assert(alarm_ms == INT64_MAX || service->alarm_ms == alarm_ms ||
			  service->now_ms >= alarm_ms - 1);
		ck_assert_int_gt(service->next_guard_ms, service->now_ms);
	}
	room_close();
}
END_TEST

START_TEST(each_turn_is_counted_and_shown)
{
	struct service *service = &room.service;
	uint64_t turns;

	room_open();
	turns = room_worker_stat(STAT_WORKER_turns);
	for (int i = 0; i < 10; i++) {
		room_turn_at_once();
		ck_assert_int_eq(atomic_load(&service->slot->progress_ms), service->now_ms);
	}
	ck_assert_uint_eq(room_worker_stat(STAT_WORKER_turns), turns + 10);
	room_close();
}
END_TEST

UNIT_TESTS("service", tcase_add_test(tests, what_is_due_sooner_is_not_slept_over);
	   tcase_add_test(tests, an_alarm_is_set_anew_when_it_has_rung_or_the_guard_has_looked);
	   tcase_add_test(tests, each_turn_is_counted_and_shown);)
