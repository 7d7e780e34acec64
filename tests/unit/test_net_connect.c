#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/net.h"
#include "tests/unit/net_help.h"
#include "tests/unit/run.h"

static const struct net_options nothing;

static int
option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	ck_assert_int_eq(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static int
connect_done(const struct address *address, const struct address *source,
	const struct net_options *options)
{
	int fd = net_connect(address, source, options);
	unsigned syn_retries = 99;

	ck_assert_int_ge(fd, 0);
	ck_assert(help_waits(fd, POLLOUT, HELP_WAIT_MS));
	ck_assert_int_eq(net_connect_check(fd, &syn_retries), 0);
	ck_assert_uint_eq(syn_retries, 0);
	return fd;
}

START_TEST(a_connection_is_made_without_waiting_and_closed_on_exec)
{
	struct address any = help_any_port("127.0.0.1"), bound;
	int listener = help_listen(&any, &help_options), fd;

	bound = help_bound(listener, false);
	fd = connect_done(&bound, NULL, &nothing);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	close(fd);
	close(listener);
}
END_TEST

START_TEST(options_are_set_as_given_and_no_others)
{
	struct address any = help_any_port("127.0.0.1"), bound;
	int listener = help_listen(&any, &help_options), fd;
	struct net_options options = {.no_delay = true,
		.keepalive_idle_ms = 61500,
		.keepalive_interval_ms = 7000,
		.keepalive_probes = 3,
		.user_timeout_ms = 12345};

	bound = help_bound(listener, false);
	fd = connect_done(&bound, NULL, &options);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0); /* only if it is asked for */
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 12345);
	ck_assert_int_ne(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	close(fd);
	fd = connect_done(&bound, NULL, &nothing);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
	close(fd);
	close(listener);
}
END_TEST

START_TEST(keepalive_is_set_as_given)
{
	struct address any = help_any_port("127.0.0.1"), bound;
	int listener = help_listen(&any, &help_options), fd;
	struct net_options options = {
		.keepalive_idle_ms = 61500, .keepalive_interval_ms = 7000, .keepalive_probes = 3};

	bound = help_bound(listener, false);
	fd = connect_done(&bound, NULL, &options);
	ck_assert_int_eq(net_keep_alive(fd, &options), 0);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 62);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 7);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
	close(fd);
	close(listener);
}
END_TEST

START_TEST(a_failed_connection_tells_why_and_a_living_one_nothing)
{
	bool has_ended = _i == 1;
	struct address any = help_any_port("127.0.0.1"), bound;
	int listener = help_listen(&any, &help_options), fd, peer;

	bound = help_bound(listener, false);
	fd = connect_done(&bound, NULL, &nothing);
	peer = help_accept(listener);
	ck_assert_int_eq(net_connection_error(fd), 0);
	ck_assert_int_eq(send(peer, "unread", 6, 0), 6);
	if (has_ended) {
		ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
		ck_assert(help_waits(fd, POLLRDHUP, HELP_WAIT_MS));
		ck_assert_int_eq(net_connection_error(fd), 0);
	}
	net_reset_on_close(peer);
	close(peer);
	ck_assert(help_waits(fd, 0, HELP_WAIT_MS));
	ck_assert_int_eq(net_connection_error(fd), has_ended ? EPIPE : ECONNRESET);
	ck_assert_int_eq(net_connection_error(fd), 0);
	close(fd);
	close(listener);
}
END_TEST

START_TEST(it_comes_from_the_source_that_was_given)
{
	struct address any = help_any_port("127.0.0.1"), bound, source = help_any_port("127.0.0.7");
	int listener = help_listen(&any, &help_options), fd;
	struct sockaddr_in from;
	socklen_t len = sizeof(from);

	bound = help_bound(listener, false);
	fd = connect_done(&bound, &source, &nothing);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&from, &len), 0);
	ck_assert_uint_eq(ntohl(from.sin_addr.s_addr), 0x7f000007);
	close(fd);
	close(listener);
}
END_TEST

START_TEST(nobody_there_is_refused_once)
{
	struct address any = help_any_port("127.0.0.1"), bound;
	int listener = help_listen(&any, &help_options), fd;
	unsigned syn_retries;

	bound = help_bound(listener, false);
	close(listener);
	fd = net_connect(&bound, NULL, &nothing);
	ck_assert_int_ge(fd, 0);
	ck_assert(help_waits(fd, POLLOUT, HELP_WAIT_MS));
	ck_assert_int_eq(net_connect_check(fd, &syn_retries), -ECONNREFUSED);
	close(fd);
}
END_TEST

START_TEST(asked_again_it_is_done_or_refused)
{
	struct address any = help_any_port("127.0.0.1"), bound;
	int listener = help_listen(&any, &help_options), fd;

	bound = help_bound(listener, false);
	fd = net_connect(&bound, NULL, &nothing);
	ck_assert(help_waits(fd, POLLOUT, HELP_WAIT_MS));
	ck_assert_int_eq(net_connect_again(fd, &bound), 0);
	ck_assert_int_eq(net_connect_again(fd, &bound), 0);
	ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), 1);
	close(fd);
	close(listener);
	fd = net_connect(&bound, NULL, &nothing);
	ck_assert(help_waits(fd, POLLOUT, HELP_WAIT_MS));
	ck_assert_int_eq(net_connect_again(fd, &bound), -ECONNREFUSED);
	close(fd);
}
END_TEST

/* Its accept queue is full, so the SYN gets no answer. */
START_TEST(a_handshake_without_an_answer_is_under_way)
{
	struct address address;
	int listener = help_listen_explicit(1, &address), fillers[2], fd;
	unsigned syn_retries = 99;

	for (size_t i = 0; i < ARRAY_LEN(fillers); i++) {
		fillers[i] = help_connect(&address);
		ck_assert(help_is_connected(fillers[i], HELP_WAIT_MS));
	}
	fd = net_connect(&address, NULL, &nothing);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(net_connect_again(fd, &address), -EINPROGRESS);
	ck_assert_int_eq(net_connect_check(fd, &syn_retries), -EINPROGRESS);
	ck_assert_uint_eq(syn_retries, 0);
	close(fd);
	close(fillers[0]);
	close(fillers[1]);
	close(listener);
}
END_TEST

START_TEST(one_that_was_answered_and_ended_was_connected)
{
	struct address any = help_any_port("127.0.0.1"), bound;
	int listener = help_listen(&any, &help_options), fd;
	unsigned syn_retries;

	bound = help_bound(listener, false);
	fd = net_connect(&bound, NULL, &nothing);
	close(help_accept(listener));
	ck_assert(help_waits(fd, POLLIN, HELP_WAIT_MS));
	ck_assert_int_eq(net_connect_again(fd, &bound), 0);
	ck_assert_int_eq(net_connect_check(fd, &syn_retries), 0);
	close(fd);
	close(listener);
}
END_TEST

START_TEST(a_unix_socket_is_connected_at_once_or_refuses)
{
	struct address address = {.any = {.sa_family = AF_UNIX}};
	struct sockaddr_un *where = (struct sockaddr_un *)(void *)&address.any;
	char directory[] = "/tmp/test_net_connect-XXXXXX";
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd, last = -1;
	unsigned syn_retries;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(where->sun_path, sizeof(where->sun_path), "%s/s", directory);
	address.len = sizeof(*where);
	ck_assert_int_eq(net_connect(&address, NULL, &nothing), -ENOENT);
	ck_assert_int_eq(bind(listener, &address.any, address.len), 0);
	ck_assert_int_eq(listen(listener, 0), 0);
	fd = net_connect(&address, NULL, &nothing);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(net_connect_again(fd, &address), 0);
	ck_assert_int_eq(net_connect_check(fd, &syn_retries), 0);
	last = net_connect(&address, NULL, &nothing);
	ck_assert_int_eq(last, -ECONNREFUSED); /* its queue is full */
	close(fd);
	close(listener);
	ck_assert_int_eq(unlink(where->sun_path), 0);
	ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

UNIT_TESTS("net_connect",
	   tcase_add_test(tests, a_connection_is_made_without_waiting_and_closed_on_exec);
	   tcase_add_test(tests, options_are_set_as_given_and_no_others);
	   tcase_add_test(tests, keepalive_is_set_as_given);
	   tcase_add_loop_test(tests, a_failed_connection_tells_why_and_a_living_one_nothing, 0, 2);
	   tcase_add_test(tests, it_comes_from_the_source_that_was_given);
	   tcase_add_test(tests, nobody_there_is_refused_once);
	   tcase_add_test(tests, asked_again_it_is_done_or_refused);
	   tcase_add_test(tests, a_handshake_without_an_answer_is_under_way);
	   tcase_add_test(tests, one_that_was_answered_and_ended_was_connected);
	   tcase_add_test(tests, a_unix_socket_is_connected_at_once_or_refuses);)
