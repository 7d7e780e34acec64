#include "master/notify.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/fault.h"
#include "tests/unit/run.h"

/* A service manager: a datagram socket, by path or by abstract name ('@'). */
static int
manager_open(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, name, strlen(name));
	if (name[0] == '@') {
		address.sun_path[0] = '\0';
	}
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
	return fd;
}

static const char *
manager_hears(int fd)
{
	static char text[NOTIFY_TEXT_MAX];
	ssize_t len = recv(fd, text, sizeof(text) - 1, 0);

	text[len > 0 ? len : 0] = '\0';
	return text;
}

static void
notify_open_to(struct notify *notify, const char *name)
{
	struct fault why;

	ck_assert_int_eq(setenv("NOTIFY_SOCKET", name, 1), 0);
	ck_assert_int_eq(notify_open(notify, &why), 0);
}

static int
manager_and_notify(struct notify *notify)
{
	char name[64];
	int manager;

	(void)snprintf(name, sizeof(name), "@acceptd-test-notify-%d", (int)getpid());
	manager = manager_open(name);
	notify_open_to(notify, name);
	return manager;
}

START_TEST(without_a_manager_nothing_happens)
{
	struct notify notify;
	struct fault why;

	unsetenv("NOTIFY_SOCKET");
	ck_assert_int_eq(notify_open(&notify, &why), 0);
	ck_assert_int_eq(notify.fd, -1);
	notify_ready(&notify, "serving");
	notify_retry(&notify);
	notify_close(&notify);
}
END_TEST

START_TEST(every_step_reaches_an_abstract_socket)
{
	struct notify notify;
	char ready[64];
	int manager = manager_and_notify(&notify);

	(void)snprintf(ready, sizeof(ready), "READY=1\nMAINPID=%d\nSTATUS=serving", (int)getpid());
	notify_ready(&notify, "serving");
	ck_assert_str_eq(manager_hears(manager), ready);
	notify_reloading(&notify, 1234567);
	ck_assert_str_eq(
		manager_hears(manager), "RELOADING=1\nMONOTONIC_USEC=1234567\nSTATUS=Reloading");
	notify_alive(&notify);
	ck_assert_str_eq(manager_hears(manager), "WATCHDOG=1");
	notify_stopping(&notify, "finishing");
	ck_assert_str_eq(manager_hears(manager), "STOPPING=1\nSTATUS=finishing");
	notify_close(&notify);
	close(manager);
}
END_TEST

START_TEST(a_socket_with_a_path_is_reached)
{
	char directory[] = "/tmp/acceptd-test-XXXXXX";
	char path[64];
	struct notify notify;
	int manager;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/notify", directory);
	manager = manager_open(path);
	notify_open_to(&notify, path);
	notify_alive(&notify);
	ck_assert_str_eq(manager_hears(manager), "WATCHDOG=1");
	notify_close(&notify);
	close(manager);
	unlink(path);
	rmdir(directory);
}
END_TEST

START_TEST(the_last_step_is_sent_again_when_the_manager_was_busy)
{
	struct notify notify;
	int manager = manager_and_notify(&notify);

	for (int i = 0; i < 10000; i++) { /* more than any queue takes */
		notify_alive(&notify);
	}
	notify_reloading(&notify, 1);
	notify_stopping(&notify, "finishing");
	while (manager_hears(manager)[0] != '\0') {
	}
	notify_retry(&notify);
	ck_assert_str_eq(manager_hears(manager), "STOPPING=1\nSTATUS=finishing");
	notify_retry(&notify);
	ck_assert_str_eq(manager_hears(manager), "");
	notify_close(&notify);
	close(manager);
}
END_TEST

#define TEN_BYTES "/ten/bytes"
static const char *const bad_addresses[] = {"", "/", "relative/path", "vsock:2:1234",
	(TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES
			TEN_BYTES TEN_BYTES)};

START_TEST(a_damaged_address_is_told_and_ignored)
{
	struct notify notify;
	struct fault why;

	setenv("NOTIFY_SOCKET", bad_addresses[_i], 1);
	ck_assert_int_lt(notify_open(&notify, &why), 0);
	ck_assert_ptr_nonnull(strstr(why.text, "NOTIFY_SOCKET"));
	ck_assert_int_eq(notify.fd, -1);
	notify_ready(&notify, "serving");
}
END_TEST

static const struct {
	const char *usec;
	const char *pid; /* "self": ours */
	int64_t period_ms;
} watchdogs[] = {
	{"20000000", NULL, 10000},
	{"20000000", "self", 10000},
	{"20000000", "1", 0},
	{"20000000", "x", 0},
	{"100", NULL, 1},
	{"0", NULL, 0},
	{"x", NULL, 0},
	{NULL, NULL, 0},
};

START_TEST(the_watchdog_is_fed_twice_in_its_time)
{
	struct notify notify;
	char self[16];

	(void)snprintf(self, sizeof(self), "%d", (int)getpid());
	if (watchdogs[_i].usec != NULL) {
		setenv("WATCHDOG_USEC", watchdogs[_i].usec, 1);
	}
	if (watchdogs[_i].pid != NULL) {
		setenv("WATCHDOG_PID",
			strcmp(watchdogs[_i].pid, "self") == 0 ? self : watchdogs[_i].pid, 1);
	}
	notify_open_to(&notify, "@acceptd-test");
	ck_assert_int_eq(notify.watchdog_ms, watchdogs[_i].period_ms);
	ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
	ck_assert_ptr_null(getenv("WATCHDOG_USEC"));
	ck_assert_ptr_null(getenv("WATCHDOG_PID"));
	notify_close(&notify);
}
END_TEST

UNIT_TESTS("notify", tcase_add_test(tests, without_a_manager_nothing_happens);
	   tcase_add_test(tests, every_step_reaches_an_abstract_socket);
	   tcase_add_test(tests, a_socket_with_a_path_is_reached);
	   tcase_add_test(tests, the_last_step_is_sent_again_when_the_manager_was_busy);
	   tcase_add_loop_test(tests, a_damaged_address_is_told_and_ignored, 0,
		   sizeof(bad_addresses) / sizeof(bad_addresses[0]));
	   tcase_add_loop_test(tests, the_watchdog_is_fed_twice_in_its_time, 0,
		   sizeof(watchdogs) / sizeof(watchdogs[0]));)
