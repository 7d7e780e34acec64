#include "worker/source_gate.h"

#include "tests/unit/run.h"
#include "tests/unit/source_help.h"
#include "tests/unit/worker_help.h"

/* A connection from an address; the client's end is of no interest. */
static void
visit(const char *address)
{
	union peer peer = help_peer(address);
	struct census census;
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	ck_assert_uint_eq(admission_claim(room.settings, 1, &census), 1);
	ck_assert_int_eq(conn_open(room.settings, ends[0], &peer, -1), 0);
	close(ends[1]);
}

static uint64_t
open_of(const char *address)
{
	struct source source = help_source(&room.board, address, 0);
	struct source_sum sum;
	struct sources all;

	board_sources(&room.board, -1, &all);
	sources_sum(&all, &source, room.service.now_ms, &sum);
	return sum.open;
}

static void
limit(int64_t connections, int64_t per_second)
{
	room.config.max_connections_per_source = connections;
	room.config.connection_rate_per_source = per_second;
	room_use_config();
}

START_TEST(without_limits_no_table_is_touched)
{
	room_open();
	visit("192.0.2.7");
	ck_assert_uint_eq(open_of("192.0.2.7"), 0);
	ck_assert_uint_eq(stat_get(&room.service.slot->has_sources), 0);
	room_close();
}
END_TEST

static const struct {
	int64_t connections, per_second;
	enum close_reason reason;
} limits[] = {
	{2, 0, CLOSE_source_limit},
	{0, 2, CLOSE_source_rate},
	{2, 3, CLOSE_source_limit},
	{3, 2, CLOSE_source_rate},
	{2, 2, CLOSE_source_limit},
};

START_TEST(each_refusal_has_its_reason)
{
	room_open();
	limit(limits[_i].connections, limits[_i].per_second);
	visit("192.0.2.7");
	visit("::ffff:192.0.2.7");
	visit("192.0.2.7");
	visit("192.0.2.8");
	ck_assert_uint_eq(room_closed(limits[_i].reason), 1);
	ck_assert_uint_eq(room_stat(STAT_LISTENER_open), 3);
	ck_assert_uint_eq(open_of("192.0.2.7"), 2);
	room_close();
}
END_TEST

START_TEST(who_ends_is_counted_no_more)
{
	room_open();
	limit(2, 0);
	for (int i = 0; i < 100; i++) {
		visit("2001:db8::1");
		visit("2001:db8::2");
		visit("2001:db8::3");
		ck_assert_uint_eq(open_of("2001:db8::"), 2);
		conn_close(room.service.conns, CLOSE_client);
		conn_close(room.service.conns, CLOSE_idle);
		ck_assert_uint_eq(open_of("2001:db8::"), 0);
	}
	ck_assert_uint_eq(room_closed(CLOSE_source_limit), 100);
	room_close();
}
END_TEST

START_TEST(unix_clients_have_no_limit)
{
	room_open();
	limit(1, 1);
	for (int i = 0; i < 10; i++) {
		visit("unix");
	}
	ck_assert_uint_eq(room_stat(STAT_LISTENER_open), 10);
	room_close();
}
END_TEST

START_TEST(without_room_in_the_table_clients_are_let_in_and_counted)
{
	char address[64];

	room_open();
	board_set_source_table(&room.board, 1);
	limit(1, 0);
	for (int i = 0; i < SOURCES_WAYS + 3; i++) {
		(void)snprintf(address, sizeof(address), "192.0.2.%d", i);
		visit(address);
	}
	ck_assert_uint_eq(room_worker_stat(STAT_WORKER_sources_untracked), 3);
	ck_assert_uint_eq(room_stat(STAT_LISTENER_open), SOURCES_WAYS + 3);
	while (room.service.conns != NULL) { /* those that were not counted too */
		conn_close(room.service.conns, CLOSE_client);
	}
	room_close();
}
END_TEST

START_TEST(a_limit_that_comes_later_counts_who_is_there)
{
	room_open();
	for (int i = 0; i < 3; i++) {
		visit("192.0.2.7");
	}
	visit("unix");
	limit(4, 0);
	source_gate_count_open(&room.service, room.settings);
	source_gate_count_open(&room.service, room.settings);
	ck_assert_uint_eq(open_of("192.0.2.7"), 3);
	visit("192.0.2.7");
	visit("192.0.2.7");
	ck_assert_uint_eq(room_closed(CLOSE_source_limit), 1);
	limit(0, 0); /* those that were counted stay so until they end */
	visit("192.0.2.7");
	ck_assert_uint_eq(open_of("192.0.2.7"), 4);
	while (room.service.conns != NULL) {
		conn_close(room.service.conns, CLOSE_client);
	}
	ck_assert_uint_eq(open_of("192.0.2.7"), 0);
	room_close();
}
END_TEST

START_TEST(a_penalised_source_is_refused_with_or_without_limits)
{
	struct source source;

	room_open();
	source = help_source(&room.board, "192.0.2.7", 0);
	board_penalise(&room.board, &source, room.service.now_ms + 1000);
	visit("192.0.2.7");
	visit("192.0.2.8");
	limit(1, 1);
	visit("192.0.2.7");
	ck_assert_uint_eq(room_closed(CLOSE_source_penalty), 2);
	ck_assert_uint_eq(room_stat(STAT_LISTENER_open), 1);
	room_pass_ms(1000);
	visit("192.0.2.7");
	ck_assert_uint_eq(room_stat(STAT_LISTENER_open), 2);
	room_close();
}
END_TEST

UNIT_TESTS("source_gate", tcase_add_test(tests, without_limits_no_table_is_touched);
	   tcase_add_loop_test(tests, each_refusal_has_its_reason, 0, ARRAY_LEN(limits));
	   tcase_add_test(tests, who_ends_is_counted_no_more);
	   tcase_add_test(tests, unix_clients_have_no_limit);
	   tcase_add_test(tests, without_room_in_the_table_clients_are_let_in_and_counted);
	   tcase_add_test(tests, a_limit_that_comes_later_counts_who_is_there);
	   tcase_add_test(tests, a_penalised_source_is_refused_with_or_without_limits);)
