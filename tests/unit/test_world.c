/* Configurations against a machine of which the kernel settings are made up and the rest is real.
 */
#include "master/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/address.h"
#include "common/config.h"
#include "common/fault.h"
#include "master/kernel.h"
#include "master/listeners.h"
#include "master/pidfile.h"
#include "tests/unit/net_help.h"
#include "tests/unit/run.h"

static char directory[32];
static char file_path[64];
static struct findings findings;
static struct config *config;
static struct world world;
static unsigned free_port, taken_port;
static int taken;

static void
write_file(const char *name, const char *text)
{
	char path[96];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	fclose(file);
}

static void
make_directory(const char *name)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	ck_assert_int_eq(mkdir(path, 0755), 0);
}

static void
setup(void)
{
	struct address address;

	(void)snprintf(directory, sizeof(directory), "/tmp/acceptd-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(file_path, sizeof(file_path), "%s/acceptd.conf", directory);
	make_directory("net");
	make_directory("net/core");
	make_directory("net/ipv4");
	write_file("net/core/somaxconn", "4096\n");
	write_file("net/ipv4/tcp_syncookies", "1\n");
	write_file("net/ipv4/tcp_abort_on_overflow", "0\n");
	address = help_free_address();
	taken = help_listen(&address, &help_options);
	taken_port = address_port(&address);
	address = help_free_address();
	free_port = address_port(&address);
}

static void
teardown(void)
{
	char command[64];

	config_free(&config);
	(void)snprintf(command, sizeof(command), "rm -rf %s", directory);
	ck_assert_int_eq(system(command), 0);
}

/* Root must name a user for the workers; for others a name would have no effect, and be told so. */
static const char *
user_option(void)
{
	return geteuid() == 0 ? "user = \"nobody\";" : "";
}

/* A configuration of one listener with more options of the server and of the listener. */
static void
load(const char *server, const char *address, const char *listener)
{
	char text[1024];

	(void)snprintf(text, sizeof(text),
		"%s\npid_file = \"\";\nmax_connections = 100;\n%s\n"
		"listeners = ( {\nname = \"one\";\naddress = \"%s\";\nprotocol = \"echo\";\n%s } "
		");\n",
		user_option(), server, address, listener);
	write_file("acceptd.conf", text);
	if (config_load(file_path, &config, &findings) != 0) {
		findings_print(&findings, stderr);
		ck_abort_msg("not a configuration");
	}
	world_init(&world, WORLD_START, config);
	world.kernel_root = directory;
}

static void
load_with_port(const char *server, unsigned port, const char *listener)
{
	char address[64];

	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	load(server, address, listener);
}

/* The one finding, and what it says. */
static void
expect(enum finding_kind kind, const char *says)
{
	world_check(&world, &findings);
	if (findings.count != 1 || strstr(findings.items[0].text, says) == NULL) {
		findings_print(&findings, stderr);
		ck_abort_msg("wanted one finding with: %s", says);
	}
	ck_assert_int_eq(findings.items[0].kind, kind);
}

static void
expect_nothing(void)
{
	world_check(&world, &findings);
	findings_print(&findings, stderr);
	ck_assert_uint_eq(findings.count, 0);
}

START_TEST(a_configuration_that_fits_is_silent)
{
	load_with_port("", free_port, "");
	expect_nothing();
}
END_TEST

START_TEST(a_port_in_use_is_named_with_its_owner_and_line)
{
	char says[256];

	load_with_port("", taken_port, "");
	(void)snprintf(says, sizeof(says),
		"%s:7: error: listeners[one].address: 127.0.0.1:%u is in use by pid %d (",
		file_path, taken_port, (int)getpid());
	expect(FINDING_WORLD, says);
}
END_TEST

START_TEST(the_running_instance_is_no_obstacle_to_a_test)
{
	load_with_port("", taken_port, "");
	world.occasion = WORLD_TEST;
	world.running = getpid();
	expect_nothing();
	world.running = getppid(); /* a worker's number stands for its master */
	expect_nothing();
}
END_TEST

START_TEST(what_this_server_listens_on_is_no_obstacle_to_a_reload)
{
	struct listening_socket socket = {.fd = taken};
	struct listeners listeners = {.sockets = &socket, .count = 1};

	load_with_port("", taken_port, "");
	socket.address = config->listeners[0].addresses.items[0];
	world.occasion = WORLD_RELOAD;
	world.was = config;
	world.listeners = &listeners;
	expect_nothing();
}
END_TEST

START_TEST(an_overlap_with_a_socket_of_ours_is_told_as_such)
{
	struct listening_socket socket = {.fd = taken};
	struct listeners listeners = {.sockets = &socket, .count = 1};
	char address[32];
	struct fault why;

	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", taken_port);
	ck_assert_int_eq(address_parse(address, &socket.address, &why), 0);
	(void)snprintf(address, sizeof(address), "0.0.0.0:%u", taken_port);
	load("", address, "");
	world.occasion = WORLD_RELOAD;
	world.was = config;
	world.listeners = &listeners;
	expect(FINDING_WORLD, "which this server still listens on");
}
END_TEST

static const struct {
	const char *address;
	const char *says;
} addresses[] = {
	{"192.0.2.1:7000", "no interface of this machine has this address"},
	{"unix:/tmp/acceptd-no-such-directory/socket", "its directory does not exist"},
	{"unix:/etc/passwd", "the path exists and is no socket"},
};

START_TEST(an_address_that_cannot_be_had_is_explained)
{
	load("", addresses[_i].address, "");
	expect(FINDING_WORLD, addresses[_i].says);
}
END_TEST

START_TEST(another_users_socket_is_not_taken_for_a_program)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char line[sizeof(address.sun_path) + 8];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (geteuid() != 0) { /* there is no other user to be */
		close(fd);
		return;
	}
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
	(void)snprintf(line, sizeof(line), "unix:%s", address.sun_path);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	ck_assert_int_eq(chmod(address.sun_path, 0600), 0);
	ck_assert_int_eq(chmod(directory, 0755), 0);
	load("", line, "");
	ck_assert_int_eq(seteuid(65534), 0);
	expect(FINDING_WORLD, "another user's socket is there");
	ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

static const struct {
	const char *server;
	const char *listener;
	enum finding_kind kind;
	const char *says;
} limits[] = {
	{"", "backlog = 4096;", FINDING_WORLD, NULL},
	{"kernel = { somaxconn = \"auto\"; };", "backlog = 65535;", FINDING_WORLD, NULL},
	{"kernel = { somaxconn = \"keep\"; };", "backlog = 65535;", FINDING_WARNING,
		"listeners[one].backlog: the effective backlog will be 4096, not 65535"},
	{"strict = true; kernel = { somaxconn = \"keep\"; };", "backlog = 65535;", FINDING_WORLD,
		"sysctl -w net.core.somaxconn=65535"},
	{"kernel = { somaxconn = 512; };", "backlog = 512;", FINDING_WORLD, NULL},
};

START_TEST(a_backlog_that_the_kernel_cuts_is_told)
{
	load_with_port(limits[_i].server, free_port, limits[_i].listener);
	world.occasion = WORLD_TEST; /* later on the kernel's own numbers are reported */
	if (limits[_i].says == NULL) {
		expect_nothing();
	} else {
		expect(limits[_i].kind, limits[_i].says);
	}
}
END_TEST

static const struct {
	const char *file;
	const char *value;
	const char *says;
} settings[] = {
	{"net/ipv4/tcp_syncookies", "0\n", "sysctl -w net.ipv4.tcp_syncookies=1"},
	{"net/ipv4/tcp_abort_on_overflow", "1\n", "sysctl -w net.ipv4.tcp_abort_on_overflow=0"},
	{"net/core/somaxconn", "?\n", "net.core.somaxconn cannot be read"},
};

START_TEST(a_dangerous_kernel_setting_is_a_warning_with_its_command)
{
	load_with_port("", free_port, "");
	world.occasion = WORLD_TEST;
	write_file(settings[_i].file, settings[_i].value);
	expect(FINDING_WARNING, settings[_i].says);
}
END_TEST

START_TEST(connections_that_do_not_fit_into_the_descriptors_are_told)
{
	struct rlimit limit = {1024, 1024};
	char text[256];

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	(void)snprintf(text, sizeof(text),
		"%s pid_file = \"\"; workers = 2; max_connections = 5000;\n"
		"listeners = ( { name = \"one\"; address = \"127.0.0.1:%u\"; protocol = \"echo\"; "
		"} );",
		user_option(), free_port);
	write_file("acceptd.conf", text);
	ck_assert_int_eq(config_load(file_path, &config, &findings), 0);
	world_init(&world, WORLD_START, config);
	world.kernel_root = directory;
	expect(FINDING_WORLD, "max_connections: 5000 do not fit: 2 workers");
}
END_TEST

START_TEST(a_log_that_cannot_be_written_is_explained)
{
	char server[128], target[96];

	(void)snprintf(server, sizeof(server), "log = \"%s/link\";", directory);
	(void)snprintf(target, sizeof(target), "%s/link", directory);
	ck_assert_int_eq(symlink("/etc/passwd", target), 0);
	load_with_port(server, free_port, "");
	expect(FINDING_WORLD, "it is a symbolic link");
}
END_TEST

START_TEST(a_log_in_a_missing_directory_is_explained)
{
	load_with_port("log = \"/tmp/acceptd-no-such-directory/log\";", free_port, "");
	expect(FINDING_WORLD, "No such file or directory");
}
END_TEST

START_TEST(a_second_instance_is_told_of_the_first_but_may_test)
{
	struct pidfile pidfile;
	struct fault why;
	char path[96], text[512];

	(void)snprintf(path, sizeof(path), "%s/pid", directory);
	ck_assert_int_eq(pidfile_open(&pidfile, path, &why), 0);
	ck_assert_int_eq(pidfile_write(&pidfile, &why), 0);
	(void)snprintf(text, sizeof(text),
		"%s pid_file = \"%s\"; max_connections = 100;\n"
		"listeners = ( { name = \"one\"; address = \"127.0.0.1:%u\"; protocol = \"echo\"; "
		"} );",
		user_option(), path, taken_port);
	write_file("acceptd.conf", text);
	ck_assert_int_eq(config_load(file_path, &config, &findings), 0);
	world_init(&world, WORLD_TEST, config);
	world.kernel_root = directory;
	ck_assert_int_eq(world.running, getpid());
	expect_nothing();
	world_init(&world, WORLD_START, config);
	world.kernel_root = directory;
	expect(FINDING_WORLD, "already running: pid "); /* and no word of its port */
	pidfile_remove(&pidfile);
}
END_TEST

static const struct {
	const char *user;
	const char *says;
} users[] = {
	{"acceptd-no-such-user", "acceptd-no-such-user"},
	{"root", "running workers as root is refused"},
	{"0", "running workers as root is refused"},
};

START_TEST(root_may_not_run_workers_as_root_or_as_nobody_known)
{
	char text[512];

	(void)snprintf(text, sizeof(text),
		"user = \"%s\"; pid_file = \"\"; max_connections = 100;\n"
		"listeners = ( { name = \"one\"; address = \"127.0.0.1:%u\"; protocol = \"echo\"; "
		"} );",
		users[_i].user, free_port);
	write_file("acceptd.conf", text);
	ck_assert_int_eq(config_load(file_path, &config, &findings), 0);
	world_init(&world, WORLD_START, config);
	world.kernel_root = directory;
	if (geteuid() == 0) {
		expect(FINDING_WORLD, users[_i].says);
	} else {
		expect(FINDING_WARNING, "has no effect because acceptd was not started by root");
	}
}
END_TEST

UNIT_TESTS("world", tcase_add_checked_fixture(tests, setup, teardown);
	   tcase_add_test(tests, a_configuration_that_fits_is_silent);
	   tcase_add_test(tests, a_port_in_use_is_named_with_its_owner_and_line);
	   tcase_add_test(tests, the_running_instance_is_no_obstacle_to_a_test);
	   tcase_add_test(tests, what_this_server_listens_on_is_no_obstacle_to_a_reload);
	   tcase_add_test(tests, an_overlap_with_a_socket_of_ours_is_told_as_such);
	   tcase_add_loop_test(tests, an_address_that_cannot_be_had_is_explained, 0,
		   sizeof(addresses) / sizeof(addresses[0]));
	   tcase_add_test(tests, another_users_socket_is_not_taken_for_a_program);
	   tcase_add_loop_test(tests, a_backlog_that_the_kernel_cuts_is_told, 0,
		   sizeof(limits) / sizeof(limits[0]));
	   tcase_add_loop_test(tests, a_dangerous_kernel_setting_is_a_warning_with_its_command, 0,
		   sizeof(settings) / sizeof(settings[0]));
	   tcase_add_test(tests, connections_that_do_not_fit_into_the_descriptors_are_told);
	   tcase_add_test(tests, a_log_that_cannot_be_written_is_explained);
	   tcase_add_test(tests, a_log_in_a_missing_directory_is_explained);
	   tcase_add_test(tests, a_second_instance_is_told_of_the_first_but_may_test);
	   tcase_add_loop_test(tests, root_may_not_run_workers_as_root_or_as_nobody_known, 0,
		   sizeof(users) / sizeof(users[0]));)
