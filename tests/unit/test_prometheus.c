#include "monitor/prometheus.h"

#include <inttypes.h>
#include <string.h>

#include "common/board.h"
#include "monitor/reading.h"
#include "monitor/states.h"
#include "tests/unit/board_help.h"
#include "tests/unit/run.h"

static struct board board;
static struct reading reading;
static struct states states;
static char *printed;
static size_t printed_len;

static void
begin(const char *first, const char *second)
{
	help_create_board(&board, 0);
	ck_assert_int_eq(board_listener_index(&board, first), 0);
	ck_assert_int_eq(board_listener_index(&board, second), 1);
	board_open_slot(&board, 0);
	board_open_slot(&board, 1);
}

static const char *
print(void)
{
	FILE *stream = open_memstream(&printed, &printed_len);

	reading_take(&board, &reading);
	prometheus_print(&reading, &board, stream);
	prometheus_print_states(&states, 1234, stream);
	fclose(stream);
	return printed;
}

static void
end(void)
{
	free(printed);
	board_detach(&board);
}

/* A whole line. */
static bool
has_line(const char *text, const char *line)
{
	size_t len = strlen(line);

	for (const char *at = strstr(text, line); at != NULL; at = strstr(at + 1, line)) {
		if ((at == text || at[-1] == '\n') && at[len] == '\n') {
			return true;
		}
	}
	return false;
}

static const struct {
	enum stat_scope scope;
	size_t index;
	uint64_t value;
	const char *line;
} rows[] = {
	{STAT_SCOPE_MASTER, STAT_MASTER_generation, 7, "acceptd_generation 7"},
	{STAT_SCOPE_MASTER, STAT_MASTER_reloads, 18446744073709551615u,
		"acceptd_reloads_total 18446744073709551615"},
	{STAT_SCOPE_QUEUE, STAT_QUEUE_depth, 5, "acceptd_accept_queue_depth{listener=\"front\"} 5"},
	{STAT_SCOPE_QUEUE, STAT_QUEUE_dropped_segments, 9,
		"acceptd_accept_queue_dropped_segments_total{listener=\"front\"} 9"},
	{STAT_SCOPE_LISTENER, STAT_LISTENER_received_bytes, 3,
		"acceptd_listener_received_bytes_total{listener=\"front\"} 3"},
	{STAT_SCOPE_CLOSE, CLOSE_lost_in_crash, 4,
		"acceptd_listener_closed_total{listener=\"front\",reason=\"lost_in_crash\"} 4"},
	{STAT_SCOPE_WORKER, STAT_WORKER_cpu_us, 1234567,
		"acceptd_worker_cpu_seconds_total{worker=\"1\"} 1.234567"},
	{STAT_SCOPE_WORKER, STAT_WORKER_longest_turn_us, 42,
		"acceptd_worker_longest_turn_seconds{worker=\"1\"} 0.000042"},
	{STAT_SCOPE_WORKER, STAT_WORKER_resident_bytes, 4096,
		"acceptd_worker_resident_bytes{worker=\"1\"} 4096"},
	{STAT_SCOPE_KERNEL, STAT_KERNEL_ListenOverflows, 11,
		"acceptd_kernel_listen_overflows_total 11"},
	{STAT_SCOPE_KERNEL, STAT_KERNEL_TCPReqQFullDoCookies, 12,
		"acceptd_kernel_tcp_req_q_full_do_cookies_total 12"},
	{STAT_SCOPE_KERNEL, STAT_KERNEL_CurrEstab, 13, "acceptd_kernel_curr_estab 13"},
};

/* Listeners and reasons in slot 1, listener 0. */
static board_cell *
cell_of(enum stat_scope scope, size_t index)
{
	switch (scope) {
	case STAT_SCOPE_MASTER:
		return &board.writable->stats[index];
	case STAT_SCOPE_KERNEL:
		return &board.writable->kernel[index];
	case STAT_SCOPE_QUEUE:
		return &board.writable->listeners[0].queue[index];
	case STAT_SCOPE_WORKER:
		return &board.slots[1].stats[index];
	case STAT_SCOPE_LISTENER:
		return &board.slots[1].listeners[0].stats[index];
	default:
		return &board.slots[1].listeners[0].closed[index];
	}
}

START_TEST(a_row_becomes_a_metric_in_base_units)
{
	begin("front", "api");
	board.writable->has_kernel = 1;
	stat_set(cell_of(rows[_i].scope, rows[_i].index), rows[_i].value);
	ck_assert_msg(has_line(print(), rows[_i].line), "no line: %s", rows[_i].line);
	end();
}
END_TEST

START_TEST(kernel_counters_that_were_not_read_are_not_shown)
{
	begin("front", "api");
	ck_assert_ptr_null(strstr(print(), "acceptd_kernel_"));
	end();
}
END_TEST

START_TEST(waits_are_summed_over_slots_into_cumulative_buckets)
{
	static const char *const lines[] = {
		"acceptd_accept_queue_wait_seconds_bucket{listener=\"api\",le=\"0.001\"} 1",
		"acceptd_accept_queue_wait_seconds_bucket{listener=\"api\",le=\"0.008\"} 2",
		"acceptd_accept_queue_wait_seconds_bucket{listener=\"api\",le=\"0.016\"} 3",
		"acceptd_accept_queue_wait_seconds_bucket{listener=\"api\",le=\"65.536\"} 3",
		"acceptd_accept_queue_wait_seconds_bucket{listener=\"api\",le=\"+Inf\"} 4",
		"acceptd_accept_queue_wait_seconds_sum{listener=\"api\"} 100.015",
		"acceptd_accept_queue_wait_seconds_count{listener=\"api\"} 4",
		"acceptd_accept_queue_wait_seconds_count{listener=\"front\"} 0",
	};
	const char *text;

	begin("front", "api");
	histogram_add(&board.slots[0].listeners[1].queue_wait_ms, 0);
	histogram_add(&board.slots[0].listeners[1].queue_wait_ms, 7); /* less than 8 ms */
	histogram_add(&board.slots[1].listeners[1].queue_wait_ms, 8);
	histogram_add(&board.slots[1].listeners[1].queue_wait_ms, 100000);
	text = print();
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		ck_assert_msg(has_line(text, lines[i]), "no line: %s", lines[i]);
	}
	end();
}
END_TEST

START_TEST(turns_are_shown_by_worker)
{
	const char *text;

	begin("front", "api");
	histogram_add(&board.slots[1].turn_us, 1000);
	text = print();
	ck_assert(has_line(
		text, "acceptd_worker_turn_seconds_bucket{worker=\"1\",le=\"0.000512\"} 0"));
	ck_assert(has_line(
		text, "acceptd_worker_turn_seconds_bucket{worker=\"1\",le=\"0.001024\"} 1"));
	ck_assert(has_line(text, "acceptd_worker_turn_seconds_sum{worker=\"1\"} 0.001"));
	ck_assert(has_line(text, "acceptd_worker_turn_seconds_count{worker=\"0\"} 0"));
	end();
}
END_TEST

START_TEST(a_label_is_escaped_whatever_is_in_a_name)
{
	begin("a\"b\\c\nd", "api");
	ck_assert(has_line(print(), "acceptd_listener_open{listener=\"a\\\"b\\\\c\\nd\"} 0"));
	end();
}
END_TEST

START_TEST(sockets_are_shown_by_state)
{
	begin("front", "api");
	states.count = 1;
	(void)strcpy(states.rows[0].name, "front");
	states.rows[0].counts[SOCK_DIAG_CLOSE_WAIT] = 6;
	ck_assert(has_line(
		print(), "acceptd_listener_sockets{listener=\"front\",state=\"CLOSE_WAIT\"} 6"));
	ck_assert(has_line(printed, "acceptd_listener_sockets_age_seconds 1.234"));
	/* A hundred listeners with eleven states each would be most of what is sent. */
	ck_assert_ptr_null(strstr(printed, "state=\"LAST_ACK\""));
	end();
}
END_TEST

/* What promtool asks for too: HELP and TYPE before the samples, each once, all samples together. */
START_TEST(every_metric_stands_together_under_its_help_and_type)
{
	char name[128] = "", line_of[132], word[128], help[128];
	char seen[16384] = "\n";
	int metrics = 0;

	begin("front", "api");
	board.writable->has_kernel = 1;
	(void)print();
	for (char *line = strtok(printed, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		if (sscanf(line, "# HELP %127s %127s", word, help) == 2) {
			(void)snprintf(line_of, sizeof(line_of), "\n%s\n", word);
			ck_assert_ptr_null(strstr(seen, line_of));
			(void)strcat(strcat(seen, word), "\n");
			(void)strcpy(name, word);
			line = strtok(NULL, "\n");
			ck_assert_ptr_nonnull(line);
			ck_assert_int_eq(sscanf(line, "# TYPE %127s", word), 1);
			ck_assert_str_eq(word, name);
			metrics++;
		} else {
			ck_assert_msg(strncmp(line, name, strlen(name)) == 0, "stray: %s", line);
		}
	}
	ck_assert_int_gt(metrics, STAT_WORKER_COUNT + STAT_KERNEL_COUNT);
	end();
}
END_TEST

START_TEST(help_needs_no_escaping)
{
	for (size_t i = 0; i < stat_row_count; i++) {
		ck_assert_ptr_null(strpbrk(stat_rows[i].help, "\\\n"));
	}
}
END_TEST

START_TEST(a_row_in_microseconds_says_so_at_its_end)
{
	for (size_t i = 0; i < stat_row_count; i++) {
		size_t len = strlen(stat_rows[i].name);
		bool says_so = len > 3 && strcmp(stat_rows[i].name + len - 3, "_us") == 0;

		ck_assert_int_eq(says_so, stat_rows[i].unit == STAT_MICROSECONDS);
	}
}
END_TEST

UNIT_TESTS("prometheus", tcase_add_loop_test(tests, a_row_becomes_a_metric_in_base_units, 0,
				 (int)ARRAY_LEN(rows));
	   tcase_add_test(tests, kernel_counters_that_were_not_read_are_not_shown);
	   tcase_add_test(tests, waits_are_summed_over_slots_into_cumulative_buckets);
	   tcase_add_test(tests, turns_are_shown_by_worker);
	   tcase_add_test(tests, a_label_is_escaped_whatever_is_in_a_name);
	   tcase_add_test(tests, sockets_are_shown_by_state);
	   tcase_add_test(tests, every_metric_stands_together_under_its_help_and_type);
	   tcase_add_test(tests, help_needs_no_escaping);
	   tcase_add_test(tests, a_row_in_microseconds_says_so_at_its_end);)
