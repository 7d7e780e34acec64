/* Reload in place with real files and sockets, and workers that only remember what they were told.
 */
#include "master/reload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/board.h"
#include "common/config.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/loop.h"
#include "master/doors.h"
#include "master/lifecycle.h"
#include "master/listeners.h"
#include "master/master.h"
#include "master/reconfigure.h"
#include "tests/unit/fake_fleet.h"
#include "tests/unit/net_help.h"
#include "tests/unit/run.h"

static struct master master;
static struct listeners listeners;
static struct doors doors;
static struct reload reload;
static char directory[32], path[64];
static unsigned port, taken_port;

/* What the file says from now on: somaxconn is kept, because this is no test of the machine. */
static void
write_config(const char *more, unsigned listener_port)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_gt(
		fprintf(file,
			"%s pid_file = \"\"; max_connections = 100; kernel = { somaxconn "
			"= \"keep\"; };\n"
			"admin = { socket = \"%s/admin.sock\"; };\n"
			"%s\n"
			"listeners = ( { name = \"one\"; address = \"127.0.0.1:%u\"; "
			"protocol = \"echo\";"
			" backlog = 16; } );\n",
			geteuid() == 0 ? "user = \"nobody\";" : "", directory, more, listener_port),
		0);
	fclose(file);
}

static uint64_t
count(enum stat_master_index index)
{
	return stat_get(&master.board.writable->stats[index]);
}

static void
setup(void)
{
	struct reconfigure *reconfigure;
	struct findings findings = {0};
	struct address taken;
	struct config *config;
	struct fault why;

	log_set_level(LOG_LEVEL_ERROR);
	(void)snprintf(directory, sizeof(directory), "/tmp/acceptd-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/acceptd.conf", directory);
	taken = help_free_address();
	(void)help_listen(&taken, &help_options);
	taken_port = address_port(&taken);
	taken = help_free_address();
	port = address_port(&taken);

	master.config_memory = -1;
	master.notify.fd = -1;
	master.pidfile.fd = -1;
	master.config_path = path;
	master.listeners = &listeners;
	master.reload = &reload;
	master.doors = &doors;
	doors_init(&doors);
	master.state = MASTER_SERVING;
	master.descriptor_limit = 1024;
	ck_assert_int_eq(board_create(&master.board, &master.board_memory, &why), 0);
	write_config("workers = 2; log_level = \"error\";", port);
	ck_assert_int_eq(config_load(path, &config, &findings), 0);
	ck_assert_int_eq(reconfigure_prepare(&master, config, &reconfigure, &why), 0);
	reconfigure_commit(&master, &reconfigure);
	reload.workers = 2;
}

static void
teardown(void)
{
	char command[64];

	doors_close(&doors);
	listeners_close_all(&listeners);
	free(listeners.sockets);
	config_free(&master.config);
	descriptor_close(&master.config_memory);
	board_detach(&master.board);
	(void)snprintf(command, sizeof(command), "rm -rf %s", directory);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(a_good_file_is_put_in_force)
{
	int memory = dup(master.config_memory);
	char *text;
	size_t len;

	write_config("workers = 2; log_level = \"error\"; drain_timeout = \"7s\";", port);
	reload_request(&master);
	ck_assert_uint_eq(master.generation, 2);
	ck_assert_int_eq(master.config->drain_timeout_ms, 7000);
	ck_assert_uint_eq(count(STAT_MASTER_reloads), 1);
	ck_assert_uint_eq(count(STAT_MASTER_generation), 2);
	ck_assert_uint_eq(fake_fleet.applied, 1);
	ck_assert_uint_eq(fake_fleet.logs_sent, 0);
	ck_assert_int_eq(descriptor_read_all(master.config_memory, 1 << 20, &text, &len), 0);
	ck_assert_ptr_nonnull(strstr(text, "\"7s\""));
	free(text);
	ck_assert(reload.is_running);
	fake_fleet.on_settled(&master, NULL);
	ck_assert(!reload.is_running);
	close(memory);
}
END_TEST

static const struct {
	const char *more;
	bool on_taken_port;
} bad_files[] = {
	{"workers = 2; bad_option = 1;", false},        /* against the rows */
	{"workers = 2; log = \"/nosuch/log\";", false}, /* against the machine */
	{"workers = 2;", true},
	{"workers = 2; pid_file = ", false}, /* half a file, as an editor saves it */
};

START_TEST(a_bad_file_changes_nothing)
{
	struct config *config = master.config;
	int memory = master.config_memory;
	int fd = listeners.sockets[0].fd;

	write_config(bad_files[_i].more, bad_files[_i].on_taken_port ? taken_port : port);
	reload_request(&master);
	ck_assert_ptr_eq(master.config, config);
	ck_assert_int_eq(master.config_memory, memory);
	ck_assert_uint_eq(master.generation, 1);
	ck_assert_uint_eq(listeners.count, 1);
	ck_assert_int_eq(listeners.sockets[0].fd, fd);
	ck_assert_uint_eq(count(STAT_MASTER_reloads), 0);
	ck_assert_uint_eq(count(STAT_MASTER_reloads_failed), 1);
	ck_assert_uint_eq(fake_fleet.applied, 0);
	ck_assert(!reload.is_running);
}
END_TEST

START_TEST(a_change_that_needs_a_restart_is_refused_by_name)
{
	struct board_event event;

	write_config("workers = 2; group = \"0\"; log_level = \"error\";", port);
	reload_request(&master);
	ck_assert_uint_eq(master.generation, 1);
	ck_assert_uint_eq(count(STAT_MASTER_reloads_failed), 1);
	for (uint64_t number = 1; board_read_event(&master.board, number, &event) == 0; number++) {
		if (strstr(event.text, "group: a change takes effect only at a restart") != NULL) {
			return;
		}
	}
	ck_abort_msg("not said");
}
END_TEST

START_TEST(requests_during_a_reload_make_one_more)
{
	reload_request(&master);
	for (int i = 0; i < 50; i++) {
		reload_request(&master);
	}
	ck_assert_uint_eq(master.generation, 2);
	fake_fleet.on_settled(&master, NULL);
	ck_assert_uint_eq(master.generation, 3);
	fake_fleet.on_settled(&master, NULL);
	ck_assert_uint_eq(master.generation, 3);
	ck_assert(!reload.is_running);
}
END_TEST

START_TEST(a_server_that_stops_reloads_no_more)
{
	master.state = MASTER_DRAINING;
	reload_request(&master);
	ck_assert_uint_eq(master.generation, 1);
	ck_assert_uint_eq(fake_fleet.applied, 0);
}
END_TEST

START_TEST(a_server_that_starts_reloads_when_it_serves)
{
	master.state = MASTER_STARTING;
	reload_request(&master);
	ck_assert_uint_eq(master.generation, 1);
	ck_assert(reload.is_wanted);
}
END_TEST

START_TEST(workers_that_refuse_end_the_reload_too)
{
	reload_request(&master);
	fake_fleet.on_settled(&master, "worker 1 does not answer");
	ck_assert(!reload.is_running);
	ck_assert_uint_eq(master.generation, 2);
}
END_TEST

START_TEST(the_number_of_workers_follows_the_file)
{
	write_config("workers = 5; log_level = \"error\";", port);
	reload_request(&master);
	ck_assert_uint_eq(fake_fleet.wanted, 5);
	fake_fleet.on_settled(&master, NULL);
	fake_fleet.wanted = 6; /* SIGTTIN */
	reload_request(&master);
	ck_assert_uint_eq(fake_fleet.wanted, 6); /* the file says nothing new about it */
	ck_assert_uint_eq(fake_fleet.resized, 1);
}
END_TEST

START_TEST(a_lost_socket_is_opened_anew_and_handed_out)
{
	listeners.sockets[0].is_lost = true;
	close(listeners.sockets[0].fd); /* or its port would be in use */
	listeners.sockets[0].fd = -1;
	reload.is_running = true;
	reload_reopen(&master);
	ck_assert_uint_eq(fake_fleet.applied, 0); /* one change at a time */
	reload.is_running = false;
	reload_reopen(&master);
	ck_assert_uint_eq(fake_fleet.applied, 1);
	ck_assert_int_ge(listeners.sockets[0].fd, 0);
	ck_assert_uint_eq(listeners.sockets[0].number, 2);
	ck_assert(reload.is_running);
	fake_fleet.on_settled(&master, NULL);
	ck_assert(!reload.is_running);
	ck_assert_uint_eq(master.generation, 2); /* or the workers would take it for known */
}
END_TEST

START_TEST(the_log_moves_with_the_commit)
{
	char more[128], log_path[64];

	(void)snprintf(log_path, sizeof(log_path), "%s/log", directory);
	(void)snprintf(more, sizeof(more), "log = \"%s\"; bad_option = 1;", log_path);
	write_config(more, port);
	reload_request(&master);
	ck_assert_int_eq(access(log_path, F_OK), -1);
	(void)snprintf(more, sizeof(more), "log = \"%s\";", log_path);
	write_config(more, port);
	reload_request(&master);
	ck_assert_int_eq(access(log_path, F_OK), 0);
	ck_assert_uint_eq(fake_fleet.logs_sent, 1);
}
END_TEST

UNIT_TESTS("reload", tcase_add_checked_fixture(tests, setup, teardown);
	   tcase_add_test(tests, a_good_file_is_put_in_force); tcase_add_loop_test(
		   tests, a_bad_file_changes_nothing, 0, sizeof(bad_files) / sizeof(bad_files[0]));
	   tcase_add_test(tests, a_change_that_needs_a_restart_is_refused_by_name);
	   tcase_add_test(tests, requests_during_a_reload_make_one_more);
	   tcase_add_test(tests, a_server_that_stops_reloads_no_more);
	   tcase_add_test(tests, a_server_that_starts_reloads_when_it_serves);
	   tcase_add_test(tests, workers_that_refuse_end_the_reload_too);
	   tcase_add_test(tests, the_number_of_workers_follows_the_file);
	   tcase_add_test(tests, a_lost_socket_is_opened_anew_and_handed_out);
	   tcase_add_test(tests, the_log_moves_with_the_commit);)
