#include "monitor/prometheus.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/board.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "monitor/reading.h"
#include "tests/unit/run.h"

static struct board board;
static struct reading now;
static char *shown;

static void
create(void)
{
	struct fault why;
	size_t len;
	int memory;
	FILE *stream;

	ck_assert_int_eq(board_create(&board, &memory, &why), 0);
	descriptor_close(&memory);
	ck_assert_int_eq(board_listener_index(&board, "front"), 0);
	ck_assert_int_eq(board_listener_index(&board, "a\"b\\c"), 1);
	board_open_slot(&board, 0);
	stat_set(&board.slots[0].listeners[0].stats[STAT_LISTENER_accepted], 7);
	stat_set(&board.slots[0].listeners[0].closed[CLOSE_idle], 5);
	stat_set(&board.writable->listeners[0].queue[STAT_QUEUE_limit], 128);
	stat_set(&board.writable->kernel[STAT_KERNEL_ListenOverflows], 11);
	atomic_store(&board.writable->has_kernel, 1);
	reading_take(&board, &now);
	stream = open_memstream(&shown, &len);
	ck_assert_ptr_nonnull(stream);
	prometheus_print(&now, &board, stream);
	ck_assert_int_eq(fclose(stream), 0);
}

static void
destroy(void)
{
	free(shown);
	board_detach(&board);
}

static const char *const lines[] = {
	"\nacceptd_listener_accepted_total{listener=\"front\"} 7\n",
	"\nacceptd_listener_closed_total{listener=\"front\",reason=\"idle\"} 5\n",
	"\nacceptd_accept_queue_limit{listener=\"front\"} 128\n",
	"\n# TYPE acceptd_accept_queue_limit gauge\n",
	"\n# TYPE acceptd_listener_accepted_total counter\n",
	"listener=\"a\\\"b\\\\c\"",
	"listen_overflows_total 11\n",
};

START_TEST(a_row_becomes_a_metric_in_base_units_with_stable_labels)
{
	ck_assert_msg(strstr(shown, lines[_i]) != NULL, "%s", lines[_i]);
}
END_TEST

/* Of each metric: HELP, TYPE, then its samples, and never again. */
START_TEST(each_metric_stands_together_under_one_head)
{
	char *seen[512];
	size_t count = 0;

	for (char *line = strtok(shown, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		char *name = line + (line[0] == '#' ? 7 : 0);
		size_t len = strcspn(name, " {");

		if (strncmp(line, "# HELP ", 7) == 0) {
			for (size_t i = 0; i < count; i++) {
				ck_assert_msg(
					strncmp(seen[i], name, len) != 0 || seen[i][len] != ' ',
					"twice: %s", line);
			}
			ck_assert_uint_lt(count, ARRAY_LEN(seen));
			seen[count++] = name;
		} else {
			size_t head = strcspn(seen[count - 1], " ");

			ck_assert_msg(strncmp(seen[count - 1], name, head) == 0, "%s", line);
		}
		ck_assert_msg(strncmp(name, "acceptd_", 8) == 0, "%s", line);
		for (size_t i = 0; i < len; i++) {
			ck_assert_msg(islower((unsigned char)name[i]) || name[i] == '_' ||
					      isdigit((unsigned char)name[i]),
				"%s", line);
		}
	}
	ck_assert_uint_gt(count, 50);
}
END_TEST

UNIT_TESTS("prometheus", tcase_add_checked_fixture(tests, create, destroy); tcase_add_loop_test(
	tests, a_row_becomes_a_metric_in_base_units_with_stable_labels, 0, ARRAY_LEN(lines));
	   tcase_add_test(tests, each_metric_stands_together_under_one_head);)
