#include "master/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/fault.h"
#include "tests/unit/run.h"

#define SELF 4711

static const struct {
	const char *pid, *fds;
	int count;
} variables[] = {
	{NULL, NULL, 0},
	{"4711", NULL, 0},
	{NULL, "1", 0},
	{"4711", "0", 0},
	{"4711", "2", 2},
	{"4711", "256", 256},
	{"1", "2", 0}, /* meant for somebody else: our parent was started by a manager */
	{"4711", "257", -EINVAL},
	{"4711", "-1", -EINVAL},
	{"4711", "two", -EINVAL},
	{"4711", "", -EINVAL},
	{"47x11", "1", -EINVAL},
};

START_TEST(only_sockets_meant_for_us_are_counted)
{
	ck_assert_int_eq(
		activation_parse(variables[_i].pid, variables[_i].fds, SELF), variables[_i].count);
}
END_TEST

/* A stream socket with descriptor number `at`: Check itself needs the low ones. */
#define FIRST_FD 100

static void
socket_at(int at, bool is_listening)
{
	struct sockaddr_in loopback = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&loopback, sizeof(loopback)), 0);
	if (is_listening) {
		ck_assert_int_eq(listen(fd, 1), 0);
	}
	ck_assert_int_eq(dup2(fd, at), at);
	close(fd);
}

static void
pass(int count)
{
	char pid[16], fds[16];

	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	(void)snprintf(fds, sizeof(fds), "%d", count);
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", fds, 1);
	setenv("LISTEN_FDNAMES", "web", 1);
}

START_TEST(a_passed_socket_is_found_by_its_address_once)
{
	static struct activation activation;
	struct address address, other;
	struct fault why;

	socket_at(FIRST_FD, true);
	pass(1);
	ck_assert_int_eq(activation_open(&activation, FIRST_FD, &why), 0);
	ck_assert_ptr_null(getenv("LISTEN_PID"));
	ck_assert_ptr_null(getenv("LISTEN_FDS"));
	ck_assert_ptr_null(getenv("LISTEN_FDNAMES"));
	ck_assert_int_eq(fcntl(FIRST_FD, F_GETFD), FD_CLOEXEC);
	ck_assert_int_ne(fcntl(FIRST_FD, F_GETFL) & O_NONBLOCK, 0);

	ck_assert_int_eq(activation_address_of(FIRST_FD, &address), 0);
	other = address;
	other.in4.sin_port ^= 1;
	ck_assert_int_eq(activation_take(&activation, &other), -1);
	ck_assert_int_eq(activation_take(&activation, &address), FIRST_FD);
	ck_assert_int_eq(activation_take(&activation, &address), -1);
	activation_give_back(&activation, FIRST_FD, &address);
	ck_assert_int_eq(activation_take(&activation, &address), FIRST_FD);
	activation_give_back(&activation, FIRST_FD, &address);
	activation_close(&activation);
	ck_assert_int_eq(fcntl(FIRST_FD, F_GETFD), -1);
}
END_TEST

START_TEST(what_does_not_listen_is_refused_and_the_rest_kept)
{
	static struct activation activation;
	struct address address;
	struct fault why;

	socket_at(FIRST_FD, false);
	socket_at(FIRST_FD + 1, true);
	pass(2);
	ck_assert_int_lt(activation_open(&activation, FIRST_FD, &why), 0);
	ck_assert_ptr_nonnull(strstr(why.text, "descriptor 100"));
	ck_assert_int_eq(fcntl(FIRST_FD, F_GETFD), -1);
	ck_assert_int_eq(activation_address_of(FIRST_FD + 1, &address), 0);
	ck_assert_int_eq(activation_take(&activation, &address), FIRST_FD + 1);
	close(FIRST_FD + 1);
}
END_TEST

START_TEST(a_dual_wildcard_is_told_from_an_ipv6_one)
{
	struct address address;
	struct sockaddr_in6 wildcard = {.sin6_family = AF_INET6};

	for (int v6only = 0; v6only <= 1; v6only++) {
		int fd = socket(AF_INET6, SOCK_STREAM, 0);

		ck_assert_int_eq(
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)), 0);
		ck_assert_int_eq(bind(fd, (struct sockaddr *)&wildcard, sizeof(wildcard)), 0);
		ck_assert_int_eq(activation_address_of(fd, &address), 0);
		ck_assert_int_eq(address.is_dual, v6only == 0);
		close(fd);
	}
}
END_TEST

UNIT_TESTS("activation", tcase_add_loop_test(tests, only_sockets_meant_for_us_are_counted, 0,
				 sizeof(variables) / sizeof(variables[0]));
	   tcase_add_test(tests, a_passed_socket_is_found_by_its_address_once);
	   tcase_add_test(tests, what_does_not_listen_is_refused_and_the_rest_kept);
	   tcase_add_test(tests, a_dual_wildcard_is_told_from_an_ipv6_one);)
