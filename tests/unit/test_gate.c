#include "worker/gate.h"

#include "tests/unit/peer_help.h"
#include "tests/unit/run.h"
#include "tests/unit/worker_help.h"

#define LIST_MAX 4

static void
read_list(const char *const *networks, struct network *items, struct network_list *list)
{
	*list = (struct network_list){items, 0};
	for (; networks[list->count] != NULL; list->count++) {
		ck_assert_int_eq(
			network_parse(networks[list->count], &items[list->count], NULL), 0);
	}
}

static const struct {
	const char *allow[LIST_MAX], *deny[LIST_MAX];
	const char *client;
	bool is_let_in;
} cases[] = {
	{{NULL}, {NULL}, "203.0.113.9", true},
	{{NULL}, {NULL}, "2001:db8::9", true},
	{{"10.0.0.0/8"}, {NULL}, "10.1.2.3", true},
	{{"10.0.0.0/8"}, {NULL}, "203.0.113.9", false},
	{{"10.0.0.0/8"}, {NULL}, "2001:db8::9", false},
	{{NULL}, {"10.0.0.0/8"}, "10.1.2.3", false},
	{{NULL}, {"10.0.0.0/8"}, "203.0.113.9", true},
	/* deny is stronger, whichever is the narrower */
	{{"10.0.0.0/8"}, {"10.1.0.0/16"}, "10.1.2.3", false},
	{{"10.0.0.0/8"}, {"10.1.0.0/16"}, "10.2.2.3", true},
	{{"10.1.0.0/16"}, {"10.0.0.0/8"}, "10.1.2.3", false},
	/* a client of a dual socket */
	{{"10.0.0.0/8"}, {NULL}, "::ffff:10.1.2.3", true},
	{{NULL}, {"10.0.0.0/8"}, "::ffff:10.1.2.3", false},
	/* unix sockets have their permissions */
	{{"10.0.0.0/8"}, {NULL}, "unix", true},
	{{NULL}, {"0.0.0.0/0", "::/0"}, "unix", true},
	{{NULL}, {"0.0.0.0/0", "::/0"}, "203.0.113.9", false},
	{{NULL}, {"0.0.0.0/0", "::/0"}, "2001:db8::9", false},
};

START_TEST(lists_let_in_or_not)
{
	struct network allow[LIST_MAX], deny[LIST_MAX];
	struct listener_config config = {0};
	union peer client = help_peer(cases[_i].client);
	struct gate gate;

	read_list(cases[_i].allow, allow, &config.allow);
	read_list(cases[_i].deny, deny, &config.deny);
	ck_assert_int_eq(gate_open(&gate, &config), 0);
	ck_assert_int_eq(gate_lets_in(&gate, &client), cases[_i].is_let_in);
	gate_close(&gate);
}
END_TEST

static const struct {
	const char *trusted[LIST_MAX];
	const char *sender;
	bool is_trusted;
} senders[] = {
	{{"10.0.0.0/29"}, "10.0.0.7", true},
	{{"10.0.0.0/29"}, "10.0.0.8", false},
	{{"10.0.0.0/29"}, "::ffff:10.0.0.7", true},
	{{"10.0.0.0/29", "2001:db8::/64"}, "2001:db8::1", true},
	{{NULL}, "127.0.0.1", false},
	{{NULL}, "::1", false},
	{{NULL}, "unix", true},
};

START_TEST(senders_are_trusted_or_not)
{
	struct network trusted[LIST_MAX];
	struct listener_config config = {.accept_proxy = true};
	union peer sender = help_peer(senders[_i].sender);
	struct gate gate;

	read_list(senders[_i].trusted, trusted, &config.trusted);
	ck_assert_int_eq(gate_open(&gate, &config), 0);
	ck_assert_int_eq(gate_trusts(&gate, &sender), senders[_i].is_trusted);
	gate_close(&gate);
}
END_TEST

static int opened, closed;

static struct verdict
count_open(struct conn *conn)
{
	(void)conn;
	opened++;
	return verdict_go_on();
}

static void
count_close(struct conn *conn, enum close_reason reason)
{
	(void)conn;
	(void)reason;
	closed++;
}

START_TEST(a_denied_client_is_reset_and_its_protocol_never_hears_of_it)
{
	static const struct protocol counting = {
		.name = "counting", .on_open = count_open, .on_close = count_close};
	struct network everywhere;
	char byte;
	int client;

	room_open();
	ck_assert_int_eq(network_parse("0.0.0.0/0", &everywhere, NULL), 0);
	room.config.deny = (struct network_list){&everywhere, 1};
	room_use_config();
	room.settings->protocol = &counting;
	client = room_client();
	ck_assert_ptr_null(room.service.conns);
	ck_assert_uint_eq(room_closed(CLOSE_denied), 1);
	ck_assert_int_eq(recv(client, &byte, 1, 0), -1);
	ck_assert_int_eq(errno, ECONNRESET);
	ck_assert_int_eq(opened, 0);
	ck_assert_int_eq(closed, 0);
	close(client);
	room_close();
}
END_TEST

UNIT_TESTS("gate", tcase_add_loop_test(tests, lists_let_in_or_not, 0, (int)ARRAY_LEN(cases));
	   tcase_add_loop_test(tests, senders_are_trusted_or_not, 0, (int)ARRAY_LEN(senders));
	   tcase_add_test(tests, a_denied_client_is_reset_and_its_protocol_never_hears_of_it);)
