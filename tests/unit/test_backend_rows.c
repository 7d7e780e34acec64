#include "master/backend_rows.h"

#include <errno.h>
#include <string.h>

#include "common/board.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/fault.h"
#include "master/backends.h"
#include "tests/unit/board_help.h"
#include "tests/unit/run.h"

static struct board board;

/* One letter for an upstream, then one for each of its servers: "uab vc". */
static struct config *
load(const char *words)
{
	static struct findings findings;
	struct config *config = NULL;
	char text[8192], *at = text, *end = text + sizeof(text);
	int port = 1;

	memset(&findings, 0, sizeof(findings));
	at += snprintf(at, (size_t)(end - at),
		"listeners = ( { name = \"l\"; address = \"127.0.0.1:7000\"; protocol = \"echo\"; "
		"} ); upstreams = (");
	for (const char *word = words; *word != '\0'; word += strspn(word, " ")) {
		at += snprintf(at, (size_t)(end - at), "%s{ name = \"%c\"; servers = (",
			word == words ? "" : ", ", *word);
		for (const char *first = ++word; *word != '\0' && *word != ' '; word++, port++) {
			at += snprintf(at, (size_t)(end - at),
				"%s{ name = \"%c\"; address = \"127.0.0.1:%d\"; }",
				word == first ? "" : ", ", *word, port);
		}
		at += snprintf(at, (size_t)(end - at), "); }");
	}
	(void)snprintf(at, (size_t)(end - at), ");");
	ck_assert_msg(config_load_text(text, "t.conf", &config, &findings) == 0, "%s",
		findings.items[0].text);
	return config;
}

/* As a reload does, under the next generation. */
static int
reload(const char *words, uint64_t oldest_generation, struct fault *why)
{
	struct config *config = load(words);
	int status = backend_rows_check(&board, config, oldest_generation, why);

	if (status == 0) {
		stat_add(&board.writable->stats[STAT_MASTER_generation], 1);
		backends_use(&board, config, oldest_generation);
	}
	config_free(&config);
	return status;
}

/* With all workers under the configuration in force. */
static void
use(const char *words)
{
	struct fault why;

	ck_assert_msg(
		reload(words, stat_get(&board.master->stats[STAT_MASTER_generation]), &why) == 0,
		"%s", why.text);
}

/* @return -ENOENT also when there is no such upstream */
static int
row_of(const char *upstream, const char *server)
{
	int above = board_find_upstream(&board, upstream);

	return above < 0 ? above : board_find_server(&board, above, server);
}

/* Every row that is free is held by a session from now on. */
static void
fill_servers(void)
{
	char name[32];
	int row;

	for (int i = 0;; i++) {
		(void)snprintf(name, sizeof(name), "filler%d", i);
		row = board_server_index(&board, 0, name);
		if (row < 0) {
			break;
		}
		atomic_store(&board.slots[1].servers[row].held, 1);
	}
	ck_assert_int_eq(row, -ENOSPC);
}

static void
setup(void)
{
	help_create_board(&board, 2);
}

static void
teardown(void)
{
	board_detach(&board);
}

/* What a name may leave behind in its row. */
static void
use_up(int row)
{
	struct board_server_head *head = &board.writable->servers[row];
	struct board_server_cells *cells = &board.slots[0].servers[row];

	for (int i = 0; i < STAT_SERVER_COUNT; i++) {
		stat_set(&cells->stats[i], 5);
		stat_set(&board.slots[1].servers[row].stats[i], 2);
	}
	/* Later than now, as after many in one millisecond. */
	stat_set(&cells->verdict, BOARD_VERDICT(clock_monotonic_ms() + 1000, false));
	stat_set(&cells->cause, ECONNREFUSED);
	atomic_store(&head->is_drained, 1);
	stat_set(&head->weight, 3);
	stat_set(&head->queue_limit, 11);
	stat_set(&head->queue_sampled_ms, 1);
}

START_TEST(a_new_name_begins_at_0_in_a_row_that_was_used)
{
	int row;

	use("uab");
	row = row_of("u", "a");
	use_up(row);
	use("ub");
	fill_servers();
	ck_assert_uint_eq(board_server_stat(&board, row, STAT_SERVER_sessions), 7);
	ck_assert_int_eq(row_of("u", "a"), row);
	use("ubc");
	ck_assert_int_eq(row_of("u", "a"), -ENOENT);
	ck_assert_int_eq(row_of("u", "c"), row);
	for (int i = 0; i < STAT_SERVER_COUNT; i++) {
		ck_assert_uint_eq(board_server_stat(&board, row, i), 0);
	}
	ck_assert_uint_eq(board_server_verdict(&board, row), 0);
	ck_assert_uint_eq(board.master->servers[row].is_drained, 0);
	ck_assert_uint_eq(stat_get(&board.master->servers[row].weight), 0);
	ck_assert_uint_eq(stat_get(&board.master->servers[row].queue_limit), 0);
	ck_assert_uint_eq(stat_get(&board.master->servers[row].queue_sampled_ms), 0);
	stat_add(&board.slots[0].servers[row].stats[STAT_SERVER_sessions], 1);
	ck_assert_uint_eq(board_server_stat(&board, row, STAT_SERVER_sessions), 1);
}
END_TEST

START_TEST(a_name_that_comes_back_in_time_finds_its_counters)
{
	use("uab");
	use_up(row_of("u", "a"));
	use("ub");
	use("uab");
	ck_assert_uint_eq(board_server_stat(&board, row_of("u", "a"), STAT_SERVER_sessions), 7);
}
END_TEST

enum hold { BY_SESSION, BY_WORKER, BY_CONNECTION_OF_UPSTREAM };
static const struct {
	enum hold by;
	const char *first, *then, *wanted, *words;
} holds[] = {
	{BY_SESSION, "uab", "ub", "ubc",
		"have room for 512 names of servers (a server given by name has one for each of "
		"its places), and this configuration has 2; 0 more are in the one in force and can "
		"go only after it, 511 are in neither, but connections that came under an earlier "
		"one go on, 0 wait"},
	{BY_WORKER, "uab", "ub", "ubc",
		"and this configuration has 2; 0 more are in the one in force"},
	{BY_WORKER, "uab", "ub", "ubc",
		", 1 wait for a worker that starts, is slow or on its way out"},
	{BY_CONNECTION_OF_UPSTREAM, "ua vb", "vb", "vbc",
		"and this configuration has 2; 0 more are in"},
};

START_TEST(who_holds_a_row_is_told_and_nothing_is_changed)
{
	uint64_t oldest;
	struct fault why;
	int row, upstream;

	use(holds[_i].first);
	row = row_of("u", "a");
	upstream = board_find_upstream(&board, "u");
	use(holds[_i].then);
	fill_servers();
	oldest = stat_get(&board.master->stats[STAT_MASTER_generation]);
	switch (holds[_i].by) {
	case BY_SESSION:
		atomic_store(&board.slots[1].servers[row].held, 1);
		break;
	case BY_WORKER:
		oldest--;
		break;
	case BY_CONNECTION_OF_UPSTREAM:
		stat_set(&board.slots[0].upstreams[upstream].known, 1);
		break;
	}
	ck_assert_int_eq(reload(holds[_i].wanted, oldest, &why), -ENOSPC);
	ck_assert_msg(strstr(why.text, holds[_i].words) != NULL, "%s", why.text);
	ck_assert_int_eq(row_of("u", "a"), row);
	/* Then it ends. */
	atomic_store(&board.slots[1].servers[row].held, 0);
	stat_set(&board.slots[0].upstreams[upstream].known, 0);
	use(holds[_i].wanted);
	ck_assert_str_eq(board.master->servers[row].name, "c");
}
END_TEST

START_TEST(a_row_of_the_configuration_in_force_is_not_given_away_by_the_one_after)
{
	struct fault why;

	use("uab");
	fill_servers();
	ck_assert_int_eq(reload("ubc", UINT64_MAX, &why), -ENOSPC);
	ck_assert_msg(
		strstr(why.text, "has 2; 1 more are in the one in force") != NULL, "%s", why.text);
	use("ub");
	use("ubc");
}
END_TEST

/* Its worker may have an old plan of it until it learns of the new one. */
START_TEST(the_old_servers_of_an_upstream_that_comes_back_wait_for_all_workers)
{
	uint64_t between;
	struct fault why;

	use("ua vb");
	use("vb");
	between = stat_get(&board.master->stats[STAT_MASTER_generation]);
	use("uc vb");
	fill_servers();
	ck_assert_int_eq(reload("ucd vb", between, &why), -ENOSPC);
	ck_assert_int_eq(reload("ucd vb", between + 1, &why), 0);
}
END_TEST

START_TEST(who_left_first_makes_room_first)
{
	int a, b;

	use("uabc");
	a = row_of("u", "a");
	b = row_of("u", "b");
	use("uac");
	use("uc");
	fill_servers();
	use("ucd");
	ck_assert_int_eq(row_of("u", "d"), b);
	ck_assert_int_eq(row_of("u", "a"), a);
	use("ucde");
	ck_assert_int_eq(row_of("u", "e"), a);
}
END_TEST

START_TEST(an_upstream_makes_room_with_all_its_servers)
{
	char name[32];
	struct fault why;
	uint32_t life;
	int upstream, row;

	use("vb");
	use("vb uad");
	upstream = board_find_upstream(&board, "u");
	row = row_of("u", "a");
	use_up(row);
	life = board_server_life(&board, row);
	use("vb");
	for (int i = 0; i < BOARD_UPSTREAMS - 2; i++) {
		(void)snprintf(name, sizeof(name), "filler%d", i);
		ck_assert_int_ge(board_upstream_index(&board, name), 0);
		stat_set(&board.slots[1].upstreams[board_find_upstream(&board, name)].known, 1);
	}
	stat_set(&board.slots[0].upstreams[upstream].known, 1);
	ck_assert_int_eq(reload("vb wa", UINT64_MAX, &why), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(why.text, "have room for 64 names of upstreams"));
	ck_assert_ptr_nonnull(strstr(why.text, "and this configuration has 2;"));
	ck_assert_ptr_nonnull(strstr(why.text, "63 are in neither"));
	(void)board_bury_slot(&board, 0); /* nobody knows it there any more */
	use("vb wa");
	ck_assert_int_eq(board_find_upstream(&board, "w"), upstream);
	ck_assert_int_eq(board_find_upstream(&board, "u"), -ENOENT);
	ck_assert_uint_eq(board_server_stat(&board, row_of("w", "a"), STAT_SERVER_sessions), 0);
	ck_assert_int_eq(board_find_server(&board, upstream, "d"), -ENOENT);
	ck_assert_uint_ne(board_server_life(&board, row), life);
}
END_TEST

UNIT_TESTS(
	"backend_rows", tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, a_new_name_begins_at_0_in_a_row_that_was_used);
	tcase_add_test(tests, a_name_that_comes_back_in_time_finds_its_counters);
	tcase_add_loop_test(
		tests, who_holds_a_row_is_told_and_nothing_is_changed, 0, ARRAY_LEN(holds));
	tcase_add_test(
		tests, a_row_of_the_configuration_in_force_is_not_given_away_by_the_one_after);
	tcase_add_test(tests, the_old_servers_of_an_upstream_that_comes_back_wait_for_all_workers);
	tcase_add_test(tests, who_left_first_makes_room_first);
	tcase_add_test(tests, an_upstream_makes_room_with_all_its_servers);)
