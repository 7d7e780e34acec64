#include "worker/deadline.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/run.h"

#define OWNERS 64

struct owner {
	struct deadline deadline;
	int64_t want_ms; /* when it must expire; INT64_MAX: not set */
	unsigned expired;
};

static struct deadlines deadlines;
static struct owner owners[OWNERS];
static int64_t now_ms;
static size_t order[OWNERS], order_count;

static void
note_expiry(struct deadline *deadline)
{
	struct owner *owner = container_of(deadline, struct owner, deadline);

	ck_assert_int_le(owner->want_ms, now_ms);
	owner->want_ms = INT64_MAX;
	owner->expired++;
	order[order_count++ % OWNERS] = (size_t)(owner - owners);
}

static void
note_other(struct deadline *deadline)
{
	note_expiry(deadline);
}

static void
begin(void)
{
	deadlines_init(&deadlines);
	memset(owners, 0, sizeof(owners));
	for (size_t i = 0; i < OWNERS; i++) {
		owners[i].want_ms = INT64_MAX;
	}
	order_count = 0;
	now_ms = 1000;
}

static struct deadline_list *
open_list(int64_t length_ms)
{
	struct deadline_list *list = deadlines_open_list(&deadlines, length_ms, note_expiry);

	ck_assert_ptr_nonnull(list);
	return list;
}

static void
set(size_t i, struct deadline_list *list)
{
	deadline_set(&deadlines, &owners[i].deadline, list, now_ms);
	owners[i].want_ms =
		list->length_ms == DEADLINE_NEVER ? INT64_MAX : now_ms + list->length_ms;
}

static size_t
expire_at(int64_t time_ms)
{
	now_ms = time_ms;
	return deadlines_expire(&deadlines, now_ms, OWNERS);
}

START_TEST(nothing_expires_before_its_time_and_everything_at_it)
{
	struct deadline_list *list;

	begin();
	list = open_list(100);
	set(0, list);
	ck_assert_int_eq(deadlines_next_ms(&deadlines), 1100);
	ck_assert_uint_eq(expire_at(1099), 0);
	ck_assert_uint_eq(expire_at(1100), 1);
	ck_assert_uint_eq(expire_at(9999), 0);
	ck_assert_int_eq(deadlines_next_ms(&deadlines), INT64_MAX);
	deadlines_close_list(&deadlines, &list);
	ck_assert_ptr_null(list);
	deadlines_fini(&deadlines);
}
END_TEST

START_TEST(a_refreshed_deadline_goes_to_the_end)
{
	struct deadline_list *list;

	begin();
	list = open_list(100);
	for (size_t i = 0; i < 3; i++) {
		set(i, list);
	}
	now_ms = 1050;
	set(0, list);
	ck_assert_uint_eq(expire_at(1100), 2);
	ck_assert_uint_eq(expire_at(1150), 1);
	ck_assert_uint_eq(order[0], 1);
	ck_assert_uint_eq(order[1], 2);
	ck_assert_uint_eq(order[2], 0);
	deadlines_close_list(&deadlines, &list);
}
END_TEST

START_TEST(a_deadline_moves_between_lists_and_expires_once)
{
	struct deadline_list *idle, *writing;

	begin();
	idle = open_list(1000);
	writing = open_list(100);
	set(0, idle);
	set(0, writing);
	ck_assert_int_eq(deadlines_next_ms(&deadlines), 1100);
	ck_assert_uint_eq(expire_at(5000), 1);
	set(1, writing);
	set(1, idle);
	ck_assert_uint_eq(expire_at(5100), 0);
	ck_assert_uint_eq(expire_at(6000), 1);
	deadlines_close_list(&deadlines, &idle);
	deadlines_close_list(&deadlines, &writing);
}
END_TEST

START_TEST(never_is_a_length)
{
	struct deadline_list *never, *soon;

	begin();
	never = open_list(DEADLINE_NEVER);
	soon = open_list(1);
	set(0, soon);
	set(0, never);
	ck_assert_uint_eq(expire_at(INT64_MAX), 0);
	deadline_clear(&owners[0].deadline);
	deadlines_close_list(&deadlines, &never);
	deadlines_close_list(&deadlines, &soon);
}
END_TEST

START_TEST(one_length_and_purpose_is_one_list)
{
	struct deadline_list *a, *b, *other, *longer;

	begin();
	a = open_list(100);
	b = open_list(100);
	other = deadlines_open_list(&deadlines, 100, note_other);
	longer = open_list(101);
	ck_assert_ptr_eq(a, b);
	ck_assert_ptr_ne(a, other);
	ck_assert_ptr_ne(a, longer);
	deadlines_close_list(&deadlines, &a);
	set(0, b);
	ck_assert_uint_eq(expire_at(1100), 1);
	deadlines_close_list(&deadlines, &other);
	deadlines_close_list(&deadlines, &b);
	deadlines_close_list(&deadlines, &longer);
	deadlines_close_list(&deadlines, &longer);
	deadlines_fini(&deadlines);
}
END_TEST

START_TEST(a_turn_expires_no_more_than_it_is_asked_to)
{
	struct deadline_list *list;

	begin();
	list = open_list(100);
	for (size_t i = 0; i < 10; i++) {
		set(i, list);
	}
	now_ms = 1100;
	ck_assert_uint_eq(deadlines_expire(&deadlines, now_ms, 4), 4);
	ck_assert_int_le(deadlines_next_ms(&deadlines), now_ms);
	ck_assert_uint_eq(deadlines_expire(&deadlines, now_ms, 4), 4);
	ck_assert_uint_eq(deadlines_expire(&deadlines, now_ms, 4), 2);
	deadlines_close_list(&deadlines, &list);
}
END_TEST

static struct deadline_list *meddled;

/* What a protocol may do: set its own again, clear the next one, give up the list. */
static void
meddle(struct deadline *deadline)
{
	struct owner *owner = container_of(deadline, struct owner, deadline);

	owner->expired++;
	if (owner == &owners[0]) {
		deadline_clear(&owners[1].deadline);
		deadline_set(&deadlines, deadline, meddled, now_ms);
	} else if (owner == &owners[2]) {
		deadline_clear(&owners[0].deadline);
		deadlines_close_list(&deadlines, &meddled);
	}
}

START_TEST(an_owner_may_set_clear_and_give_up_anything)
{
	begin();
	meddled = deadlines_open_list(&deadlines, 100, meddle);
	for (size_t i = 0; i < 3; i++) {
		deadline_set(&deadlines, &owners[i].deadline, meddled, now_ms);
	}
	ck_assert_uint_eq(expire_at(1100), 2);
	ck_assert_uint_eq(owners[0].expired, 1);
	ck_assert_uint_eq(owners[1].expired, 0);
	ck_assert_uint_eq(owners[2].expired, 1);
	ck_assert_ptr_null(meddled);
	deadlines_fini(&deadlines);
}
END_TEST

/* Any sequence of operations against the plain list of when each owner must expire. */
START_TEST(agrees_with_a_plain_model)
{
	static const int64_t lengths[] = {DEADLINE_NEVER, 1, 7, 100, 1000};
	struct deadline_list *lists[ARRAY_LEN(lengths)];
	unsigned seed = (unsigned)_i;

	begin();
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		lists[i] = open_list(lengths[i]);
	}
	for (int step = 0; step < 2000; step++) {
		size_t i = (size_t)rand_r(&seed) % OWNERS, due = 0;
		int64_t soonest = INT64_MAX;

		if (rand_r(&seed) % 5 == 0) {
			deadline_clear(&owners[i].deadline);
			owners[i].want_ms = INT64_MAX;
		} else {
			set(i, lists[(size_t)rand_r(&seed) % ARRAY_LEN(lists)]);
		}
		now_ms += rand_r(&seed) % 20;
		for (i = 0; i < OWNERS; i++) {
			due += owners[i].want_ms <= now_ms ? 1 : 0;
			soonest = owners[i].want_ms < soonest ? owners[i].want_ms : soonest;
		}
		ck_assert_int_le(deadlines_next_ms(&deadlines), soonest);
		ck_assert_uint_eq(expire_at(now_ms), due);
	}
	for (size_t i = 0; i < OWNERS; i++) {
		deadline_clear(&owners[i].deadline);
	}
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		deadlines_close_list(&deadlines, &lists[i]);
	}
	deadlines_fini(&deadlines);
}
END_TEST

UNIT_TESTS("deadline", tcase_add_test(tests, nothing_expires_before_its_time_and_everything_at_it);
	   tcase_add_test(tests, a_refreshed_deadline_goes_to_the_end);
	   tcase_add_test(tests, a_deadline_moves_between_lists_and_expires_once);
	   tcase_add_test(tests, never_is_a_length);
	   tcase_add_test(tests, one_length_and_purpose_is_one_list);
	   tcase_add_test(tests, a_turn_expires_no_more_than_it_is_asked_to);
	   tcase_add_test(tests, an_owner_may_set_clear_and_give_up_anything);
	   tcase_add_loop_test(tests, agrees_with_a_plain_model, 0, 20);)
