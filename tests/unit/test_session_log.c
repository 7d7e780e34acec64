/* Files at their limit (RLIMIT_FSIZE) stand for a full disk: they take the beginning of a line too.
 */
#include "worker/session_log.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/unit/run.h"
#include "tests/unit/worker_help.h"
#include "worker/account.h"

static struct rlimit unlimited;

/* A file without a name, which the service writes. @return ours, to read it */
static int
open_log(void)
{
	char path[] = "/tmp/test_session_log.XXXXXX";
	int ours = mkstemp(path), theirs = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	ck_assert_int_ge(ours, 0);
	ck_assert_int_ge(theirs, 0);
	ck_assert_int_eq(unlink(path), 0);
	session_log_use(&room.service, theirs);
	return ours;
}

static void
room_open_logging(int *ours)
{
	ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
	room_open();
	*ours = open_log();
	room.config.session_log = true;
	room_use_config();
}

static const char *
content(int file)
{
	static char text[2 * SESSION_LOG_BUFFER_BYTES];
	ssize_t len = pread(file, text, sizeof(text) - 1, 0);

	ck_assert_int_ge(len, 0);
	text[len] = '\0';
	return text;
}

static uint64_t
lines_in(int file)
{
	const char *text = content(file);
	uint64_t count = 0;

	while ((text = strchr(text, '\n')) != NULL) {
		text++;
		count++;
	}
	return count;
}

static void
turn_away(unsigned count)
{
	union peer client = {.in4 = {.sin_family = AF_INET}};

	for (unsigned i = 0; i < count; i++) {
		ledger_turn_away(room.settings, &client, CLOSE_refused_limit);
	}
}

static void
allow_file_of(rlim_t bytes)
{
	struct rlimit limit = {.rlim_cur = bytes, .rlim_max = unlimited.rlim_max};

	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(a_connection_has_no_account_while_nobody_logs)
{
	int client;

	room_open();
	client = room_client();
	ck_assert_ptr_null(account_of(room.service.conns));
	close(client);
	room_close();
}
END_TEST

START_TEST(a_line_comes_at_the_end_of_the_turn_with_the_bytes_of_both_ways)
{
	int log, client;

	room_open_logging(&log);
	client = room_client();
	client_send(client, "hello", 5);
	client_expect(client, (const unsigned char *)"hello", 5);
	ck_assert_str_eq(content(log), "");
	close(client);
	room_turn_until(room.service.conns == NULL);
	room_turn(); /* the one in which it ended is over */
	ck_assert_uint_eq(lines_in(log), 1);
	ck_assert_ptr_nonnull(strstr(content(log), " listener=test "));
	ck_assert_ptr_nonnull(strstr(content(log), " reason=client id=0-1 "));
	ck_assert_ptr_nonnull(strstr(content(log), " received_bytes=5 sent_bytes=5\n"));
	close(log);
	room_close();
}
END_TEST

START_TEST(a_listener_can_stay_out)
{
	int log;

	room_open_logging(&log);
	room.config.session_log = false;
	room_use_config();
	turn_away(1);
	session_log_flush(&room.service);
	ck_assert_str_eq(content(log), "");
	close(log);
	room_close();
}
END_TEST

START_TEST(more_than_the_buffer_holds_is_written_within_the_turn)
{
	int log;

	room_open_logging(&log);
	turn_away(2000);
	ck_assert_uint_gt(lines_in(log), 500);
	session_log_flush(&room.service);
	ck_assert_uint_eq(room_worker_stat(STAT_WORKER_session_lines_dropped), 0);
	close(log);
	room_close();
}
END_TEST

/* One line is torn; the rest of that turn waits for room and begins on a line of its own. */
START_TEST(a_full_disk_tears_one_line_and_keeps_the_others)
{
	int log;

	room_open_logging(&log);
	allow_file_of(10);
	turn_away(3);
	session_log_flush(&room.service);
	ck_assert_uint_eq(room_worker_stat(STAT_WORKER_session_lines_dropped), 1);
	ck_assert_uint_eq(strlen(content(log)), 10);
	allow_file_of(unlimited.rlim_cur);
	session_log_flush(&room.service);
	ck_assert_uint_eq(strlen(content(log)), 10); /* not tried again at once */
	room_pass_ms(200);
	session_log_flush(&room.service);
	ck_assert_uint_eq(lines_in(log), 3); /* the torn one, and two whole ones */
	ck_assert_int_eq(strncmp(content(log) + 10, "\ntime=", 6), 0);
	ck_assert_uint_eq(room_worker_stat(STAT_WORKER_session_lines_dropped), 1);
	close(log);
	room_close();
}
END_TEST

START_TEST(what_finds_no_room_is_dropped_and_counted)
{
	int log;

	room_open_logging(&log);
	allow_file_of(1);
	turn_away(5000);
	session_log_flush(&room.service);
	ck_assert_uint_gt(room_worker_stat(STAT_WORKER_session_lines_dropped), 1000);
	allow_file_of(unlimited.rlim_cur);
	room_pass_ms(200);
	session_log_flush(&room.service);
	/* Of the torn line one byte is there, with a line break. */
	ck_assert_uint_eq(
		lines_in(log) - 1 + room_worker_stat(STAT_WORKER_session_lines_dropped), 5000);
	close(log);
	room_close();
}
END_TEST

START_TEST(another_file_gets_what_comes_after)
{
	int first, second;

	room_open_logging(&first);
	turn_away(1);
	second = open_log();
	turn_away(2);
	session_log_flush(&room.service);
	ck_assert_uint_eq(lines_in(first), 1);
	ck_assert_uint_eq(lines_in(second), 2);
	session_log_use(&room.service, -1);
	turn_away(1);
	ck_assert(!session_log_is_on(&room.service));
	ck_assert_uint_eq(lines_in(second), 2);
	ck_assert_uint_eq(room_worker_stat(STAT_WORKER_session_lines_dropped), 0);
	close(first);
	close(second);
	room_close();
}
END_TEST

START_TEST(the_end_of_a_worker_writes_what_is_left)
{
	int log;

	room_open_logging(&log);
	turn_away(1);
	room_close();
	ck_assert_uint_eq(lines_in(log), 1);
	close(log);
}
END_TEST

UNIT_TESTS("session_log", tcase_add_test(tests, a_connection_has_no_account_while_nobody_logs);
	   tcase_add_test(tests, a_line_comes_at_the_end_of_the_turn_with_the_bytes_of_both_ways);
	   tcase_add_test(tests, a_listener_can_stay_out);
	   tcase_add_test(tests, more_than_the_buffer_holds_is_written_within_the_turn);
	   tcase_add_test(tests, a_full_disk_tears_one_line_and_keeps_the_others);
	   tcase_add_test(tests, what_finds_no_room_is_dropped_and_counted);
	   tcase_add_test(tests, another_file_gets_what_comes_after);
	   tcase_add_test(tests, the_end_of_a_worker_writes_what_is_left);)
