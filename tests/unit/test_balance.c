#include "worker/balance.h"

#include <stdlib.h>
#include <string.h>

#include "common/maglev.h"
#include "tests/unit/run.h"

static struct balance_memory memory;

static struct balance_server
able(uint32_t weight, uint64_t load)
{
	return (struct balance_server){.is_able = true, .weight = weight, .load = load};
}

START_TEST(round_robin_spreads_by_weight)
{
	const struct balance_server servers[] = {able(5, 0), able(1, 0), able(1, 0)};
	static const int expected[] = {0, 0, 1, 0, 2, 0, 0};

	memset(&memory, 0, sizeof(memory));
	for (size_t i = 0; i < 2 * ARRAY_LEN(expected); i++) {
		ck_assert_int_eq(balance_round_robin(&memory, servers, 3),
			expected[i % ARRAY_LEN(expected)]);
	}
}
END_TEST

START_TEST(least_takes_the_fewest_for_its_weight)
{
	static const struct {
		struct balance_server servers[3];
		int expected;
	} rows[] = {
		{{{true, 1, 3}, {true, 1, 2}, {true, 1, 4}}, 1},
		{{{true, 1, 3}, {true, 4, 9}, {true, 1, 4}}, 1},
		{{{true, 1, 3}, {false, 1, 0}, {true, 1, 2}}, 2},
		{{{true, 1, 3}, {true, 0, 0}, {true, 1, 4}}, 0},
		{{{false, 1, 3}, {false, 1, 0}, {true, 0, 2}}, -1},
	};

	memset(&memory, 0, sizeof(memory));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ck_assert_int_eq(balance_least(&memory, rows[i].servers, 3), rows[i].expected);
	}
}
END_TEST

START_TEST(least_goes_in_turn_among_equals)
{
	const struct balance_server servers[] = {able(1, 2), able(1, 2), able(1, 2)};
	unsigned seen = 0;

	memset(&memory, 0, sizeof(memory));
	for (int i = 0; i < 3; i++) {
		seen |= 1u << balance_least(&memory, servers, 3);
	}
	ck_assert_uint_eq(seen, 7);
}
END_TEST

START_TEST(random_two_keeps_loads_even)
{
	struct balance_server servers[4] = {able(1, 0), able(1, 0), able(1, 0), able(2, 0)};

	memset(&memory, 0, sizeof(memory));
	for (int i = 0; i < 5000; i++) {
		servers[balance_random_two(&memory, servers, 4)].load++;
	}
	for (int i = 0; i < 4; i++) {
		ck_assert_uint_ge(servers[i].load, 980 * servers[i].weight);
		ck_assert_uint_le(servers[i].load, 1020 * servers[i].weight);
	}
}
END_TEST

START_TEST(random_two_takes_the_only_one)
{
	const struct balance_server servers[] = {{.is_able = false, .weight = 1}, able(1, 9)};

	memset(&memory, 0, sizeof(memory));
	ck_assert_int_eq(balance_random_two(&memory, servers, 2), 1);
	ck_assert_int_eq(balance_random_two(&memory, servers, 1), -1);
}
END_TEST

/* Those whose server is able stay where they are when another one goes. */
START_TEST(hash_moves_only_the_clients_of_who_went)
{
	static const struct maglev_server rows[] = {{"a", 1}, {"b", 1}, {"c", 1}};
	struct balance_server servers[] = {able(1, 0), able(1, 0), able(1, 0)};
	uint16_t *table = malloc(MAGLEV_SIZE * sizeof(*table));
	unsigned moved[3] = {0};

	ck_assert_int_eq(maglev_build(rows, 3, table), 0);
	for (uint64_t hash = 1; hash < 3000; hash++) {
		uint64_t client = hash * 0x9e3779b97f4a7c15;
		int before, after;

		servers[1].is_able = true;
		before = balance_hash(table, client, servers, 3);
		servers[1].is_able = false;
		after = balance_hash(table, client, servers, 3);
		ck_assert_int_ne(after, 1);
		ck_assert(before == 1 || before == after);
		moved[after] += before == 1;
	}
	ck_assert_uint_gt(moved[0], 300); /* and these spread over the others */
	ck_assert_uint_gt(moved[2], 300);
	servers[0].is_able = servers[2].is_able = false;
	ck_assert_int_eq(balance_hash(table, 7, servers, 3), -1);
	free(table);
}
END_TEST

START_TEST(slow_start_climbs_to_the_full_weight)
{
	static const struct {
		int64_t up_ms, slow_start_ms;
		uint32_t weight, expected;
	} rows[] = {{0, 0, 3, 48}, {0, 1000, 3, 3}, {500, 1000, 3, 24}, {1000, 1000, 3, 48},
		{-5, 1000, 3, 3}, {INT64_MAX, 1000, 3, 48}, {1, 1000, 0, 0}, {62, 1000, 1, 1}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ck_assert_uint_eq(
			balance_slow_start(rows[i].weight, rows[i].up_ms, rows[i].slow_start_ms),
			rows[i].expected);
	}
}
END_TEST

UNIT_TESTS("balance", tcase_add_test(tests, round_robin_spreads_by_weight);
	   tcase_add_test(tests, least_takes_the_fewest_for_its_weight);
	   tcase_add_test(tests, least_goes_in_turn_among_equals);
	   tcase_add_test(tests, random_two_keeps_loads_even);
	   tcase_add_test(tests, random_two_takes_the_only_one);
	   tcase_add_test(tests, hash_moves_only_the_clients_of_who_went);
	   tcase_add_test(tests, slow_start_climbs_to_the_full_weight);)
