#include "common/loop.h"

#include "common/clock.h"
#include "tests/unit/run.h"

struct owner {
	int before; /* so that the timer is not the first member */
	struct loop_timer timer;
	int expiries;
	int stop_after;
};

static void
owner_on_expiry(struct ev_loop *loop, struct loop_timer *timer)
{
	struct owner *owner = container_of(timer, struct owner, timer);

	if (++owner->expiries == owner->stop_after) {
		loop_timer_stop(loop, timer);
	}
}

static struct ev_loop *
loop_with(struct owner *owner, int stop_after)
{
	struct ev_loop *loop = loop_new();

	ck_assert_ptr_nonnull(loop);
	*owner = (struct owner){.stop_after = stop_after};
	loop_timer_init(&owner->timer, owner_on_expiry);
	return loop;
}

START_TEST(a_loop_uses_epoll_whatever_the_environment_says)
{
	struct ev_loop *loop;

	setenv("LIBEV_FLAGS", "1", 1); /* EVBACKEND_SELECT */
	loop = loop_new();
	ck_assert_ptr_nonnull(loop);
	ck_assert_uint_eq(ev_backend(loop), EVBACKEND_EPOLL);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(a_timer_fires_once_and_not_before_its_time)
{
	struct owner owner;
	struct ev_loop *loop = loop_with(&owner, 0);
	int64_t start_us;

	ev_now_update(loop);
	start_us = clock_monotonic_us();
	loop_timer_start(loop, &owner.timer, 20);
	ev_run(loop, 0); /* ends when nothing is left to wait for */
	ck_assert_int_eq(owner.expiries, 1);
	/* libev may be early by its own slack, never by a millisecond */
	ck_assert_int_ge(clock_monotonic_us() - start_us, 19000);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(a_repeating_timer_fires_until_it_is_stopped)
{
	struct owner owner;
	struct ev_loop *loop = loop_with(&owner, 3);

	loop_timer_repeat(loop, &owner.timer, 1);
	ev_run(loop, 0);
	ck_assert_int_eq(owner.expiries, 3);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(a_running_timer_is_set_anew_by_start)
{
	struct owner owner;
	struct ev_loop *loop = loop_with(&owner, 0);

	loop_timer_repeat(loop, &owner.timer, 3600 * 1000);
	loop_timer_start(loop, &owner.timer, 1);
	ev_run(loop, 0);
	ck_assert_int_eq(owner.expiries, 1);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(a_stopped_timer_does_not_fire)
{
	struct owner owner;
	struct ev_loop *loop = loop_with(&owner, 0);

	loop_timer_stop(loop, &owner.timer); /* never started: nothing happens */
	loop_timer_start(loop, &owner.timer, 0);
	loop_timer_stop(loop, &owner.timer);
	ev_run(loop, 0);
	ck_assert_int_eq(owner.expiries, 0);
	ev_loop_destroy(loop);
}
END_TEST

UNIT_TESTS("loop", tcase_add_test(tests, a_loop_uses_epoll_whatever_the_environment_says);
	   tcase_add_test(tests, a_timer_fires_once_and_not_before_its_time);
	   tcase_add_test(tests, a_repeating_timer_fires_until_it_is_stopped);
	   tcase_add_test(tests, a_running_timer_is_set_anew_by_start);
	   tcase_add_test(tests, a_stopped_timer_does_not_fire);)
