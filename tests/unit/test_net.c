#include "common/net.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "common/clock.h"
#include "common/descriptor.h"
#include "tests/unit/net_help.h"
#include "tests/unit/run.h"

static struct fault why;

static int
get(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	ck_assert_int_eq(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static const char *const hosts[] = {"127.0.0.1", "[::1]", "0.0.0.0", "[::]", "*"};

START_TEST(a_listener_is_as_the_contract_says)
{
	struct address any = help_any_port(hosts[_i]);
	int fd;

	if (help_is_skipped(hosts[_i])) {
		return;
	}
	fd = help_listen(&any, &help_options);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(get(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
	ck_assert_int_eq(get(fd, SOL_SOCKET, SO_REUSEADDR), 1);
	ck_assert_int_eq(get(fd, SOL_SOCKET, SO_REUSEPORT), 0);
	if (any.any.sa_family == AF_INET6) {
		ck_assert_int_eq(get(fd, IPPROTO_IPV6, IPV6_V6ONLY), !any.is_dual);
	}
	close(fd);
}
END_TEST

static bool
serves(int listener, const char *host)
{
	struct address bound = help_bound(listener, false);
	struct address address = help_any_port(host);
	in_port_t port = htons((uint16_t)address_port(&bound));
	bool is_served;
	int client;

	if (address.any.sa_family == AF_INET) {
		address.in4.sin_port = port;
	} else {
		address.in6.sin6_port = port;
	}
	client = help_connect(&address);
	is_served = help_is_connected(client, HELP_WAIT_MS);
	close(client);
	return is_served;
}

START_TEST(the_dual_wildcard_serves_both_families_and_a_plain_one_its_own)
{
	struct address dual = help_any_port("*"), six = help_any_port("[::]");
	int fd = help_listen(&dual, &help_options);

	ck_assert(serves(fd, "127.0.0.1"));
	if (help_is_skipped("[::1]")) {
		close(fd);
		return;
	}
	ck_assert(serves(fd, "[::1]"));
	close(fd);
	fd = help_listen(&six, &help_options);
	ck_assert(!serves(fd, "127.0.0.1"));
	ck_assert(serves(fd, "[::1]"));
	close(fd);
}
END_TEST

/* A kernel without IPv6, as this process sees it from now on. */
static bool
forbid_ipv6(void)
{
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = {.len = ARRAY_LEN(steps), .filter = steps};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0;
}

START_TEST(without_ipv6_the_dual_wildcard_is_ipv4_and_the_rest_is_refused)
{
	struct address dual = help_any_port("*"), six = help_any_port("[::1]");
	struct address bound;
	int fd;

	if (!forbid_ipv6()) {
		printf("skipped: no system call filter here\n");
		return;
	}
	fd = help_listen(&dual, &help_options);
	bound = help_bound(fd, false);
	ck_assert_int_eq(bound.any.sa_family, AF_INET);
	ck_assert_uint_eq(bound.in4.sin_addr.s_addr, INADDR_ANY);
	ck_assert_int_eq(net_listen(&six, &help_options, &why), -EAFNOSUPPORT);
	ck_assert_str_eq(why.text,
		"cannot open a socket for [::1]:0: Address family not supported by protocol");
	close(fd);
}
END_TEST

START_TEST(accepted_sockets_inherit_every_option)
{
	struct net_options options = {.backlog = 5,
		.no_delay = true,
		.keepalive_idle_ms = 6000,
		.keepalive_interval_ms = 2500,
		.keepalive_probes = 2,
		.user_timeout_ms = 12345};
	struct address any = help_any_port("127.0.0.1");
	int fd = help_listen(&any, &options);
	struct address bound = help_bound(fd, false);
	int client = help_connect(&bound), accepted = help_accept(fd);

	ck_assert_int_eq(fcntl(accepted, F_GETFD), FD_CLOEXEC);
	ck_assert_int_ne(fcntl(accepted, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(get(accepted, SOL_SOCKET, SO_KEEPALIVE), 1);
	ck_assert_int_eq(get(accepted, IPPROTO_TCP, TCP_KEEPIDLE), 6);
	ck_assert_int_eq(get(accepted, IPPROTO_TCP, TCP_KEEPINTVL), 3); /* rounded up */
	ck_assert_int_eq(get(accepted, IPPROTO_TCP, TCP_KEEPCNT), 2);
	ck_assert_int_eq(get(accepted, IPPROTO_TCP, TCP_USER_TIMEOUT), 12345);
	ck_assert_int_eq(get(accepted, IPPROTO_TCP, TCP_NODELAY), 1);
	close(accepted);
	close(client);

	ck_assert_int_eq(net_listener_apply(fd, &help_options, &why), 0);
	client = help_connect(&bound);
	accepted = help_accept(fd);
	ck_assert_int_eq(get(accepted, SOL_SOCKET, SO_KEEPALIVE), 0);
	ck_assert_int_eq(get(accepted, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
	ck_assert_int_eq(get(accepted, IPPROTO_TCP, TCP_NODELAY), 0);
	close(accepted);
	close(client);
	close(fd);
}
END_TEST

static const struct {
	struct net_options options;
	const char *sentence;
} refused_options[] = {
	{{.keepalive_idle_ms = 40000000, .keepalive_interval_ms = 1, .keepalive_probes = 1},
		"cannot set the keepalive idle time in seconds to 40000: Invalid argument"},
	{{.keepalive_idle_ms = 1, .keepalive_interval_ms = 0, .keepalive_probes = 1},
		"cannot set the keepalive interval in seconds to 0: Invalid argument"},
	{{.keepalive_idle_ms = 1, .keepalive_interval_ms = 1, .keepalive_probes = 128},
		"cannot set the number of keepalive probes to 128: Invalid argument"},
};

START_TEST(an_option_that_the_kernel_refuses_is_named)
{
	struct address any = help_any_port("127.0.0.1");
	int64_t before = descriptor_count_open();

	ck_assert_int_eq(net_listen(&any, &refused_options[_i].options, &why), -EINVAL);
	ck_assert_str_eq(why.text, refused_options[_i].sentence);
	ck_assert_int_eq(descriptor_count_open(), before);
}
END_TEST

START_TEST(a_port_in_use_and_a_strange_address_are_ordinary_errors)
{
	struct address any = help_any_port("127.0.0.1");
	struct address strange = help_address("192.0.2.1:8080");
	int fd = help_listen(&any, &help_options);
	struct address bound = help_bound(fd, false);
	int64_t before = descriptor_count_open();
	char expected[200], name[ADDRESS_TEXT_MAX];

	ck_assert_int_eq(net_listen(&bound, &help_options, &why), -EADDRINUSE);
	(void)snprintf(expected, sizeof(expected), "cannot bind %s: Address already in use",
		address_format(&bound, name));
	ck_assert_str_eq(why.text, expected);
	ck_assert_int_eq(net_listen(&strange, &help_options, &why), -EADDRNOTAVAIL);
	ck_assert_str_eq(why.text,
		"cannot bind 192.0.2.1:8080: Cannot assign requested address (no network "
		"interface of this machine has it)");
	ck_assert_int_eq(net_listen(&strange, &help_options, NULL), -EADDRNOTAVAIL);
	ck_assert_int_eq(descriptor_count_open(), before);
	close(fd);
}
END_TEST

/* @return whether an ordinary user may not bind port 1 */
static bool
low_ports_are_privileged(void)
{
	char *bytes;
	size_t len;
	bool are = true;

	if (descriptor_read_file(
		    "/proc/sys/net/ipv4/ip_unprivileged_port_start", 20, &bytes, &len) == 0) {
		are = atoi(bytes) > 1;
		free(bytes);
	}
	return are;
}

START_TEST(a_privileged_port_is_refused_with_what_would_help)
{
	struct address one = help_address("127.0.0.1:1");

	if (!low_ports_are_privileged() || (geteuid() == 0 && setuid(65534) != 0)) {
		printf("skipped: every port is free for everybody here\n");
		return;
	}
	ck_assert_int_eq(net_listen(&one, &help_options, &why), -EACCES);
	ck_assert_str_eq(why.text, "cannot bind 127.0.0.1:1: Permission denied (ports below 1024 "
				   "need root or CAP_NET_BIND_SERVICE)");
}
END_TEST

START_TEST(a_port_in_time_wait_can_be_bound_again)
{
	struct address any = help_any_port("127.0.0.1");
	int fd = help_listen(&any, &help_options);
	struct address bound = help_bound(fd, false);
	int client = help_connect(&bound), accepted = help_accept(fd);
	char byte;

	close(accepted); /* the server closes first and keeps TIME_WAIT */
	ck_assert(help_waits(client, POLLIN, HELP_WAIT_MS));
	ck_assert_int_eq(read(client, &byte, 1), 0);
	close(client);
	close(fd);
	fd = help_listen(&bound, &help_options);
	close(fd);
}
END_TEST

START_TEST(accept_tells_where_the_client_came_from)
{
	struct address any = help_any_port("127.0.0.1");
	int fd = help_listen(&any, &help_options);
	struct address bound = help_bound(fd, false), from;
	union peer peer;
	int client, accepted;

	memset(&peer, 0x5a, sizeof(peer));
	ck_assert_int_eq(net_accept(fd, &peer), -EAGAIN);
	ck_assert_int_eq(peer.any.sa_family, AF_UNSPEC);
	client = help_connect(&bound);
	from = help_bound(client, false);
	accepted = net_accept(fd, &peer);
	ck_assert_int_ge(accepted, 0);
	ck_assert_int_eq(peer.in4.sin_family, AF_INET);
	ck_assert_int_eq(peer.in4.sin_port, from.in4.sin_port);
	ck_assert_uint_eq(peer.in4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	close(accepted);
	close(client);
	close(fd);
}
END_TEST

static void
sleep_ms(int64_t duration_ms)
{
	struct timespec wanted = {
		.tv_sec = duration_ms / 1000, .tv_nsec = duration_ms % 1000 * 1000000};

	while (nanosleep(&wanted, &wanted) < 0) {
	}
}

static const int64_t waits_ms[] = {0, 10, 50, 100};

START_TEST(the_time_in_the_queue_is_told_to_a_tick)
{
	const int64_t tick_ms = 11; /* a kernel of 100 Hz, and one for rounding */
	struct address any = help_any_port("127.0.0.1");
	int fd = help_listen(&any, &help_options);
	struct address bound = help_bound(fd, false);
	int64_t connecting, connected, accepting, told;
	struct net_accepted info;
	int client, accepted;

	connecting = clock_monotonic_ms();
	client = help_connect(&bound);
	ck_assert_int_eq(write(client, "early", 5), 5);
	connected = clock_monotonic_ms();
	sleep_ms(waits_ms[_i]); /* the wait is what is measured */
	accepting = clock_monotonic_ms();
	accepted = help_accept(fd);
	ck_assert_int_eq(net_accepted_info(accepted, &info), 0);
	told = clock_monotonic_ms();
	ck_assert(!info.is_gone);
	ck_assert_int_ge(info.queue_wait_ms, accepting - connected - tick_ms);
	ck_assert_int_le(info.queue_wait_ms, told - connecting + tick_ms);
	close(accepted);
	close(client);
	close(fd);
}
END_TEST

START_TEST(a_client_that_was_reset_in_the_queue_is_gone_but_known)
{
	struct address any = help_any_port("127.0.0.1");
	int fd = help_listen(&any, &help_options);
	struct address bound = help_bound(fd, false), from;
	struct net_accepted info;
	union peer peer;
	int client = help_connect(&bound), accepted;

	from = help_bound(client, false);
	net_reset_on_close(client);
	close(client);
	accepted = net_accept(fd, &peer);
	ck_assert_int_ge(accepted, 0);
	ck_assert_int_eq(peer.in4.sin_port, from.in4.sin_port);
	ck_assert_int_eq(net_accepted_info(accepted, &info), 0);
	ck_assert(info.is_gone);
	close(accepted);
	close(fd);
}
END_TEST

START_TEST(a_client_that_only_finished_sending_is_not_gone)
{
	struct address any = help_any_port("127.0.0.1");
	int fd = help_listen(&any, &help_options);
	struct address bound = help_bound(fd, false);
	struct net_accepted info;
	int client = help_connect(&bound), accepted;

	ck_assert_int_eq(write(client, "all of it", 9), 9);
	ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
	accepted = help_accept(fd);
	ck_assert_int_eq(net_accepted_info(accepted, &info), 0);
	ck_assert(!info.is_gone);
	close(accepted);
	close(client);
	close(fd);
}
END_TEST

START_TEST(questions_about_tcp_are_refused_by_other_sockets)
{
	struct net_accepted info = {.queue_wait_ms = 7};
	struct net_peer peer = {.probes = 7};
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(net_accepted_info(pair[0], &info), -EOPNOTSUPP);
	ck_assert_uint_eq(info.queue_wait_ms, 7);
	ck_assert_int_eq(net_peer_look(pair[0], &peer), -EOPNOTSUPP);
	ck_assert_uint_eq(peer.probes, 7);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

START_TEST(a_dead_client_leaves_data_unacknowledged_while_it_is_silent)
{
	struct address any = help_any_port("127.0.0.1");
	int fd = help_listen(&any, &help_options);
	struct address bound = help_bound(fd, false);
	int client = help_connect(&bound), accepted = help_accept(fd);
	struct net_peer peer;
	char byte;

	ck_assert_int_eq(write(accepted, "a", 1), 1);
	ck_assert(help_waits(client, POLLIN, HELP_WAIT_MS));
	ck_assert_int_eq(read(client, &byte, 1), 1);
	ck_assert_int_eq(net_peer_look(accepted, &peer), 0);
	ck_assert_uint_eq(peer.unacknowledged, 0);
	ck_assert_uint_eq(peer.probes, 0);
	ck_assert_int_lt(peer.silent_ms, 5000);
	help_make_deaf(client);
	ck_assert_int_eq(write(accepted, "b", 1), 1);
	do {
		ck_assert_int_eq(net_peer_look(accepted, &peer), 0);
		ck_assert_uint_eq(peer.unacknowledged, 1);
	} while (peer.silent_ms < 30);
	/* A sign of life ends the silence, even without an acknowledgement. */
	ck_assert_int_eq(write(client, "c", 1), 1);
	ck_assert(help_waits(accepted, POLLIN, HELP_WAIT_MS));
	ck_assert_int_eq(net_peer_look(accepted, &peer), 0);
	ck_assert_int_lt(peer.silent_ms, 5000);
	close(accepted);
	close(client);
	close(fd);
}
END_TEST

START_TEST(a_pending_error_is_told_once)
{
	struct address any = help_any_port("127.0.0.1");
	int fd = help_listen(&any, &help_options);
	struct address bound = help_bound(fd, false);
	int client = help_connect(&bound), accepted = help_accept(fd);

	ck_assert_int_eq(net_socket_error(client), 0);
	net_reset_on_close(accepted);
	close(accepted);
	ck_assert(help_waits(client, POLLIN, HELP_WAIT_MS));
	ck_assert_int_eq(net_socket_error(client), ECONNRESET);
	ck_assert_int_eq(net_socket_error(client), 0);
	ck_assert_int_eq(net_socket_error(-1), EBADF);
	close(client);
	close(fd);
}
END_TEST

/* Unix sockets: a directory of the test's own with one path in it. */
static char directory[64];
static struct address socket_address;

static const char *
make_directory(void)
{
	char name[ADDRESS_TEXT_MAX];

	strcpy(directory, "/tmp/test_net.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(name, sizeof(name), "unix:%s/socket", directory);
	socket_address = help_address(name);
	return socket_address.un.sun_path;
}

static void
remove_directory(void)
{
	(void)unlink(socket_address.un.sun_path);
	ck_assert_int_eq(rmdir(directory), 0);
}

static mode_t
mode_of(const char *path)
{
	struct stat info;

	ck_assert_int_eq(lstat(path, &info), 0);
	return info.st_mode;
}

static const mode_t modes[] = {0600, 0660, 0666, 0777, 0000};

START_TEST(a_unix_socket_has_exactly_the_permissions_asked_for)
{
	struct net_options options = {.backlog = 5, .unix_mode = modes[_i]};
	const char *path = make_directory();
	int fd;

	(void)umask(0027);
	fd = help_listen(&socket_address, &options);
	ck_assert_uint_eq(mode_of(path), S_IFSOCK | modes[_i]);
	ck_assert_uint_eq(umask(0022), 0027); /* as it was before */
	options.unix_mode = 0640;
	ck_assert_int_eq(net_listener_apply(fd, &options, &why), 0);
	ck_assert_uint_eq(mode_of(path), S_IFSOCK | 0640);
	close(fd);
	remove_directory();
}
END_TEST

START_TEST(a_unix_client_is_accepted_without_an_address)
{
	union peer peer;
	int fd, client, accepted;

	make_directory();
	fd = help_listen(&socket_address, &help_options);
	client = help_connect(&socket_address);
	accepted = net_accept(fd, &peer);
	ck_assert_int_ge(accepted, 0);
	ck_assert_int_eq(peer.any.sa_family, AF_UNIX);
	close(accepted);
	close(client);
	close(fd);
	remove_directory();
}
END_TEST

START_TEST(a_path_that_nobody_listens_on_is_taken_over)
{
	const char *path = make_directory();
	int fd = help_listen(&socket_address, &help_options);

	close(fd); /* as after a crash: the path stays */
	ck_assert_uint_eq(mode_of(path), S_IFSOCK | 0600);
	fd = help_listen(&socket_address, &help_options);
	close(help_connect(&socket_address));
	close(fd);
	remove_directory();
}
END_TEST

START_TEST(a_path_in_use_is_left_alone)
{
	struct net_options options = {.backlog = 0, .unix_mode = 0600};
	const char *path = make_directory();
	int fd = help_listen(&socket_address, &options), client;
	char expected[200];

	(void)snprintf(
		expected, sizeof(expected), "cannot bind unix:%s: Address already in use", path);
	ck_assert_int_eq(net_listen(&socket_address, &help_options, &why), -EADDRINUSE);
	ck_assert_str_eq(why.text, expected);
	close(help_accept(fd)); /* the question itself */
	client = help_connect(&socket_address);
	/* Now its queue is full, which is no reason to think that nobody listens. */
	ck_assert_int_eq(net_listen(&socket_address, &help_options, &why), -EADDRINUSE);
	close(help_accept(fd));
	close(client);
	close(fd);
	remove_directory();
}
END_TEST

START_TEST(a_datagram_socket_is_in_use_too)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	make_directory();
	ck_assert_int_eq(bind(fd, &socket_address.any, socket_address.len), 0);
	ck_assert_int_eq(net_listen(&socket_address, &help_options, &why), -EADDRINUSE);
	close(fd);
	remove_directory();
}
END_TEST

static void
put_file(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "precious", 8), 8);
	close(fd);
}

static void
put_link(const char *path)
{
	ck_assert_int_eq(symlink("/tmp", path), 0);
}

static void
put_pipe(const char *path)
{
	ck_assert_int_eq(mkfifo(path, 0600), 0);
}

static void (*const putters[])(const char *path) = {put_file, put_link, put_pipe};

START_TEST(what_is_no_socket_is_never_removed)
{
	const char *path = make_directory();
	int64_t before = descriptor_count_open();
	mode_t mode;

	putters[_i](path);
	mode = mode_of(path);
	ck_assert_int_eq(net_listen(&socket_address, &help_options, &why), -EEXIST);
	ck_assert_ptr_nonnull(strstr(why.text, "a file that is no socket is there"));
	ck_assert_uint_eq(mode_of(path), mode);
	ck_assert_int_eq(descriptor_count_open(), before);
	remove_directory();
}
END_TEST

START_TEST(a_missing_directory_is_an_ordinary_error)
{
	make_directory();
	remove_directory();
	ck_assert_int_eq(net_listen(&socket_address, &help_options, &why), -ENOENT);
	ck_assert_ptr_nonnull(strstr(why.text, "cannot bind unix:/tmp/test_net."));
}
END_TEST

START_TEST(a_path_lost_or_replaced_is_told_and_nothing_else_is_touched)
{
	struct net_options options = {.backlog = 5, .unix_mode = 0666};
	const char *path = make_directory();
	int fd = help_listen(&socket_address, &help_options);

	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(net_listener_apply(fd, &options, &why), -ENOENT);
	put_file(path);
	ck_assert_int_eq(net_listener_apply(fd, &options, &why), -ENOTSOCK);
	ck_assert_uint_eq(mode_of(path), S_IFREG | 0600);
	close(fd);
	remove_directory();
}
END_TEST

UNIT_TESTS("net",
	   tcase_add_loop_test(tests, a_listener_is_as_the_contract_says, 0, (int)ARRAY_LEN(hosts));
	   tcase_add_test(tests, the_dual_wildcard_serves_both_families_and_a_plain_one_its_own);
	   tcase_add_test(tests, without_ipv6_the_dual_wildcard_is_ipv4_and_the_rest_is_refused);
	   tcase_add_test(tests, accepted_sockets_inherit_every_option); tcase_add_loop_test(tests,
		   an_option_that_the_kernel_refuses_is_named, 0, (int)ARRAY_LEN(refused_options));
	   tcase_add_test(tests, a_port_in_use_and_a_strange_address_are_ordinary_errors);
	   tcase_add_test(tests, a_privileged_port_is_refused_with_what_would_help);
	   tcase_add_test(tests, a_port_in_time_wait_can_be_bound_again);
	   tcase_add_test(tests, accept_tells_where_the_client_came_from); tcase_add_loop_test(
		   tests, the_time_in_the_queue_is_told_to_a_tick, 0, (int)ARRAY_LEN(waits_ms));
	   tcase_add_test(tests, a_client_that_was_reset_in_the_queue_is_gone_but_known);
	   tcase_add_test(tests, a_client_that_only_finished_sending_is_not_gone);
	   tcase_add_test(tests, questions_about_tcp_are_refused_by_other_sockets);
	   tcase_add_test(tests, a_dead_client_leaves_data_unacknowledged_while_it_is_silent);
	   tcase_add_test(tests, a_pending_error_is_told_once); tcase_add_loop_test(tests,
		   a_unix_socket_has_exactly_the_permissions_asked_for, 0, (int)ARRAY_LEN(modes));
	   tcase_add_test(tests, a_unix_client_is_accepted_without_an_address);
	   tcase_add_test(tests, a_path_that_nobody_listens_on_is_taken_over);
	   tcase_add_test(tests, a_path_in_use_is_left_alone);
	   tcase_add_test(tests, a_datagram_socket_is_in_use_too); tcase_add_loop_test(
		   tests, what_is_no_socket_is_never_removed, 0, (int)ARRAY_LEN(putters));
	   tcase_add_test(tests, a_missing_directory_is_an_ordinary_error);
	   tcase_add_test(tests, a_path_lost_or_replaced_is_told_and_nothing_else_is_touched);)
