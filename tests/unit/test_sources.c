#include "common/sources.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/address.h"
#include "common/siphash.h"
#include "tests/unit/peer_help.h"
#include "tests/unit/run.h"

#define SLOTS 5

static const struct siphash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
static struct sources all;

/* Shared with children, and as sparse as the board. */
static void
open_tables(int slots, uint32_t sets)
{
	size_t size = sizeof(struct source_table) * (size_t)slots;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(memory, MAP_FAILED);
	all = (struct sources){.first = memory,
		.stride = sizeof(struct source_table),
		.slots = slots,
		.sets = sets};
}

static struct sources
worker(int slot)
{
	struct sources mine = all;

	mine.own = slot;
	return mine;
}

static struct source
source(const char *address)
{
	union peer from = help_peer(address);
	struct source made;

	ck_assert(source_of(&key, &from, 0, &made));
	return made;
}

/* 10.0.0.0 and on. */
static struct source
numbered(unsigned number)
{
	union peer from = help_peer("10.0.0.0");
	struct source made;

	from.in4.sin_addr.s_addr = htonl(0x0a000000 + number);
	ck_assert(source_of(&key, &from, 0, &made));
	return made;
}

static enum source_verdict
admit(int slot, const struct source *from, int64_t connections, int64_t per_second, int64_t now_ms)
{
	struct sources mine = worker(slot);
	struct source_limits limits = {connections, per_second};

	return sources_admit(&mine, from, &limits, now_ms);
}

static void
leave(int slot, const struct source *from)
{
	struct sources mine = worker(slot);

	sources_leave(&mine, from);
}

static struct source_sum
sum(const struct source *from, int64_t now_ms)
{
	struct source_sum found;

	sources_sum(&all, from, now_ms, &found);
	return found;
}

/* --- who --- */

static const struct {
	const char *address, *other;
	bool is_same;
	const char *text;
} pairs[] = {
	{"192.0.2.7", "192.0.2.7", true, "192.0.2.7"},
	{"192.0.2.7", "192.0.2.8", false, "192.0.2.7"},
	{"192.0.2.7", "::ffff:192.0.2.7", true, "192.0.2.7"},
	{"::ffff:0.0.0.1", "0.0.0.1", true, "0.0.0.1"},
	{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true, "2001:db8:1:2::/64"},
	{"2001:db8:1:2::1", "2001:db8:1:3::1", false, "2001:db8:1:2::/64"},
	{"::1", "::2", true, "::/64"},
	{"::1", "0.0.0.0", false, "::/64"},
	{"255.255.255.255", "0:0:ffff:ffff::", false, "255.255.255.255"},
};

START_TEST(a_source_is_an_ipv4_address_or_a_64)
{
	struct source one = source(pairs[_i].address), other = source(pairs[_i].other);
	char text[SOURCE_TEXT_MAX];

	ck_assert_int_eq(one.tag == other.tag, pairs[_i].is_same);
	ck_assert_int_eq(one.prefix == other.prefix && one.is_v6 == other.is_v6, pairs[_i].is_same);
	ck_assert_str_eq(source_format(&one, text), pairs[_i].text);
}
END_TEST

START_TEST(unix_peers_have_no_source_and_listeners_are_apart)
{
	union peer local = {.any = {.sa_family = AF_UNIX}}, from = help_peer("192.0.2.7");
	struct source here, there;

	ck_assert(!source_of(&key, &local, 0, &here));
	ck_assert(source_of(&key, &from, 0, &here));
	ck_assert(source_of(&key, &from, 255, &there));
	ck_assert_uint_ne(here.tag, there.tag);
	ck_assert_int_eq(there.listener, 255);
}
END_TEST

/* --- limits --- */

START_TEST(a_limit_of_connections_counts_all_slots)
{
	struct source from = source("192.0.2.7"), other = source("192.0.2.8");

	open_tables(SLOTS, 16);
	for (int i = 0; i < 3 * SLOTS; i++) {
		ck_assert_int_eq(admit(i % SLOTS, &from, 3 * SLOTS, 0, 0), SOURCE_ADMITTED);
	}
	for (int slot = 0; slot < SLOTS; slot++) {
		ck_assert_int_eq(admit(slot, &from, 3 * SLOTS, 0, 0), SOURCE_OVER_CONNECTIONS);
		ck_assert_int_eq(admit(slot, &other, 3 * SLOTS, 0, 0), SOURCE_ADMITTED);
	}
	ck_assert_uint_eq(sum(&from, 0).open, 3 * SLOTS);
	ck_assert_uint_eq(sum(&from, 0).asking, 0);
	leave(2, &from);
	ck_assert_int_eq(admit(4, &from, 3 * SLOTS, 0, 0), SOURCE_ADMITTED);
	ck_assert_int_eq(admit(2, &from, 3 * SLOTS, 0, 0), SOURCE_OVER_CONNECTIONS);
}
END_TEST

START_TEST(other_limits_hold_for_what_is_counted_already)
{
	struct source from = source("2001:db8::1");
	struct sources mine = worker(1);

	open_tables(SLOTS, 16);
	mine = worker(1);
	for (int i = 0; i < 10; i++) {
		ck_assert(sources_enter(&mine, &from, 0));
	}
	ck_assert_int_eq(admit(0, &from, 5, 0, 0), SOURCE_OVER_CONNECTIONS);
	ck_assert_int_eq(admit(0, &from, 10, 0, 0), SOURCE_OVER_CONNECTIONS);
	ck_assert_int_eq(admit(0, &from, 11, 0, 0), SOURCE_ADMITTED);
	ck_assert_int_eq(admit(0, &from, 0, 1, 2000), SOURCE_ADMITTED);
	ck_assert_uint_eq(sum(&from, 0).open, 12);
}
END_TEST

/* Attempts of one source in the order of time, `step_ms` apart from `from_ms` on; how many are let
 * in. */
static const struct {
	int64_t rate, from_ms, step_ms;
	int attempts, admitted;
} floods[] = {
	{10, 5000, 0, 100, 10},    /* all at once */
	{10, 5999, 0, 100, 10},    /* wherever in the second */
	{10, 5000, 10, 100, 10},   /* a second of 100 a second */
	{10, 5000, 10, 1000, 100}, /* ten seconds of it: no more than the rate */
	{1, 5000, 1001, 20, 20},   /* slower than the limit: never refused */
	{1, 5500, 1001, 20, 20},
	{1, 5000, 100, 101, 10},
	{500000, 5000, 0, 1000, 1000},
};

START_TEST(a_rate_holds_over_every_length_of_time)
{
	struct source from = source("192.0.2.7");
	int admitted = 0;

	open_tables(SLOTS, 16);
	for (int i = 0; i < floods[_i].attempts; i++) {
		int64_t now_ms = floods[_i].from_ms + i * floods[_i].step_ms;
		enum source_verdict verdict = admit(i % SLOTS, &from, 0, floods[_i].rate, now_ms);

		admitted += verdict == SOURCE_ADMITTED;
		ck_assert(verdict == SOURCE_ADMITTED || verdict == SOURCE_OVER_RATE);
	}
	ck_assert_int_le(admitted, floods[_i].admitted);
	ck_assert_int_ge(admitted, floods[_i].admitted - floods[_i].admitted / 10);
}
END_TEST

START_TEST(what_was_refused_does_not_count_and_is_shown)
{
	struct source from = source("192.0.2.7");
	struct source_sum found;

	open_tables(SLOTS, 16);
	for (int i = 0; i < 30; i++) {
		(void)admit(i % SLOTS, &from, 0, 10, 20500);
	}
	found = sum(&from, 20500);
	ck_assert_uint_eq(source_rate(&found, 20500), 10);
	ck_assert_uint_eq(source_refused(&found, 20500), 20);
	found = sum(&from, 21250); /* three quarters of that second are within the last 1000 ms */
	ck_assert_uint_eq(source_rate(&found, 21250), 7);
	found = sum(&from, 35000);
	ck_assert_uint_eq(source_rate(&found, 35000), 0);
	ck_assert_uint_eq(source_refused(&found, 35000), 10);
	found = sum(&from, 40000);
	ck_assert_uint_eq(source_refused(&found, 40000), 0);
}
END_TEST

START_TEST(a_worker_whose_clock_was_read_earlier_sees_what_another_one_admitted)
{
	struct source from = source("192.0.2.7");

	open_tables(SLOTS, 16);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(admit(0, &from, 0, 10, 6000), SOURCE_ADMITTED);
	}
	ck_assert_int_eq(admit(1, &from, 0, 10, 5999), SOURCE_OVER_RATE);
}
END_TEST

/* --- bounds --- */

START_TEST(a_flood_of_sources_evicts_who_has_no_connection_and_nobody_else)
{
	struct source held = numbered(0);
	int admitted = 0;

	open_tables(1, 4);
	ck_assert_int_eq(admit(0, &held, 2, 0, 0), SOURCE_ADMITTED);
	for (unsigned i = 1; i < 10000; i++) {
		struct source from = numbered(i);

		ck_assert_int_eq(admit(0, &from, 2, 0, i), SOURCE_ADMITTED);
		leave(0, &from);
	}
	ck_assert_uint_eq(sum(&held, 10000).open, 1);
	for (unsigned i = 10000; i < 20000; i++) { /* these stay */
		struct source from = numbered(i);
		enum source_verdict verdict = admit(0, &from, 2, 0, 10000);

		admitted += verdict == SOURCE_ADMITTED;
		ck_assert(verdict == SOURCE_ADMITTED || verdict == SOURCE_UNTRACKED);
	}
	ck_assert_int_eq(admitted, 4 * SOURCES_WAYS - 1);
	ck_assert_uint_eq(sum(&held, 10000).open, 1);
}
END_TEST

START_TEST(the_one_longest_out_of_use_goes_first)
{
	struct source last = numbered(100);

	open_tables(1, 1);
	for (unsigned i = 0; i < SOURCES_WAYS; i++) {
		struct source from = numbered(i);

		ck_assert_int_eq(admit(0, &from, 0, 1, 1000 * (int64_t)(i + 1)), SOURCE_ADMITTED);
		leave(0, &from);
	}
	ck_assert_int_eq(admit(0, &last, 0, 1, 9000), SOURCE_ADMITTED);
	for (unsigned i = 0; i < SOURCES_WAYS; i++) {
		struct source from = numbered(i);
		struct source_sum found = sum(&from, 1000 * (int64_t)(i + 1));

		ck_assert_uint_eq(found.rate.now, i > 0);
	}
}
END_TEST

static void
count_pages(const struct source *from, const struct source_sum *part, void *arg)
{
	(void)from;
	*(uint64_t *)arg += part->open;
}

START_TEST(tables_that_nobody_used_are_not_touched)
{
	size_t size = sizeof(struct source_table) * SLOTS;
	size_t pages = (size + 4095) / 4096, resident = 0;
	unsigned char *map = calloc(pages, 1);
	struct source from = source("192.0.2.7");
	uint64_t open = 0;

	open_tables(SLOTS, SOURCES_SETS_MAX);
	ck_assert_int_eq(admit(0, &from, 2, 0, 0), SOURCE_ADMITTED);
	for (int slot = 0; slot < SLOTS; slot++) {
		sources_visit(&all, slot, 0, count_pages, &open);
		sources_bury(&all, slot);
	}
	ck_assert_uint_eq(open, 1);
	ck_assert_int_eq(mincore(all.first, size, map), 0);
	for (size_t i = 0; i < pages; i++) {
		resident += map[i] & 1;
	}
	ck_assert_uint_le(resident, 2 * SLOTS); /* marks of each, and a set or two of one */
	free(map);
}
END_TEST

/* --- death --- */

START_TEST(a_dead_workers_connections_are_taken_back_and_its_rates_stay)
{
	struct source from = source("192.0.2.7");
	struct source_cells *asking;

	open_tables(SLOTS, 16);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(admit(i % 2, &from, 4, 0, 700), SOURCE_ADMITTED);
	}
	/* It died while it asked for one more. */
	asking = &all.first->sets[(from.tag >> 32) * 16 >> 32].cells[0];
	stat_set(&asking->open, stat_get(&asking->open) | UINT64_C(1) << 32);
	ck_assert_uint_eq(sum(&from, 700).asking, 1);
	sources_bury(&all, 0);
	ck_assert_uint_eq(sum(&from, 700).open, 2);
	ck_assert_uint_eq(sum(&from, 700).asking, 0);
	ck_assert_uint_eq(sum(&from, 700).rate.now, 4);
	ck_assert_int_eq(admit(0, &from, 4, 0, 700), SOURCE_ADMITTED);
	ck_assert_int_eq(admit(0, &from, 4, 0, 700), SOURCE_ADMITTED);
	ck_assert_int_eq(admit(0, &from, 4, 0, 700), SOURCE_OVER_CONNECTIONS);
}
END_TEST

/* --- races --- */

#define RACERS 4
#define PLACES 1 /* two processors are enough to break it */
#define LAPS   10000

struct race {
	_Atomic int ready, inside, most, entered;
};

/* Who is born first would be through before the last one comes. */
static void
wait_for_all(struct race *shared)
{
	atomic_fetch_add(&shared->ready, 1);
	while (atomic_load(&shared->ready) < RACERS) {
		(void)sched_yield();
	}
}

static NORETURN void
race(int slot, struct race *shared)
{
	struct source from = source("192.0.2.7");

	wait_for_all(shared);
	for (int lap = 0; lap < LAPS; lap++) {
		if (admit(slot, &from, PLACES, 0, lap) == SOURCE_ADMITTED) {
			int inside = atomic_fetch_add(&shared->inside, 1) + 1;
			int most = atomic_load(&shared->most);

			while (inside > most &&
				!atomic_compare_exchange_weak(&shared->most, &most, inside)) {
			}
			atomic_fetch_add(&shared->entered, 1);
			atomic_fetch_sub(&shared->inside, 1);
			leave(slot, &from);
		}
	}
	_exit(0);
}

static void
wait_all(int children)
{
	for (int i = 0; i < children; i++) {
		int status;

		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
}

static struct race *
share_race(void)
{
	struct race *shared = mmap(
		NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(shared, MAP_FAILED);
	return shared;
}

START_TEST(racing_workers_never_exceed_a_limit)
{
	struct race *shared = share_race();
	struct source from = source("192.0.2.7");

	open_tables(RACERS, 16);
	for (int slot = 0; slot < RACERS; slot++) {
		if (fork() == 0) {
			race(slot, shared);
		}
	}
	wait_all(RACERS);
	ck_assert_int_le(atomic_load(&shared->most), PLACES);
	ck_assert_int_gt(atomic_load(&shared->entered), 0);
	ck_assert_uint_eq(sum(&from, 0).open, 0);
	ck_assert_uint_eq(sum(&from, 0).asking, 0);
}
END_TEST

START_TEST(racing_workers_fill_a_limit_to_the_last_place)
{
	struct source from = source("192.0.2.7");
	struct race *shared = share_race();

	open_tables(RACERS, 16);
	for (int slot = 0; slot < RACERS; slot++) {
		if (fork() == 0) {
			wait_for_all(shared);
			for (int i = 0; i < 1000; i++) {
				(void)admit(slot, &from, 1000, 2000, 500);
			}
			_exit(0);
		}
	}
	wait_all(RACERS);
	ck_assert_uint_eq(sum(&from, 500).open, 1000);
	ck_assert_uint_eq(sum(&from, 500).rate.now, 1000);
}
END_TEST

/* Readers never see the counts of one source under the tag of another while entries change hands.
 */
START_TEST(entries_change_hands_unseen)
{
	struct source watched = numbered(1);
	pid_t writer;
	int status;

	open_tables(2, 1);
	writer = fork();
	if (writer == 0) {
		for (unsigned i = 0; i < 100000; i++) {
			struct source from = numbered(i % 40);
			int64_t connections = i % 40 == 1 ? 1 : 7;

			for (int64_t k = 0; k < connections; k++) {
				(void)admit(0, &from, connections, 0, i);
			}
			for (int64_t k = 0; k < connections; k++) {
				leave(0, &from);
			}
		}
		_exit(0);
	}
	while (waitpid(writer, &status, WNOHANG) == 0) {
		ck_assert_uint_le(sum(&watched, 0).open, 1);
	}
	ck_assert_int_eq(status, 0);
}
END_TEST

UNIT_TESTS("sources",
	   tcase_add_loop_test(tests, a_source_is_an_ipv4_address_or_a_64, 0, ARRAY_LEN(pairs));
	   tcase_add_test(tests, unix_peers_have_no_source_and_listeners_are_apart);
	   tcase_add_test(tests, a_limit_of_connections_counts_all_slots);
	   tcase_add_test(tests, other_limits_hold_for_what_is_counted_already);
	   tcase_add_loop_test(tests, a_rate_holds_over_every_length_of_time, 0, ARRAY_LEN(floods));
	   tcase_add_test(tests, what_was_refused_does_not_count_and_is_shown); tcase_add_test(
		   tests, a_worker_whose_clock_was_read_earlier_sees_what_another_one_admitted);
	   tcase_add_test(tests, a_flood_of_sources_evicts_who_has_no_connection_and_nobody_else);
	   tcase_add_test(tests, the_one_longest_out_of_use_goes_first);
	   tcase_add_test(tests, tables_that_nobody_used_are_not_touched);
	   tcase_add_test(tests, a_dead_workers_connections_are_taken_back_and_its_rates_stay);
	   tcase_add_test(tests, racing_workers_never_exceed_a_limit);
	   tcase_add_test(tests, racing_workers_fill_a_limit_to_the_last_place);
	   tcase_add_test(tests, entries_change_hands_unseen);)
