#include "monitor/web_body.h"

#include <stdlib.h>
#include <string.h>

#include "monitor/reading.h"
#include "monitor/states.h"
#include "monitor/web.h"
#include "tests/unit/board_help.h"
#include "tests/unit/run.h"

static struct board board;
static struct reading reading;
static struct states *states;
static struct web_bodies bodies;
static const struct web_route *route;
static unsigned views;

static void
on_view(void *owner, const struct web_route *shown, struct web_view *view)
{
	ck_assert_ptr_eq(owner, &views);
	ck_assert_ptr_eq(shown, route);
	views++;
	*view = (struct web_view){.board = &board,
		.now = &reading,
		.second_ago = &reading,
		.minute_ago = &reading,
		.states = states};
}

static void
setup(void)
{
	help_create_board(&board, 1);
	reading_take(&board, &reading);
	states = calloc(1, sizeof(*states));
	ck_assert_ptr_nonnull(states);
	bodies = (struct web_bodies){.view = on_view, .owner = &views};
	route = web_route_find("/metrics");
	views = 0;
}

static void
teardown(void)
{
	web_bodies_forget(&bodies);
	ck_assert_uint_eq(bodies.pending_bytes, 0);
	free(states);
	board_detach(&board);
}

START_TEST(who_asks_in_the_same_second_gets_the_same_body)
{
	struct web_body *first = web_bodies_get(&bodies, route, "");
	struct web_body *second = web_bodies_get(&bodies, route, "");
	struct web_body *later;

	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_eq(first, second);
	ck_assert_uint_eq(views, 1);
	ck_assert_uint_eq(bodies.pending_bytes, first->len);
	web_bodies_forget(&bodies);
	later = web_bodies_get(&bodies, route, "");
	ck_assert_uint_eq(views, 2);
	ck_assert_uint_eq(bodies.pending_bytes, first->len + later->len);
	web_body_release(&first);
	ck_assert_ptr_null(first);
	web_body_release(&second);
	ck_assert_uint_eq(bodies.pending_bytes, later->len);
	web_body_release(&later);
}
END_TEST

START_TEST(what_is_asked_with_a_query_or_of_the_moment_is_written_for_each)
{
	static const struct {
		const char *path, *query;
	} asked[] = {{"/metrics", "a=1"}, {"/healthz", ""}};

	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		struct web_body *body;

		route = web_route_find(asked[i].path);
		for (unsigned times = 1; times <= 2; times++) {
			views = 0;
			body = web_bodies_get(&bodies, route, asked[i].query);
			ck_assert_ptr_nonnull(body);
			ck_assert_uint_eq(views, 1);
			web_body_release(&body);
			ck_assert_uint_eq(bodies.pending_bytes, 0);
		}
	}
}
END_TEST

START_TEST(a_file_is_no_burden_and_too_much_that_nobody_takes_is_refused)
{
	struct web_body *file, *sentence;

	bodies.pending_bytes = WEB_PENDING_MAX + 1;
	ck_assert_ptr_null(web_bodies_get(&bodies, route, ""));
	file = web_bodies_get(&bodies, web_route_find("/"), "");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(bodies.pending_bytes, WEB_PENDING_MAX + 1);
	web_body_release(&file);
	sentence = web_bodies_say(&bodies, HTTP_UNAVAILABLE, "no memory");
	ck_assert_ptr_nonnull(sentence);
	ck_assert_mem_eq(sentence->bytes, "503 ", 4);
	ck_assert_ptr_nonnull(strstr(sentence->bytes, "no memory\n"));
	web_body_release(&sentence);
	ck_assert_uint_eq(bodies.pending_bytes, WEB_PENDING_MAX + 1);
	bodies.pending_bytes = 0;
}
END_TEST

UNIT_TESTS("web_body", tcase_add_checked_fixture(tests, setup, teardown);
	   tcase_add_test(tests, who_asks_in_the_same_second_gets_the_same_body);
	   tcase_add_test(tests, what_is_asked_with_a_query_or_of_the_moment_is_written_for_each);
	   tcase_add_test(tests, a_file_is_no_burden_and_too_much_that_nobody_takes_is_refused);)
