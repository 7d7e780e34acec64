#include "monitor/connections.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/board.h"
#include "common/descriptor.h"
#include "common/sock_diag.h"
#include "monitor/render.h"
#include "tests/unit/board_help.h"
#include "tests/unit/run.h"

static struct board board;
static struct connections *connections;

static void
create(void)
{
	help_create_board(&board, 0);
	ck_assert_int_eq(board_listener_index(&board, "front"), 0);
	ck_assert_int_eq(board_listener_index(&board, "back"), 1);
	connections = connections_new(&board);
	ck_assert_ptr_nonnull(connections);
}

static void
destroy(void)
{
	connections_free(&connections);
	ck_assert_ptr_null(connections);
	board_detach(&board);
}

static const struct {
	const char *listener;
	int64_t older_ms;
	unsigned state;
	int slot;
	uint32_t serial;
	bool is_wanted;
} filters[] = {
	{NULL, 0, 0, -1, 0, true},
	{"back", 0, 0, -1, 0, true},
	{"front", 0, 0, -1, 0, false},
	{NULL, 5000, 0, -1, 0, true},
	{NULL, 5001, 0, -1, 0, false},
	{NULL, 0, SOCK_DIAG_ESTABLISHED, -1, 0, true},
	{NULL, 0, SOCK_DIAG_CLOSE_WAIT, -1, 0, false},
	{NULL, 0, 0, 3, 7, true},
	{NULL, 0, 0, 3, 8, false},
	{NULL, 0, 0, 2, 7, false},
	{"back", 5000, SOCK_DIAG_ESTABLISHED, 3, 7, true},
};

START_TEST(only_what_is_wanted_is_kept)
{
	const struct channel_connection facts = {
		.serial = 7, .board_listener = 1, .state = SOCK_DIAG_ESTABLISHED, .age_ms = 5000};

	connections->listener = filters[_i].listener;
	connections->older_ms = filters[_i].older_ms;
	connections->state = filters[_i].state;
	connections->slot = filters[_i].slot;
	connections->serial = filters[_i].serial;
	connections_take_row(connections, 3, &facts);
	ck_assert_uint_eq(connections->count, filters[_i].is_wanted ? 1 : 0);
}
END_TEST

static int
memory_of(size_t count)
{
	int memory = descriptor_fixed_memory("test", count * sizeof(struct channel_connection));

	ck_assert_int_ge(memory, 0);
	for (size_t i = 0; i < count; i++) {
		const struct channel_connection facts = {.serial = (uint32_t)i, .age_ms = i * 10};

		ck_assert_int_eq(pwrite(memory, &facts, sizeof(facts), (off_t)(i * sizeof(facts))),
			(ssize_t)sizeof(facts));
	}
	return memory;
}

START_TEST(a_worker_that_says_too_much_is_read_to_the_end_of_its_memory)
{
	int memory = memory_of(300);

	connections_take(connections, 0, UINT64_MAX, memory);
	ck_assert_uint_eq(connections->count, 300);
	close(memory);
}
END_TEST

START_TEST(the_oldest_comes_first)
{
	int memory = memory_of(300);

	connections_take(connections, 0, 200, memory);
	connections_take(connections, 1, 2, memory);
	connections_sort(connections);
	ck_assert_uint_eq(connections->count, 202);
	for (size_t i = 1; i < connections->count; i++) {
		ck_assert_uint_ge(
			connections->rows[i - 1].facts.age_ms, connections->rows[i].facts.age_ms);
	}
	ck_assert_uint_eq(connections->rows[0].facts.serial, 199);
	close(memory);
}
END_TEST

static char *
show(enum render_form form, const char *note)
{
	const struct render render = {.form = form, .width = 80};
	char *shown = NULL;
	size_t len;
	FILE *stream = open_memstream(&shown, &len);

	ck_assert_int_eq(connections_render(connections, &render, note, stream), 0);
	ck_assert_int_eq(fclose(stream), 0);
	return shown;
}

/* Whatever a worker writes: no crash, no terminal driven. */
START_TEST(garbage_is_shown_as_unknown)
{
	struct channel_connection facts;
	char *text, *json;

	memset(&facts, 0xff, sizeof(facts));
	connections_take_row(connections, 0, &facts);
	text = show(RENDER_TEXT, "");
	json = show(RENDER_JSON, "");
	ck_assert_ptr_nonnull(strstr(text, "unknown"));
	ck_assert_ptr_nonnull(strstr(json, "\"listener\":\"unknown\""));
	ck_assert_ptr_null(strchr(text, '\033'));
	free(text);
	free(json);
}
END_TEST

START_TEST(a_row_has_its_facts_and_the_note_follows)
{
	const struct channel_connection facts = {.serial = 9,
		.state = SOCK_DIAG_CLOSE_WAIT,
		.phase = PHASE_OPEN,
		.age_ms = 90000,
		.received_bytes = 12,
		.sent_bytes = 34};
	char *text, *json;

	connections_take_row(connections, 5, &facts);
	text = show(RENDER_TEXT, "1 workers did not answer");
	json = show(RENDER_JSON, "");
	ck_assert_ptr_nonnull(strstr(text, "5-9"));
	ck_assert_ptr_nonnull(strstr(text, "CLOSE_WAIT"));
	ck_assert_ptr_nonnull(strstr(text, "\n1 workers did not answer\n"));
	ck_assert_ptr_nonnull(strstr(json, "\"id\":\"5-9\""));
	ck_assert_ptr_nonnull(strstr(json, "\"age_ms\":90000"));
	ck_assert_ptr_nonnull(strstr(json, "\"note\":null"));
	free(text);
	free(json);
}
END_TEST

/* The column is there only where it says something. */
START_TEST(a_load_balancer_is_shown_beside_the_client_it_speaks_for)
{
	struct channel_connection facts = {.serial = 9, .phase = PHASE_OPEN};
	char *text, *json;

	facts.peer.in4 = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc6336407), .sin_port = htons(5)};
	connections_take_row(connections, 0, &facts);
	text = show(RENDER_TEXT, "");
	json = show(RENDER_JSON, "");
	ck_assert_ptr_null(strstr(text, "via"));
	ck_assert_ptr_nonnull(strstr(json, "\"peer\":\"198.51.100.7:5\",\"via\":null"));
	free(text);
	free(json);

	facts.via.in4 = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000001), .sin_port = htons(6)};
	connections_take_row(connections, 0, &facts);
	text = show(RENDER_TEXT, "");
	json = show(RENDER_JSON, "");
	ck_assert_ptr_nonnull(strstr(text, "  via\n"));
	ck_assert_ptr_nonnull(strstr(text, "  -\n"));
	ck_assert_ptr_nonnull(strstr(text, "198.51.100.7:5"));
	ck_assert_ptr_nonnull(strstr(text, "  10.0.0.1:6\n"));
	ck_assert_ptr_nonnull(strstr(json, "\"peer\":\"198.51.100.7:5\",\"via\":\"10.0.0.1:6\""));
	free(text);
	free(json);
}
END_TEST

UNIT_TESTS("connections", tcase_add_checked_fixture(tests, create, destroy);
	   tcase_add_loop_test(tests, only_what_is_wanted_is_kept, 0, ARRAY_LEN(filters));
	   tcase_add_test(tests, a_worker_that_says_too_much_is_read_to_the_end_of_its_memory);
	   tcase_add_test(tests, the_oldest_comes_first);
	   tcase_add_test(tests, garbage_is_shown_as_unknown);
	   tcase_add_test(tests, a_row_has_its_facts_and_the_note_follows);
	   tcase_add_test(tests, a_load_balancer_is_shown_beside_the_client_it_speaks_for);)
