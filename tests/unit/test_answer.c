#include "monitor/answer.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/defs.h"
#include "tests/unit/place_help.h"
#include "tests/unit/run.h"

static struct answer answer;

static void
add(const char *host, uint16_t port, uint16_t priority, uint16_t weight)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, host, &in4.sin_addr) == 1) {
		answer_add(&answer, (struct sockaddr *)&in4, port, priority, weight);
	} else {
		ck_assert_int_eq(inet_pton(AF_INET6, host, &in6.sin6_addr), 1);
		answer_add(&answer, (struct sockaddr *)&in6, port, priority, weight);
	}
}

static const struct {
	const char *known;
	const char *answer[5];
	size_t room;
	const char *chosen;
} choices[] = {
	{"", {"10.0.0.9", "10.0.0.7", "10.0.0.8"}, 4, "7 8 9"},
	{"", {"10.0.0.9", "10.0.0.7", "10.0.0.8"}, 2, "7 8"},  /* the same on every machine */
	{"9", {"10.0.0.9", "10.0.0.7", "10.0.0.8"}, 2, "9 7"}, /* what is in use stays */
	{"-9", {"10.0.0.9", "10.0.0.7", "10.0.0.8"}, 2, "7 8"},
	{"", {"10.0.0.7", "10.0.0.7", "10.0.0.7"}, 4, "7"},
	{"7", {NULL}, 4, ""},
};

START_TEST(what_fits_is_chosen)
{
	struct board_place known[4], chosen[4];
	size_t known_count = help_places(choices[_i].known, known);
	char shown[64];
	size_t count;

	answer_init(&answer);
	for (size_t i = 0; i < 5 && choices[_i].answer[i] != NULL; i++) {
		add(choices[_i].answer[i], 80, 0, 0);
	}
	count = answer_choose(&answer, known, known_count, false, chosen, choices[_i].room);
	ck_assert_str_eq(help_show(chosen, count, shown, sizeof(shown)), choices[_i].chosen);
}
END_TEST

START_TEST(records_of_higher_number_are_backups_and_go_first_when_room_is_short)
{
	struct board_place chosen[4];
	char shown[64];

	answer_init(&answer);
	add("10.0.0.1", 80, 20, 5);
	add("10.0.0.3", 80, 10, 5);
	add("10.0.0.2", 80, 10, 6);
	ck_assert_uint_eq(answer_choose(&answer, NULL, 0, true, chosen, 4), 3);
	ck_assert_str_eq(help_show(chosen, 3, shown, sizeof(shown)), "2 3 1!");
	ck_assert_uint_eq(chosen[0].weight, 6);
	ck_assert_uint_eq(answer_choose(&answer, NULL, 0, true, chosen, 2), 2);
	ck_assert_str_eq(help_show(chosen, 2, shown, sizeof(shown)), "2 3");
}
END_TEST

static const struct {
	uint16_t are[2], become[2];
} weights[] = {
	{{1, 2}, {1, 2}},
	{{256, 1}, {256, 1}},
	{{0, 0}, {1, 1}},
	{{10, 0}, {256, 1}}, /* a very small chance */
	{{65535, 32768}, {256, 128}},
	{{65535, 1}, {256, 1}},
};

START_TEST(weights_of_records_become_ours)
{
	struct board_place chosen[2];

	answer_init(&answer);
	add("10.0.0.1", 80, 0, weights[_i].are[0]);
	add("10.0.0.2", 80, 0, weights[_i].are[1]);
	ck_assert_uint_eq(answer_choose(&answer, NULL, 0, true, chosen, 2), 2);
	ck_assert_uint_eq(chosen[0].weight, weights[_i].become[0]);
	ck_assert_uint_eq(chosen[1].weight, weights[_i].become[1]);
}
END_TEST

START_TEST(one_address_at_two_ports_is_two_servers)
{
	struct board_place chosen[4];

	answer_init(&answer);
	add("10.0.0.1", 80, 0, 1);
	add("10.0.0.1", 81, 0, 1);
	ck_assert_uint_eq(answer_choose(&answer, NULL, 0, true, chosen, 4), 2);
}
END_TEST

START_TEST(a_thousand_addresses_and_more_are_counted_and_cut_to_the_room)
{
	struct board_place chosen[4];
	char host[32];

	answer_init(&answer);
	for (int i = 0; i < ANSWER_MAX + 500; i++) {
		(void)snprintf(host, sizeof(host), "10.1.%d.%d", i / 250, i % 250 + 1);
		add(host, 80, 0, 0);
	}
	ck_assert_uint_eq(answer.found, ANSWER_MAX + 500);
	ck_assert_uint_eq(answer_choose(&answer, NULL, 0, false, chosen, 4), 4);
	ck_assert_uint_eq(chosen[0].host.s6_addr[15], 1);
}
END_TEST

START_TEST(of_a_family_that_failed_what_is_in_use_stays)
{
	struct board_place known[3], chosen[4];
	char shown[64];

	(void)help_places("7 8 -9", known);
	answer_init(&answer);
	add("2001:db8::5", 80, 0, 0);
	answer_fail(&answer, LOOKUP_TIMEOUT, ANSWER_IPV4);
	answer_settle(&answer);
	ck_assert_int_eq(answer.failure, LOOKUP_TIMEOUT);
	answer_keep(&answer, known, 3);
	ck_assert_uint_eq(answer_choose(&answer, known, 3, false, chosen, 4), 3);
	ck_assert_str_eq(help_show(chosen, 3, shown, sizeof(shown)), "7 8 5");
}
END_TEST

START_TEST(that_one_family_has_nothing_is_no_failure)
{
	struct board_place known[1], chosen[4];

	(void)help_places("7", known);
	answer_init(&answer);
	answer_fail(&answer, LOOKUP_NO_ADDRESS, 0);
	add("2001:db8::5", 80, 0, 0);
	answer_settle(&answer);
	answer_keep(&answer, known, 1);
	ck_assert_int_eq(answer.failure, LOOKUP_DONE);
	ck_assert_uint_eq(answer_choose(&answer, known, 1, false, chosen, 4), 1);
}
END_TEST

START_TEST(the_shortest_ttl_counts)
{
	answer_init(&answer);
	answer_limit_ttl(&answer, 300);
	answer_limit_ttl(&answer, 5);
	answer_limit_ttl(&answer, 60);
	ck_assert_uint_eq(answer.ttl_s, 5);
}
END_TEST

UNIT_TESTS(
	"answer", tcase_add_loop_test(tests, what_fits_is_chosen, 0, ARRAY_LEN(choices));
	tcase_add_test(tests, records_of_higher_number_are_backups_and_go_first_when_room_is_short);
	tcase_add_loop_test(tests, weights_of_records_become_ours, 0, ARRAY_LEN(weights));
	tcase_add_test(tests, one_address_at_two_ports_is_two_servers);
	tcase_add_test(tests, a_thousand_addresses_and_more_are_counted_and_cut_to_the_room);
	tcase_add_test(tests, of_a_family_that_failed_what_is_in_use_stays);
	tcase_add_test(tests, that_one_family_has_nothing_is_no_failure);
	tcase_add_test(tests, the_shortest_ttl_counts);)
