#include <netinet/tcp.h>
#include <sys/stat.h>

#include "common/descriptor.h"
#include "tests/unit/net_help.h"
#include "tests/unit/run.h"

static int64_t
somaxconn(void)
{
	char *bytes;
	size_t len;
	int64_t value;

	ck_assert_int_eq(
		descriptor_read_file("/proc/sys/net/core/somaxconn", 100, &bytes, &len), 0);
	value = strtoll(bytes, NULL, 10);
	free(bytes);
	return value;
}

static const int64_t backlogs[] = {0, 1, 5, 64, 2000, 65535, 10000000, INT64_C(99999999999)};

START_TEST(the_effective_backlog_is_read_back)
{
	struct net_options options = help_options;
	struct address any = help_any_port("127.0.0.1");
	struct net_queue queue;
	int fd;

	options.backlog = backlogs[_i];
	fd = help_listen(&any, &options);
	queue = help_sample(fd);
	ck_assert(queue.is_listening);
	ck_assert_int_eq(queue.limit, backlogs[_i] < somaxconn() ? backlogs[_i] : somaxconn());
	ck_assert_uint_eq(queue.depth, 0);
	ck_assert_uint_eq(queue.dropped_segments, 0);
	close(fd);
}
END_TEST

START_TEST(a_full_queue_shows_its_depth_and_what_it_dropped)
{
	struct address address;
	int fd = help_listen_explicit(2, &address);
	int clients[5];
	struct net_queue queue;

	for (uint32_t i = 0; i < 3; i++) { /* limit + 1 get in */
		clients[i] = help_connect(&address);
		ck_assert(help_is_connected(clients[i], HELP_WAIT_MS));
		ck_assert_uint_eq(net_listener_depth(fd), i + 1);
	}
	queue = help_sample(fd);
	ck_assert_uint_eq(queue.depth, 3);
	ck_assert_uint_eq(queue.limit, 2);
	ck_assert_uint_eq(queue.dropped_segments, 0);
	for (uint32_t i = 3; i < 5; i++) {
		clients[i] = help_connect(&address);
		queue = help_sample(fd);
		ck_assert_uint_eq(queue.depth, 3);
		ck_assert_uint_ge(queue.dropped_segments, i - 2);
		ck_assert(!help_is_connected(clients[i], 0));
	}
	for (int i = 0; i < 5; i++) { /* the two are let in when they try again */
		close(help_accept(fd));
	}
	ck_assert_uint_eq(net_listener_depth(fd), 0);
	for (int i = 0; i < 5; i++) {
		close(clients[i]);
	}
	close(fd);
}
END_TEST

START_TEST(a_new_backlog_works_at_once_both_ways_and_loses_nobody)
{
	struct net_options options = help_options;
	struct address address;
	int fd = help_listen_explicit(0, &address);
	int clients[8];

	clients[0] = help_connect(&address);
	ck_assert(help_is_connected(clients[0], HELP_WAIT_MS));
	options.backlog = 6;
	ck_assert_int_eq(net_listener_apply(fd, &options, NULL), 0);
	ck_assert_uint_eq(help_sample(fd).limit, 6);
	for (int i = 1; i < 7; i++) {
		clients[i] = help_connect(&address);
		ck_assert(help_is_connected(clients[i], HELP_WAIT_MS));
	}
	options.backlog = 1;
	ck_assert_int_eq(net_listener_apply(fd, &options, NULL), 0);
	ck_assert_uint_eq(help_sample(fd).limit, 1);
	ck_assert_uint_eq(help_sample(fd).depth, 7);
	clients[7] = help_connect(&address);
	ck_assert(!help_is_connected(clients[7], 0));
	for (int i = 0; i < 7; i++) {
		int accepted = help_accept(fd);

		ck_assert_int_eq(write(accepted, "x", 1), 1);
		close(accepted);
		close(clients[i]);
	}
	close(clients[7]);
	close(fd);
}
END_TEST

START_TEST(a_listener_that_was_shut_down_is_seen_and_healed)
{
	struct address address;
	int fd = help_listen_explicit(5, &address);
	int client = help_connect(&address);
	struct net_queue queue;

	ck_assert_uint_eq(net_listener_depth(fd), 1);
	ck_assert_int_eq(shutdown(fd, SHUT_RDWR), 0);
	queue = help_sample(fd);
	ck_assert(!queue.is_listening);
	ck_assert_uint_eq(queue.depth, 0);
	ck_assert_uint_eq(queue.limit, 0);
	ck_assert_uint_eq(net_listener_depth(fd), 0);
	close(client);
	ck_assert_int_eq(net_listener_apply(fd, &help_options, NULL), 0);
	queue = help_sample(fd);
	ck_assert(queue.is_listening);
	ck_assert_uint_eq(queue.limit, 16);
	client = help_connect(&address);
	ck_assert(help_is_connected(client, HELP_WAIT_MS));
	close(help_accept(fd));
	close(client);
	close(fd);
}
END_TEST

static int
state_of(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	return info.tcpi_state;
}

/* @return whether it worked; where it may not, the second best was done */
static bool
shut_out(int fd)
{
	int status = net_listener_shut_out(fd);

	if (status == -EPERM) {
		printf("skipped: this kernel wants CAP_NET_ADMIN for a filter\n");
		ck_assert_uint_eq(help_sample(fd).limit, 0);
		ck_assert_int_eq(net_listener_let_in(fd), -ENOENT);
		ck_assert_int_eq(net_listener_apply(fd, &help_options, NULL), 0);
		ck_assert_uint_eq(help_sample(fd).limit, (uint32_t)help_options.backlog);
		return false;
	}
	ck_assert_int_eq(status, 0);
	return true;
}

static const char *const hosts[] = {"127.0.0.1", "[::1]", "*"};

START_TEST(a_newcomer_is_shut_out_until_let_in_and_then_gets_in_by_itself)
{
	struct address any = help_any_port(hosts[_i]), address;
	int fd, client;

	if (help_is_skipped(hosts[_i])) {
		return;
	}
	fd = help_listen(&any, &help_options);
	address = help_bound(fd, false);
	if (any.is_dual) { /* IPv4 through an IPv6 socket */
		in_port_t port = address.in6.sin6_port;

		address = help_any_port("127.0.0.1");
		address.in4.sin_port = port;
	}
	if (!shut_out(fd)) {
		close(fd);
		return;
	}
	client = help_connect(&address);
	ck_assert_uint_ge(help_sample(fd).dropped_segments, 1);
	ck_assert_int_eq(state_of(client), TCP_SYN_SENT);
	ck_assert_uint_eq(net_listener_depth(fd), 0);
	ck_assert_int_eq(net_listener_let_in(fd), 0);
	ck_assert(help_is_connected(client, HELP_WAIT_MS)); /* its SYN is sent again */
	close(help_accept(fd));
	close(client);
	close(fd);
}
END_TEST

START_TEST(who_was_there_before_shutting_out_is_served)
{
	const int wait_for_data_s = 30;
	struct address address;
	int fd = help_listen_explicit(5, &address);
	int queued = help_connect(&address), half_done, accepted;
	char byte;

	ck_assert(help_is_connected(queued, HELP_WAIT_MS));
	/* Deferred accept leaves the handshake half done until the client sends. */
	ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &wait_for_data_s,
				 sizeof(wait_for_data_s)),
		0);
	half_done = help_connect(&address);
	ck_assert(help_is_connected(half_done, HELP_WAIT_MS));
	ck_assert_uint_eq(net_listener_depth(fd), 1);
	(void)shut_out(fd);
	ck_assert_int_eq(write(half_done, "h", 1), 1);
	ck_assert_uint_eq(net_listener_depth(fd), 2);
	ck_assert_int_eq(write(queued, "q", 1), 1);
	accepted = help_accept(fd);
	ck_assert(help_waits(accepted, POLLIN, HELP_WAIT_MS));
	ck_assert_int_eq(read(accepted, &byte, 1), 1);
	ck_assert_int_eq(byte, 'q');
	close(accepted);
	accepted = help_accept(fd);
	ck_assert(help_waits(accepted, POLLIN, HELP_WAIT_MS));
	ck_assert_int_eq(read(accepted, &byte, 1), 1);
	ck_assert_int_eq(byte, 'h');
	/* The filter is inherited by accepted sockets and must not disturb them. */
	ck_assert_int_eq(write(accepted, "answer", 6), 6);
	ck_assert(help_waits(half_done, POLLIN, HELP_WAIT_MS));
	ck_assert_int_eq(read(half_done, &byte, 1), 1);
	close(accepted);
	close(queued);
	close(half_done);
	close(fd);
}
END_TEST

START_TEST(letting_in_when_nobody_is_shut_out_says_so)
{
	struct address any = help_any_port("127.0.0.1");
	int fd = help_listen(&any, &help_options);

	ck_assert_int_eq(net_listener_let_in(fd), -ENOENT);
	if (shut_out(fd)) {
		ck_assert(shut_out(fd));
		ck_assert_int_eq(net_listener_let_in(fd), 0);
		ck_assert_int_eq(net_listener_let_in(fd), -ENOENT);
	}
	close(fd);
}
END_TEST

START_TEST(a_unix_listener_is_sampled_through_sock_diag)
{
	char directory[] = "/tmp/test_net_queue.XXXXXX", name[ADDRESS_TEXT_MAX];
	struct net_options options = help_options;
	struct address address;
	struct net_queue queue;
	int fd, clients[3];
	int64_t before;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(name, sizeof(name), "unix:%s/socket", directory);
	address = help_address(name);
	options.backlog = 7;
	fd = help_listen(&address, &options);
	for (int i = 0; i < 3; i++) {
		clients[i] = help_connect(&address);
	}
	before = descriptor_count_open();
	queue = help_sample(fd);
	ck_assert(queue.is_listening);
	if (queue.limit == 0) {
		printf("skipped: the kernel has no unix_diag\n");
	} else {
		ck_assert_uint_eq(queue.limit, 7);
		ck_assert_uint_eq(queue.depth, 3);
		ck_assert_uint_eq(net_listener_depth(fd), 3);
		options.backlog = INT64_MAX;
		ck_assert_int_eq(net_listener_apply(fd, &options, NULL), 0);
		ck_assert_int_eq(help_sample(fd).limit, somaxconn());
	}
	ck_assert_int_eq(descriptor_count_open(), before);
	ck_assert_int_eq(shutdown(fd, SHUT_RDWR), 0);
	ck_assert(!help_sample(fd).is_listening);
	ck_assert_int_eq(net_listener_apply(fd, &options, NULL), -ESHUTDOWN);
	for (int i = 0; i < 3; i++) {
		close(clients[i]);
	}
	close(fd);
	ck_assert_int_eq(unlink(address.un.sun_path), 0);
	ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(data_on_its_way_is_not_taken_for_a_queue)
{
	struct address address;
	int fd = help_listen_explicit(5, &address);
	int client = help_connect(&address), accepted = help_accept(fd);

	help_make_deaf(client);
	ck_assert_int_eq(write(accepted, "x", 1), 1); /* never acknowledged */
	ck_assert(!help_sample(accepted).is_listening);
	ck_assert_uint_eq(help_sample(accepted).depth, 0);
	ck_assert_uint_eq(net_listener_depth(accepted), 0);
	close(accepted);
	close(client);
	close(fd);
}
END_TEST

START_TEST(what_is_no_listener_is_told)
{
	struct net_queue queue = {.depth = 77};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int pair[2];

	ck_assert(!help_sample(fd).is_listening);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert(!help_sample(pair[0]).is_listening);
	ck_assert_int_eq(net_listener_sample(-1, &queue), -EBADF);
	ck_assert_uint_eq(queue.depth, 77);
	ck_assert_uint_eq(net_listener_depth(-1), 0);
	close(pair[0]);
	close(pair[1]);
	close(fd);
}
END_TEST

UNIT_TESTS(
	"net_queue",
	tcase_add_loop_test(tests, the_effective_backlog_is_read_back, 0, (int)ARRAY_LEN(backlogs));
	tcase_add_test(tests, a_full_queue_shows_its_depth_and_what_it_dropped);
	tcase_add_test(tests, a_new_backlog_works_at_once_both_ways_and_loses_nobody);
	tcase_add_test(tests, a_listener_that_was_shut_down_is_seen_and_healed);
	tcase_add_loop_test(tests, a_newcomer_is_shut_out_until_let_in_and_then_gets_in_by_itself,
		0, (int)ARRAY_LEN(hosts));
	tcase_add_test(tests, who_was_there_before_shutting_out_is_served);
	tcase_add_test(tests, letting_in_when_nobody_is_shut_out_says_so);
	tcase_add_test(tests, a_unix_listener_is_sampled_through_sock_diag);
	tcase_add_test(tests, data_on_its_way_is_not_taken_for_a_queue);
	tcase_add_test(tests, what_is_no_listener_is_told);)
