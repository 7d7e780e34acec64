#include "monitor/srv.h"

#include <errno.h>
#include <string.h>

#include "common/defs.h"
#include "tests/unit/run.h"

#define ROOM 3

static unsigned char message[4096];
static size_t len;

static void
put16(unsigned number)
{
	message[len++] = (unsigned char)(number >> 8);
	message[len++] = (unsigned char)number;
}

static void
put_name(const char *name)
{
	while (*name != '\0') {
		size_t label = strcspn(name, ".");

		message[len++] = (unsigned char)label;
		memcpy(message + len, name, label);
		len += label;
		name += label + (name[label] == '.');
	}
	message[len++] = 0;
}

/* RFC 1035 4.1: a header, the question "s", and what follows is the answer. */
static void
begin(unsigned answers)
{
	memset(message, 0, sizeof(message));
	len = 0;
	put16(7);
	put16(0x8180);
	put16(1);
	put16(answers);
	put16(0);
	put16(0);
	put_name("s");
	put16(33);
	put16(1);
}

static void
put_head(unsigned type, unsigned ttl_s, unsigned data_len)
{
	put16(0xc00c); /* the name of the question */
	put16(type);
	put16(1);
	put16(0);
	put16(ttl_s);
	put16(data_len);
}

static void
put_srv(unsigned ttl_s, unsigned priority, unsigned weight, unsigned port, const char *target)
{
	put_head(33, ttl_s, 6 + (unsigned)(target[0] == '\0' ? 1 : strlen(target) + 2));
	put16(priority);
	put16(weight);
	put16(port);
	put_name(target);
}

static struct srv_record records[ROOM];
static size_t found;
static uint32_t ttl_s;

static int
parse(void)
{
	found = 99;
	ttl_s = 99;
	return srv_parse(message, len, records, ROOM, &found, &ttl_s);
}

START_TEST(records_come_in_the_order_of_priority_and_with_the_shortest_ttl)
{
	begin(3);
	put_srv(60, 20, 1, 80, "b.internal");
	put_srv(7, 10, 2, 81, "c.internal");
	put_srv(60, 10, 3, 82, "a.internal");
	ck_assert_int_eq(parse(), 0);
	ck_assert_uint_eq(found, 3);
	ck_assert_uint_eq(ttl_s, 7);
	ck_assert_str_eq(records[0].target, "a.internal");
	ck_assert_uint_eq(records[0].weight, 3);
	ck_assert_uint_eq(records[0].port, 82);
	ck_assert_str_eq(records[1].target, "c.internal");
	ck_assert_uint_eq(records[2].priority, 20);
}
END_TEST

START_TEST(too_many_are_counted_and_the_first_kept)
{
	begin(6);
	for (unsigned i = 6; i > 0; i--) {
		put_srv(60, i, 0, 80, "x");
	}
	ck_assert_int_eq(parse(), 0);
	ck_assert_uint_eq(found, 6);
	for (unsigned i = 0; i < ROOM; i++) {
		ck_assert_uint_eq(records[i].priority, i + 1);
	}
}
END_TEST

START_TEST(a_root_as_target_is_no_service)
{
	begin(1);
	put_srv(60, 0, 0, 0, "");
	ck_assert_int_eq(parse(), 0);
	ck_assert_uint_eq(found, 0);
	ck_assert_uint_eq(ttl_s, 99);
}
END_TEST

START_TEST(an_alias_before_the_records_limits_their_ttl)
{
	begin(2);
	put_head(5, 3, 3);
	put_name("t");
	put_srv(60, 0, 0, 80, "x");
	ck_assert_int_eq(parse(), 0);
	ck_assert_uint_eq(found, 1);
	ck_assert_uint_eq(ttl_s, 3);
}
END_TEST

START_TEST(every_message_that_ends_too_early_is_bad)
{
	size_t whole;

	begin(2);
	put_srv(60, 10, 2, 81, "c.internal");
	put_srv(60, 20, 1, 80, "b.internal");
	for (whole = len, len = 0; len < whole; len++) {
		ck_assert_int_eq(parse(), -EBADMSG);
	}
	ck_assert_int_eq(parse(), 0);
}
END_TEST

START_TEST(a_target_that_points_at_itself_is_bad)
{
	begin(1);
	put_head(33, 60, 8);
	put16(0);
	put16(0);
	put16(80);
	put16(0xc000 | (unsigned)len);
	ck_assert_int_eq(parse(), -EBADMSG);
}
END_TEST

START_TEST(a_record_without_room_for_its_target_is_bad)
{
	begin(1);
	put_head(33, 60, 6);
	put16(0);
	put16(0);
	put16(80);
	ck_assert_int_eq(parse(), -EBADMSG);
}
END_TEST

UNIT_TESTS("srv",
	   tcase_add_test(tests, records_come_in_the_order_of_priority_and_with_the_shortest_ttl);
	   tcase_add_test(tests, too_many_are_counted_and_the_first_kept);
	   tcase_add_test(tests, a_root_as_target_is_no_service);
	   tcase_add_test(tests, an_alias_before_the_records_limits_their_ttl);
	   tcase_add_test(tests, every_message_that_ends_too_early_is_bad);
	   tcase_add_test(tests, a_target_that_points_at_itself_is_bad);
	   tcase_add_test(tests, a_record_without_room_for_its_target_is_bad);)
