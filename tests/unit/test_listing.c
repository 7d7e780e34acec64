/* Connections of a real service written down for an operator, and one of them closed. */
#include "worker/listing.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/channel.h"
#include "tests/unit/run.h"
#include "tests/unit/worker_help.h"

#define CLIENTS_MAX 8
#define ROOM_MAX    2048

static struct listing listing;
static struct channel_connection records[ROOM_MAX];
static int clients[CLIENTS_MAX];
static unsigned written;       /* how often on_written was called */
static uint64_t written_count; /* what it found */

static void
on_written(struct listing *whose)
{
	ck_assert_ptr_eq(whose, &listing);
	written++;
	written_count = whose->count;
	ck_assert_int_ge(pread(whose->memory, records, sizeof(records), 0), 0);
}

static void
open_with_clients(int count)
{
	room_open();
	for (int i = 0; i < count; i++) {
		clients[i] = room_client();
	}
	listing_init(&listing, &room.service, on_written);
}

static void
close_all(int count)
{
	listing_stop(&listing);
	for (int i = 0; i < count; i++) {
		close(clients[i]);
	}
	room_close();
}

static int
memory_for(size_t count)
{
	int memory = descriptor_fixed_memory("test", count * sizeof(struct channel_connection));

	ck_assert_int_ge(memory, 0);
	return memory;
}

START_TEST(every_connection_is_written_newest_first)
{
	open_with_clients(3);
	client_send(clients[0], "hello", 5);
	client_expect(clients[0], (const unsigned char *)"hello", 5);
	listing_start(&listing, 7, memory_for(ROOM_MAX));
	ck_assert_uint_eq(written, 0);
	room_turn_until(written > 0);
	ck_assert_uint_eq(listing.id, 7);
	ck_assert_uint_eq(written_count, 3);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(records[i].serial, (unsigned)(3 - i));
		ck_assert_int_eq(records[i].board_listener, 0);
		ck_assert_uint_eq(records[i].state, 1 /* ESTABLISHED */);
	}
	ck_assert_uint_eq(records[2].received_bytes, 5);
	ck_assert_uint_eq(records[2].sent_bytes, 5);
	ck_assert_uint_eq(records[2].phase, PHASE_OPEN);
	ck_assert_uint_eq(records[0].phase, PHASE_FRESH);
	ck_assert_uint_eq(records[0].received_bytes, 0);
	ck_assert_int_eq(listing.memory, -1);
	close_all(3);
}
END_TEST

START_TEST(nobody_at_all_is_an_answer_too)
{
	open_with_clients(0);
	listing_start(&listing, 1, memory_for(4));
	room_turn_until(written > 0);
	ck_assert_uint_eq(written_count, 0);
	close_all(0);
}
END_TEST

/* The master gives room for as many as it knew of. */
START_TEST(no_more_is_written_than_there_is_room_for)
{
	open_with_clients(5);
	listing_start(&listing, 1, memory_for(2));
	room_turn_until(written > 0);
	ck_assert_uint_eq(written_count, 2);
	ck_assert_uint_eq(records[0].serial, 5);
	ck_assert_uint_eq(records[1].serial, 4);
	close_all(5);
}
END_TEST

START_TEST(a_second_list_takes_the_place_of_the_first)
{
	int first = memory_for(4);

	open_with_clients(2);
	listing_start(&listing, 1, first);
	listing_start(&listing, 2, memory_for(4));
	ck_assert_int_eq(fcntl(first, F_GETFD), -1); /* closed, by us */
	room_turn_until(written > 0);
	ck_assert_uint_eq(listing.id, 2);
	ck_assert_uint_eq(written_count, 2);
	room_turn();
	ck_assert_uint_eq(written, 1);
	close_all(2);
}
END_TEST

/* The place where the list goes on is a connection, and that one may end before its turn. */
START_TEST(who_goes_meanwhile_is_left_out)
{
	open_with_clients(3);
	listing_start(&listing, 1, memory_for(4));
	ck_assert_int_eq(listing_kill(&room.service, 3), 0);
	ck_assert_int_eq(listing_kill(&room.service, 2), 0);
	room_turn_until(written > 0);
	ck_assert_uint_eq(written_count, 1);
	ck_assert_uint_eq(records[0].serial, 1);
	close_all(3);
}
END_TEST

/* Its writes fail: the answer is what was written, and it comes. */
START_TEST(memory_that_cannot_be_written_ends_the_list)
{
	int memory = open("/dev/null", O_RDONLY | O_CLOEXEC);

	open_with_clients(1);
	listing_start(&listing, 1, memory);
	ck_assert_uint_eq(listing.room, 0);
	room_turn_until(written > 0);
	ck_assert_uint_eq(written_count, 0);
	close_all(1);
}
END_TEST

START_TEST(a_list_that_is_stopped_says_nothing)
{
	open_with_clients(1);
	listing_start(&listing, 1, memory_for(4));
	listing_stop(&listing);
	ck_assert_int_eq(listing.memory, -1);
	ck_assert_ptr_null(room.service.next_listed);
	room_turn();
	ck_assert_uint_eq(written, 0);
	close_all(1);
}
END_TEST

START_TEST(the_chosen_one_is_reset_and_counted)
{
	char byte;

	open_with_clients(2);
	ck_assert_int_eq(listing_kill(&room.service, 99), -ENOENT);
	ck_assert_int_eq(listing_kill(&room.service, 1), 0);
	ck_assert_int_eq(listing_kill(&room.service, 1), -ENOENT);
	ck_assert_uint_eq(room_closed(CLOSE_killed), 1);
	ck_assert_int_eq(recv(clients[0], &byte, 1, 0), -1);
	ck_assert_int_eq(errno, ECONNRESET);
	client_send(clients[1], "x", 1);
	client_expect(clients[1], (const unsigned char *)"x", 1);
	close_all(2);
}
END_TEST

UNIT_TESTS("listing", tcase_add_test(tests, every_connection_is_written_newest_first);
	   tcase_add_test(tests, nobody_at_all_is_an_answer_too);
	   tcase_add_test(tests, no_more_is_written_than_there_is_room_for);
	   tcase_add_test(tests, a_second_list_takes_the_place_of_the_first);
	   tcase_add_test(tests, who_goes_meanwhile_is_left_out);
	   tcase_add_test(tests, memory_that_cannot_be_written_ends_the_list);
	   tcase_add_test(tests, a_list_that_is_stopped_says_nothing);
	   tcase_add_test(tests, the_chosen_one_is_reset_and_counted);)
