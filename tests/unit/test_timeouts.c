#include "worker/timeouts.h"

#include "tests/unit/run.h"
#include "tests/unit/worker_help.h"

#define IDLE_MS 1000

/* An idle client, without keepalive. */
static struct conn *
begin(int *client)
{
	room_open();
	room.config.idle_timeout_ms = IDLE_MS;
	room.config.keepalive.idle_ms = CONFIG_NONE;
	room_use_config();
	*client = room_client();
	return room.service.conns;
}

/* It is idle since now. */
static void
expect_idle_from_now(int client)
{
	room_pass_ms(IDLE_MS - 1);
	ck_assert_ptr_nonnull(room.service.conns);
	room_pass_ms(1);
	ck_assert_ptr_null(room.service.conns);
	ck_assert_uint_eq(room_closed(CLOSE_idle), 1);
	close(client);
	room_close();
}

START_TEST(the_idle_time_begins_anew_with_each_message)
{
	int client;
	struct conn *conn = begin(&client);

	for (int message = 0; message < 20; message++) {
		timeouts_on_activity(conn);
		timeouts_on_activity(conn); /* in the same millisecond */
		room_pass_ms(message % 3);
	}
	timeouts_on_activity(conn);
	expect_idle_from_now(client);
}
END_TEST

/* For whatever it was waited before, and if that would end at the same moment. */
START_TEST(who_has_taken_all_is_idle_from_then_on)
{
	int client;
	struct conn *conn = begin(&client);
	int64_t writing_ms;

	timeouts_on_activity(conn);
	ck_assert_int_eq(output_append(&conn->pending, "x", 1, 1, room.service.now_ms), 0);
	timeouts_on_writing(conn);
	writing_ms = conn->activity.expires_ms - room.service.now_ms;
	ck_assert_int_gt(writing_ms, IDLE_MS);
	room_pass_ms(writing_ms - IDLE_MS);
	output_free(&conn->pending);
	timeouts_on_activity(conn);
	expect_idle_from_now(client);
}
END_TEST

UNIT_TESTS("timeouts", tcase_add_test(tests, the_idle_time_begins_anew_with_each_message);
	   tcase_add_test(tests, who_has_taken_all_is_idle_from_then_on);)
