#include "master/kernel_counters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/board.h"
#include "common/fault.h"
#include "tests/unit/board_help.h"
#include "tests/unit/run.h"

static struct board board;
static char root[32];

static void
write_file(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/proc/self/net/%s", root, name);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static void
setup(void)
{
	char command[128];

	help_create_board(&board, 0);
	strcpy(root, "/tmp/acceptd-counters-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	snprintf(command, sizeof(command), "mkdir -p %s/proc/self/net", root);
	ck_assert_int_eq(system(command), 0);
	write_file("snmp", "Tcp: PassiveOpens OutRsts\nTcp: 10 2\nUdp: OutRsts\nUdp: 99\n");
	write_file("netstat", "TcpExt: ListenOverflows Other\nTcpExt: 7 8\n");
}

static void
teardown(void)
{
	char command[64];

	board_detach(&board);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(the_first_reading_is_the_start_and_later_ones_are_now)
{
	struct fault why;

	setup();
	ck_assert_int_eq(kernel_counters_read(&board, root, &why), 0);
	write_file("netstat", "TcpExt: ListenOverflows Other\nTcpExt: 9 8\n");
	ck_assert_int_eq(kernel_counters_read(&board, root, &why), 0);
	ck_assert_uint_eq(stat_get(&board.master->kernel[STAT_KERNEL_ListenOverflows]), 9);
	ck_assert_uint_eq(stat_get(&board.master->kernel_at_start[STAT_KERNEL_ListenOverflows]), 7);
	ck_assert_uint_eq(stat_get(&board.master->kernel[STAT_KERNEL_OutRsts]), 2);
	ck_assert_uint_eq(stat_get(&board.master->kernel[STAT_KERNEL_ListenDrops]), 0);
	teardown();
}
END_TEST

START_TEST(a_damaged_file_changes_nothing_and_is_named)
{
	struct fault why;

	setup();
	ck_assert_int_eq(kernel_counters_read(&board, root, &why), 0);
	write_file("netstat", "TcpExt: ListenOverflows\n");
	ck_assert_int_lt(kernel_counters_read(&board, root, &why), 0);
	ck_assert_ptr_nonnull(strstr(why.text, "/proc/self/net/netstat"));
	ck_assert_uint_eq(stat_get(&board.master->kernel[STAT_KERNEL_ListenOverflows]), 7);
	teardown();
}
END_TEST

START_TEST(this_kernel_has_every_counter_that_we_name)
{
	static const char *const files[] = {"/proc/self/net/netstat", "/proc/self/net/snmp"};
	char text[65536];
	char name[80];
	FILE *file;
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		file = fopen(files[i], "r");
		ck_assert_ptr_nonnull(file);
		len += fread(text + len, 1, sizeof(text) - 1 - len, file);
		fclose(file);
	}
	text[len] = '\0';
	for (size_t i = 0; i < STAT_KERNEL_COUNT; i++) {
		snprintf(name, sizeof(name), " %s", stat_row_of(STAT_SCOPE_KERNEL, i)->name);
		ck_assert_msg(strstr(text, name) != NULL, "no counter%s", name);
	}
}
END_TEST

UNIT_TESTS("kernel_counters",
	   tcase_add_test(tests, the_first_reading_is_the_start_and_later_ones_are_now);
	   tcase_add_test(tests, a_damaged_file_changes_nothing_and_is_named);
	   tcase_add_test(tests, this_kernel_has_every_counter_that_we_name);)
