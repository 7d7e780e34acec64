#include "common/sock_diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/fault.h"
#include "tests/unit/run.h"

struct pair {
	int listener, client, server;
	uint16_t port;
	struct sockaddr_in at, from;
};

static void
pair_open(struct pair *pair)
{
	socklen_t len = sizeof(pair->at);

	memset(pair, 0, sizeof(*pair));
	pair->at.sin_family = AF_INET;
	pair->at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	pair->listener = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(pair->listener, (struct sockaddr *)&pair->at, len), 0);
	ck_assert_int_eq(listen(pair->listener, 5), 0);
	ck_assert_int_eq(getsockname(pair->listener, (struct sockaddr *)&pair->at, &len), 0);
	pair->client = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(pair->client, (struct sockaddr *)&pair->at, len), 0);
	ck_assert_int_eq(getsockname(pair->client, (struct sockaddr *)&pair->from, &len), 0);
	pair->server = accept(pair->listener, NULL, NULL);
	pair->port = ntohs(pair->at.sin_port);
}

static void
pair_close(struct pair *pair)
{
	(void)close(pair->client);
	(void)close(pair->server);
	(void)close(pair->listener);
}

START_TEST(a_listener_of_this_host_shows_its_queue)
{
	struct address address = {.len = sizeof(struct sockaddr_in)};
	struct sock_diag_queue queue;
	struct pair pair;
	int waiting = socket(AF_INET, SOCK_STREAM, 0);

	pair_open(&pair);
	address.in4 = pair.at;
	ck_assert_int_eq(sock_diag_listener(&address, &queue), 0);
	ck_assert_uint_eq(queue.depth, 0);
	ck_assert_uint_eq(queue.limit, 5);
	ck_assert_uint_eq(queue.dropped_segments, 0);
	ck_assert_int_eq(connect(waiting, &address.any, address.len), 0);
	ck_assert_int_eq(sock_diag_listener(&address, &queue), 0);
	ck_assert_uint_eq(queue.depth, 1);
	(void)close(waiting);
	(void)close(pair.listener);
	ck_assert_int_eq(sock_diag_listener(&address, &queue), -ENOENT);
	(void)close(pair.client);
	(void)close(pair.server);
}
END_TEST

/* A listener on every address takes no SYN that goes to another host. */
START_TEST(an_address_elsewhere_shows_nothing)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	struct address address = {.len = sizeof(struct sockaddr_in)};
	struct address local = {.any = {.sa_family = AF_UNIX}};
	socklen_t len = sizeof(any);
	struct sock_diag_queue queue;
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&any, sizeof(any)), 0);
	ck_assert_int_eq(listen(listener, 7), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&any, &len), 0);
	address.in4 = any;
	ck_assert_int_eq(inet_pton(AF_INET, "127.0.0.9", &address.in4.sin_addr), 1);
	ck_assert_int_eq(sock_diag_listener(&address, &queue), 0);
	ck_assert_uint_eq(queue.limit, 7);
	ck_assert_int_eq(inet_pton(AF_INET, "192.0.2.1", &address.in4.sin_addr), 1);
	ck_assert_int_eq(sock_diag_listener(&address, &queue), -EADDRNOTAVAIL);
	ck_assert_int_eq(sock_diag_listener(&local, &queue), -EAFNOSUPPORT);
	(void)close(listener);
}
END_TEST

struct tally {
	unsigned by_state[SOCK_DIAG_STATE_COUNT];
	unsigned remote_port;
	unsigned limit;
	unsigned calls;
};

static int
tally_add(const struct sock_diag_socket *found, void *context)
{
	struct tally *tally = context;

	tally->by_state[found->state]++;
	tally->calls++;
	if (found->state == SOCK_DIAG_LISTEN) {
		tally->limit = found->send_queue_bytes;
	} else {
		tally->remote_port = ntohs(found->remote.in4.sin_port);
	}
	return 0;
}

START_TEST(sockets_of_a_port_are_listed_with_state_and_peer)
{
	struct tally tally = {0};
	struct fault why;
	struct pair pair;

	pair_open(&pair);
	ck_assert_int_eq(sock_diag_each(pair.port, SOCK_DIAG_ALL, tally_add, &tally, &why), 0);
	ck_assert_uint_eq(tally.by_state[SOCK_DIAG_LISTEN], 1);
	ck_assert_uint_eq(tally.by_state[SOCK_DIAG_ESTABLISHED], 1);
	ck_assert_uint_eq(tally.limit, 5);
	ck_assert_uint_eq(tally.remote_port, ntohs(pair.from.sin_port));
	pair_close(&pair);
}
END_TEST

START_TEST(a_client_that_closed_first_is_seen_in_close_wait)
{
	struct tally tally = {0};
	struct pair pair;
	char byte;

	pair_open(&pair);
	ck_assert_int_eq(shutdown(pair.client, SHUT_WR), 0);
	ck_assert_int_eq(recv(pair.server, &byte, 1, 0), 0);
	ck_assert_int_eq(
		sock_diag_each(pair.port, SOCK_DIAG_ALL_BUT_STEADY, tally_add, &tally, NULL), 0);
	ck_assert_uint_eq(tally.by_state[SOCK_DIAG_CLOSE_WAIT], 1);
	ck_assert_uint_eq(tally.by_state[SOCK_DIAG_LISTEN], 0);
	pair_close(&pair);
}
END_TEST

static int
stop_at_once(const struct sock_diag_socket *found, void *context)
{
	(void)found;
	(*(int *)context)++;
	return 7;
}

START_TEST(the_caller_may_end_the_dump)
{
	struct pair pair;
	int calls = 0;

	pair_open(&pair);
	ck_assert_int_eq(sock_diag_each(pair.port, SOCK_DIAG_ALL, stop_at_once, &calls, NULL), 7);
	ck_assert_int_eq(calls, 1);
	pair_close(&pair);
}
END_TEST

START_TEST(states_have_names_both_ways)
{
	ck_assert_str_eq(sock_diag_state_name(SOCK_DIAG_CLOSE_WAIT), "CLOSE_WAIT");
	ck_assert_int_eq(sock_diag_state_by_name("close-wait"), SOCK_DIAG_CLOSE_WAIT);
	ck_assert_int_eq(sock_diag_state_by_name("LAST_ACK"), SOCK_DIAG_LAST_ACK);
	ck_assert_int_eq(sock_diag_state_by_name("nonsense"), 0);
	ck_assert_int_eq(sock_diag_state_by_name(""), 0);
	ck_assert_str_eq(sock_diag_state_name((enum sock_diag_state)99), "UNKNOWN");
}
END_TEST

UNIT_TESTS("sock_diag", tcase_add_test(tests, a_listener_of_this_host_shows_its_queue);
	   tcase_add_test(tests, an_address_elsewhere_shows_nothing);
	   tcase_add_test(tests, sockets_of_a_port_are_listed_with_state_and_peer);
	   tcase_add_test(tests, a_client_that_closed_first_is_seen_in_close_wait);
	   tcase_add_test(tests, the_caller_may_end_the_dump);
	   tcase_add_test(tests, states_have_names_both_ways);)
