#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "common/descriptor.h"
#include "tests/unit/net_help.h"
#include "tests/unit/run.h"

static const char *
owner_of(const struct address *address)
{
	static char buffer[128];

	return net_port_owner(address, buffer, sizeof(buffer));
}

static const char *
this_process(const char *name)
{
	static char said[128];

	(void)snprintf(said, sizeof(said), "pid %d (%s)", (int)getpid(), name);
	return said;
}

static const struct {
	const char *listens, *asks;
} overlaps[] = {
	{"127.0.0.1", "127.0.0.1"},
	{"127.0.0.1", "*"},
	{"127.0.0.1", "0.0.0.0"},
	{"0.0.0.0", "127.0.0.1"},
	{"[::1]", "[::1]"},
	{"[::1]", "*"},
	{"*", "127.0.0.1"},
	{"*", "[::1]"},
	{"*", "*"},
};

START_TEST(the_owner_of_an_overlapping_address_is_named)
{
	struct address listens = help_any_port(overlaps[_i].listens);
	struct address asks = help_any_port(overlaps[_i].asks);
	struct address bound;
	in_port_t port;
	int fd;

	if (help_is_skipped(overlaps[_i].listens)) {
		return;
	}
	fd = help_listen(&listens, &help_options);
	bound = help_bound(fd, false);
	port = htons((uint16_t)address_port(&bound));
	if (asks.any.sa_family == AF_INET) {
		asks.in4.sin_port = port;
	} else {
		asks.in6.sin6_port = port;
	}
	ck_assert_int_eq(prctl(PR_SET_NAME, "the_owner"), 0);
	ck_assert_str_eq(owner_of(&asks), this_process("the_owner"));
	close(fd);
	ck_assert_str_eq(owner_of(&asks), "another process");
}
END_TEST

START_TEST(another_address_on_the_same_port_has_another_owner)
{
	struct address any = help_any_port("127.0.0.1");
	int fd = help_listen(&any, &help_options);
	struct address other = help_address("127.0.0.2:1");

	other.in4.sin_port = help_bound(fd, false).in4.sin_port;
	ck_assert_str_eq(owner_of(&other), "another process");
	close(fd);
}
END_TEST

START_TEST(a_name_of_a_process_cannot_drive_a_terminal)
{
	struct address any = help_any_port("127.0.0.1");
	int fd = help_listen(&any, &help_options);
	struct address bound = help_bound(fd, false);

	ck_assert_int_eq(prctl(PR_SET_NAME, "a\033[2J\nb"), 0);
	ck_assert_str_eq(owner_of(&bound), this_process("a\\x1b[2J\\x0ab"));
	close(fd);
}
END_TEST

START_TEST(a_listener_is_found_among_many_descriptors_and_connections)
{
	struct address any = help_any_port("127.0.0.1");
	int fd = help_listen(&any, &help_options);
	struct address bound = help_bound(fd, false);
	int clients[16];

	for (int i = 0; i < 16; i++) {
		clients[i] = help_connect(&bound);
	}
	for (int i = 0; i < 300; i++) {
		ck_assert_int_ge(dup(0), 0);
	}
	ck_assert_int_eq(prctl(PR_SET_NAME, "busy"), 0);
	ck_assert_str_eq(owner_of(&bound), this_process("busy"));
	/* Connections that outlive their listener do not keep anybody from listening. */
	descriptor_close_from(clients[15] + 1);
	ck_assert_int_ge(help_accept(fd), 0);
	close(fd);
	ck_assert_str_eq(owner_of(&bound), "another process");
	for (int i = 0; i < 16; i++) {
		close(clients[i]);
	}
}
END_TEST

START_TEST(the_owner_of_a_unix_socket_is_named)
{
	char directory[] = "/tmp/test_net_owner.XXXXXX", name[ADDRESS_TEXT_MAX];
	struct address address, other;
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(name, sizeof(name), "unix:%s/with a blank", directory);
	address = help_address(name);
	fd = help_listen(&address, &help_options);
	ck_assert_int_eq(prctl(PR_SET_NAME, "listens"), 0);
	ck_assert_str_eq(owner_of(&address), this_process("listens"));
	name[strlen(name) - 1] = 'K';
	other = help_address(name);
	ck_assert_str_eq(owner_of(&other), "another process");
	close(fd);
	ck_assert_int_eq(unlink(address.un.sun_path), 0);
	ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(a_small_buffer_is_never_overrun)
{
	struct address any = help_any_port("127.0.0.1");
	int fd = help_listen(&any, &help_options);
	struct address bound = help_bound(fd, false);
	char buffer[32];

	for (size_t size = 1; size < 16; size++) {
		memset(buffer, 'x', sizeof(buffer));
		net_port_owner(&bound, buffer, size);
		ck_assert_uint_lt(strnlen(buffer, sizeof(buffer)), size);
		ck_assert_int_eq(buffer[size], 'x');
	}
	close(fd);
}
END_TEST

UNIT_TESTS("net_owner", tcase_add_loop_test(tests, the_owner_of_an_overlapping_address_is_named, 0,
				(int)ARRAY_LEN(overlaps));
	   tcase_add_test(tests, another_address_on_the_same_port_has_another_owner);
	   tcase_add_test(tests, a_name_of_a_process_cannot_drive_a_terminal);
	   tcase_add_test(tests, a_listener_is_found_among_many_descriptors_and_connections);
	   tcase_add_test(tests, the_owner_of_a_unix_socket_is_named);
	   tcase_add_test(tests, a_small_buffer_is_never_overrun);)
