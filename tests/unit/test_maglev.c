#include "common/maglev.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/run.h"

static uint16_t before[MAGLEV_SIZE], after[MAGLEV_SIZE];

static void
count_places(const uint16_t *table, unsigned *places, size_t count)
{
	memset(places, 0, count * sizeof(*places));
	for (size_t i = 0; i < MAGLEV_SIZE; i++) {
		ck_assert_uint_lt(table[i], count);
		places[table[i]]++;
	}
}

START_TEST(equal_servers_get_equal_shares)
{
	static const struct maglev_server servers[] = {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}};
	unsigned places[4];

	ck_assert_int_eq(maglev_build(servers, 4, before), 0);
	count_places(before, places, 4);
	for (int i = 0; i < 4; i++) {
		ck_assert_uint_le(places[i], MAGLEV_SIZE / 4 + 1);
		ck_assert_uint_ge(places[i], MAGLEV_SIZE / 4);
	}
}
END_TEST

START_TEST(shares_follow_the_weights)
{
	static const struct maglev_server servers[] = {{"a", 1}, {"b", 3}, {"c", 0}, {"d", 4}};
	unsigned places[4];

	ck_assert_int_eq(maglev_build(servers, 4, before), 0);
	count_places(before, places, 4);
	ck_assert_uint_le(places[0], MAGLEV_SIZE / 8 + 2);
	ck_assert_uint_ge(places[0], MAGLEV_SIZE / 8 - 2);
	ck_assert_uint_ge(places[1], MAGLEV_SIZE * 3 / 8 - 2);
	ck_assert_uint_eq(places[2], 0);
	ck_assert_uint_ge(places[3], MAGLEV_SIZE / 2 - 2);
}
END_TEST

START_TEST(a_server_that_leaves_moves_little_but_its_own_clients)
{
	static char names[20][16];
	struct maglev_server servers[20];
	unsigned moved = 0;

	for (int i = 0; i < 20; i++) {
		snprintf(names[i], sizeof(names[i]), "s%d", i);
		servers[i] = (struct maglev_server){names[i], 1};
	}
	ck_assert_int_eq(maglev_build(servers, 20, before), 0);
	servers[7].weight = 0;
	ck_assert_int_eq(maglev_build(servers, 20, after), 0);
	for (size_t i = 0; i < MAGLEV_SIZE; i++) {
		ck_assert_uint_ne(after[i], 7);
		moved += before[i] != 7 && before[i] != after[i];
	}
	ck_assert_uint_lt(moved, MAGLEV_SIZE / 20); /* less than another server's share */
}
END_TEST

START_TEST(the_order_of_the_servers_does_not_matter_to_a_client)
{
	static const struct maglev_server one[] = {{"a", 1}, {"b", 1}, {"c", 1}};
	static const struct maglev_server other[] = {{"c", 1}, {"a", 1}, {"b", 1}};
	unsigned same = 0;

	ck_assert_int_eq(maglev_build(one, 3, before), 0);
	ck_assert_int_eq(maglev_build(other, 3, after), 0);
	for (size_t i = 0; i < MAGLEV_SIZE; i++) {
		same += strcmp(one[before[i]].name, other[after[i]].name) == 0;
	}
	ck_assert_uint_gt(same, MAGLEV_SIZE / 100 * 99);
}
END_TEST

START_TEST(no_server_and_too_many_are_told_apart)
{
	static struct maglev_server many[MAGLEV_SERVERS_MAX + 1];

	ck_assert_int_eq(maglev_build(NULL, 0, before), 0);
	ck_assert_uint_eq(maglev_find(before, 12345), MAGLEV_NONE);
	ck_assert_int_eq(maglev_build(many, ARRAY_LEN(many), before), -EINVAL);
}
END_TEST

UNIT_TESTS("maglev", tcase_add_test(tests, equal_servers_get_equal_shares);
	   tcase_add_test(tests, shares_follow_the_weights);
	   tcase_add_test(tests, a_server_that_leaves_moves_little_but_its_own_clients);
	   tcase_add_test(tests, the_order_of_the_servers_does_not_matter_to_a_client);
	   tcase_add_test(tests, no_server_and_too_many_are_told_apart);)
