#include "master/backends.h"

#include <errno.h>
#include <string.h>

#include "common/board.h"
#include "common/config.h"
#include "common/fault.h"
#include "master/backend_rows.h"
#include "tests/unit/board_help.h"
#include "tests/unit/run.h"

static struct board board;

/* Two upstreams that both have a server "a". */
static struct config *
load(const char *more)
{
	static struct findings findings;
	struct config *config = NULL;
	char text[1024];

	memset(&findings, 0, sizeof(findings));
	(void)snprintf(text, sizeof(text),
		"listeners = ( { name = \"l\"; address = \"127.0.0.1:7000\"; protocol = \"echo\"; "
		"} );"
		"upstreams = ( { name = \"u\"; servers = ( { name = \"a\"; address = "
		"\"127.0.0.1:1\"; %s }, "
		"{ address = \"127.0.0.1:2\"; } ); }, "
		"{ name = \"v\"; servers = ( { name = \"a\"; address = \"127.0.0.1:3\"; } ); } );",
		more);
	ck_assert_msg(config_load_text(text, "t.conf", &config, &findings) == 0, "%s",
		findings.items[0].text);
	return config;
}

static void
use(const char *more)
{
	struct config *config = load(more);
	struct fault why;

	ck_assert_int_eq(backend_rows_check(&board, config, UINT64_MAX, &why), 0);
	backends_use(&board, config, UINT64_MAX);
	config_free(&config);
}

static void
use_without_u(void)
{
	static struct findings findings;
	struct config *config = NULL;

	memset(&findings, 0, sizeof(findings));
	ck_assert_int_eq(
		config_load_text(
			"listeners = ( { name = \"l\"; address = \"127.0.0.1:7000\"; "
			"protocol = \"echo\"; } ); upstreams = ( { name = \"v\"; servers = "
			"( { name = \"a\"; address = \"127.0.0.1:3\"; } ); } );",
			"t.conf", &config, &findings),
		0);
	backends_use(&board, config, UINT64_MAX);
	config_free(&config);
}

static void
setup(void)
{
	help_create_board(&board, 0);
	use("");
}

static void
teardown(void)
{
	board_detach(&board);
}

static const struct board_server_head *
head_of(const char *upstream, const char *name)
{
	int row = board_find_server(&board, board_find_upstream(&board, upstream), name);

	ck_assert_int_ge(row, 0);
	return &board.master->servers[row];
}

START_TEST(a_reload_keeps_the_rows)
{
	const struct board_server_head *before = head_of("u", "127.0.0.1:2");

	use("weight = 3;");
	ck_assert_ptr_eq(head_of("u", "127.0.0.1:2"), before);
	ck_assert_str_eq(before->address, "127.0.0.1:2");
	ck_assert_ptr_ne(head_of("u", "a"), head_of("v", "a"));
}
END_TEST

static const struct {
	const char *order;
	int status;
} orders[] = {
	{"u/a drain", 0},
	{"u/a ready", 0},
	{"u/a weight 0", 0},
	{"u/a weight 256", 0},
	{"u/a max none", 0},
	{"127.0.0.1:2 max 7", 0},
	{"a drain", -EINVAL}, /* which one? */
	{"b drain", -ENOENT},
	{"", -ENOENT},
	{"u/a", -EINVAL},
	{"u/a go", -EINVAL},
	{"u/a drain 1", -EINVAL},
	{"u/a weight", -EINVAL},
	{"u/a weight 257", -EINVAL},
	{"u/a weight -1", -EINVAL},
	{"u/a weight none", -EINVAL}, /* would it be 0, or as many as any? */
	{"u/a max many", -EINVAL},
};

START_TEST(an_order_is_obeyed_or_refused_with_words)
{
	char text[256] = "";

	ck_assert_int_eq(
		backends_order(&board, orders[_i].order, text, sizeof(text)), orders[_i].status);
	ck_assert_uint_gt(strlen(text), 10);
}
END_TEST

START_TEST(an_order_holds_until_the_file_says_something_else)
{
	const struct board_server_head *head = head_of("u", "a");
	char text[256];

	ck_assert_int_eq(backends_order(&board, "u/a weight 5", text, sizeof(text)), 0);
	ck_assert_int_eq(backends_order(&board, "u/a max 9", text, sizeof(text)), 0);
	use("");
	ck_assert_uint_eq(stat_get(&head->weight), 6);
	ck_assert_uint_eq(stat_get(&head->max_connections), 10);
	use("weight = 2;");
	ck_assert_uint_eq(stat_get(&head->weight), 0);
	ck_assert_uint_eq(stat_get(&head->max_connections), 10);
	ck_assert_uint_eq(stat_get(&head->configured_weight), 2);
}
END_TEST

START_TEST(an_order_goes_with_the_server_that_the_file_removes)
{
	const struct board_server_head *head = head_of("u", "a");
	char text[256];

	ck_assert_int_eq(backends_order(&board, "u/a weight 0", text, sizeof(text)), 0);
	ck_assert_int_eq(backends_order(&board, "u/a max 9", text, sizeof(text)), 0);
	ck_assert_int_eq(backends_order(&board, "u/a drain", text, sizeof(text)), 0);
	ck_assert_int_eq(backends_order(&board, "v/a weight 7", text, sizeof(text)), 0);
	use("}, { name = \"b\"; address = \"127.0.0.1:4\";");
	ck_assert_uint_eq(stat_get(&head->weight), 1); /* it is still there */
	use_without_u();
	use("");
	ck_assert_uint_eq(stat_get(&head->weight), 0);
	ck_assert_uint_eq(stat_get(&head->max_connections), 0);
	ck_assert_uint_eq(head->is_drained, 0);
	ck_assert_uint_eq(stat_get(&head_of("v", "a")->weight), 8);
}
END_TEST

START_TEST(the_latest_verdict_of_all_workers_holds)
{
	int row = board_find_server(&board, 0, "a");

	board_open_slot(&board, 0);
	board_open_slot(&board, 1);
	ck_assert_uint_eq(board_server_verdict(&board, row), 0);
	stat_set(&board.slots[1].servers[row].verdict, BOARD_VERDICT(100, false));
	stat_set(&board.slots[0].servers[row].verdict, BOARD_VERDICT(101, true));
	ck_assert(BOARD_VERDICT_IS_UP(board_server_verdict(&board, row)));
	stat_set(&board.slots[0].servers[row].cause, ECONNREFUSED);
	stat_set(&board.slots[1].servers[row].cause, ETIMEDOUT);
	stat_set(&board.slots[1].servers[row].verdict, BOARD_VERDICT(102, false));
	(void)board_bury_slot(&board, 1); /* what it found out stays true */
	ck_assert(!BOARD_VERDICT_IS_UP(board_server_verdict(&board, row)));
	ck_assert_int_eq(BOARD_VERDICT_SINCE(board_server_verdict(&board, row)), 102);
	ck_assert_str_eq(board_cause_words(board_server_cause(&board, row)), "no answer");
}
END_TEST

START_TEST(too_many_names_are_refused)
{
	char name[32];

	for (int i = 0; i < BOARD_SERVERS - 3; i++) {
		(void)snprintf(name, sizeof(name), "s%d", i);
		ck_assert_int_ge(board_server_index(&board, 0, name), 0);
	}
	ck_assert_int_eq(board_server_index(&board, 0, "one-more"), -ENOSPC);
	ck_assert_int_ge(board_server_index(&board, 0, "s0"), 0);
}
END_TEST

UNIT_TESTS("backends", tcase_add_checked_fixture(tests, setup, teardown);
	   tcase_add_test(tests, a_reload_keeps_the_rows); tcase_add_loop_test(
		   tests, an_order_is_obeyed_or_refused_with_words, 0, ARRAY_LEN(orders));
	   tcase_add_test(tests, an_order_holds_until_the_file_says_something_else);
	   tcase_add_test(tests, an_order_goes_with_the_server_that_the_file_removes);
	   tcase_add_test(tests, the_latest_verdict_of_all_workers_holds);
	   tcase_add_test(tests, too_many_names_are_refused);)
