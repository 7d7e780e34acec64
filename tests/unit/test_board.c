#include "common/board.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "common/fault.h"
#include "tests/unit/run.h"

static struct board board;
static struct fault why;
static int memory;

static void
create(void)
{
	ck_assert_int_eq(board_create(&board, &memory, &why), 0);
}

static void
destroy(void)
{
	board_detach(&board);
	descriptor_close(&memory);
}

static uint64_t
sum_of_closed(const struct board_listener_copy *copy)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < CLOSE_COUNT; i++) {
		sum += copy->closed[i];
	}
	return sum;
}

static void
assert_conserved(const struct board_listener_copy *copy)
{
	ck_assert_uint_eq(copy->stats[STAT_LISTENER_accepted],
		copy->stats[STAT_LISTENER_open] + sum_of_closed(copy));
}

START_TEST(every_row_is_found_by_its_scope_and_index)
{
	static const size_t counts[] = {[STAT_SCOPE_WORKER] = STAT_WORKER_COUNT,
		[STAT_SCOPE_LISTENER] = STAT_LISTENER_COUNT,
		[STAT_SCOPE_CLOSE] = CLOSE_COUNT,
		[STAT_SCOPE_QUEUE] = STAT_QUEUE_COUNT,
		[STAT_SCOPE_MASTER] = STAT_MASTER_COUNT,
		[STAT_SCOPE_KERNEL] = STAT_KERNEL_COUNT,
		[STAT_SCOPE_SERVER] = STAT_SERVER_COUNT};
	size_t total = 0;

	for (size_t scope = 0; scope < ARRAY_LEN(counts); scope++) {
		for (size_t index = 0; index < counts[scope]; index++) {
			const struct stat_row *row = stat_row_of((enum stat_scope)scope, index);

			ck_assert_int_eq(row->scope, scope);
			ck_assert_uint_gt(strlen(row->help), 10);
			total++;
		}
		ck_assert_ptr_null(stat_row_of((enum stat_scope)scope, counts[scope]));
	}
	ck_assert_uint_eq(total, stat_row_count);
	ck_assert_str_eq(stat_row_of(STAT_SCOPE_WORKER, STAT_WORKER_starts)->name, "starts");
	ck_assert_str_eq(close_reason_name(CLOSE_lost_in_crash), "lost_in_crash");
	ck_assert_str_eq(close_reason_name(CLOSE_COUNT), "unknown");
}
END_TEST

START_TEST(names_and_numbers_are_unique_within_their_scope)
{
	for (size_t i = 0; i < stat_row_count; i++) {
		for (size_t j = 0; j < i; j++) {
			if (stat_rows[i].scope == stat_rows[j].scope) {
				ck_assert_uint_ne(stat_rows[i].number, stat_rows[j].number);
				ck_assert_str_ne(stat_rows[i].name, stat_rows[j].name);
			}
		}
	}
}
END_TEST

START_TEST(a_fresh_board_costs_next_to_nothing)
{
	struct stat info;

	create();
	ck_assert_int_eq(fstat(memory, &info), 0);
	ck_assert_int_gt(info.st_size, 40 << 20);
	ck_assert_int_le(info.st_blocks * 512, 2 * BOARD_PAGE);
	ck_assert_uint_eq((uintptr_t)&board.slots[0] % BOARD_PAGE, 0);
	ck_assert_int_eq(ftruncate(memory, 0), -1);
	destroy();
}
END_TEST

START_TEST(a_listener_keeps_its_row_by_name)
{
	char name[BOARD_NAME_MAX];

	create();
	ck_assert_int_eq(board_listener_index(&board, "web"), 0);
	ck_assert_int_eq(board_listener_index(&board, "echo"), 1);
	ck_assert_int_eq(board_listener_index(&board, "web"), 0);
	ck_assert_int_eq(board_listener_index(&board, "0123456789012345678901234567890"), 2);
	ck_assert_int_eq(
		board_listener_index(&board, "01234567890123456789012345678901"), -ENAMETOOLONG);
	for (int i = 3; i < BOARD_LISTENERS; i++) {
		(void)snprintf(name, sizeof(name), "listener_%d", i);
		ck_assert_int_eq(board_listener_index(&board, name), i);
	}
	ck_assert_int_eq(board_listener_index(&board, "one_more"), -ENOSPC);
	ck_assert_int_eq(board_listener_index(&board, "echo"), 1);
	ck_assert_str_eq(board.master->listeners[1].name, "echo");
	destroy();
}
END_TEST

/* How a child ends that does `act`: its exit status, or its signal + 1000. */
static int
ending_of(void (*act)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)signal(SIGSEGV, SIG_DFL); /* no report of a sanitizer for what is meant */
		act();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) + 1000 : WEXITSTATUS(status);
}

static struct board mine;

static void
attach_slot_three(void)
{
	if (board_attach(&mine, memory, 3, NULL) != 0) {
		_exit(1);
	}
	close(memory);
}

static void
write_own_slot(void)
{
	attach_slot_three();
	stat_add(&mine.slots[3].stats[STAT_WORKER_turns], 5);
}

static void
write_other_slot(void)
{
	attach_slot_three();
	stat_add(&mine.slots[2].stats[STAT_WORKER_turns], 5);
}

static void
write_master_part(void)
{
	attach_slot_three();
	*(volatile uint64_t *)(uintptr_t)&mine.master->size = 0;
}

static void
write_as_reader(void)
{
	if (board_attach(&mine, memory, -1, NULL) != 0) {
		_exit(1);
	}
	stat_add(&mine.slots[3].stats[STAT_WORKER_turns], 5);
}

static void
make_other_slot_writable(void)
{
	attach_slot_three();
	_exit(mprotect(&mine.slots[2], sizeof(struct board_slot), PROT_READ | PROT_WRITE) == 0 ? 2
											       : 3);
}

static void
reopen_after_close(void)
{
	attach_slot_three();
	_exit(mprotect((void *)(uintptr_t)mine.master, BOARD_PAGE, PROT_READ | PROT_WRITE) == 0
			? 2
			: 3);
}

static const struct {
	void (*act)(void);
	int ending;
} writers[] = {
	{write_own_slot, 0},
	{write_other_slot, SIGSEGV + 1000},
	{write_master_part, SIGSEGV + 1000},
	{write_as_reader, SIGSEGV + 1000},
	{make_other_slot_writable, 3},
	{reopen_after_close, 3},
};

START_TEST(a_worker_can_write_its_own_slot_and_nothing_else)
{
	create();
	ck_assert_int_eq(ending_of(writers[_i].act), writers[_i].ending);
	ck_assert_uint_eq(stat_get(&board.slots[3].stats[STAT_WORKER_turns]), _i == 0 ? 5 : 0);
	ck_assert_uint_eq(stat_get(&board.slots[2].stats[STAT_WORKER_turns]), 0);
	destroy();
}
END_TEST

START_TEST(another_builds_board_is_refused)
{
	struct board other = {0};
	int64_t before;
	int copy;

	create();
	before = descriptor_count_open();
	board.writable->layout++;
	ck_assert_int_eq(board_attach(&other, memory, -1, &why), -EPROTO);
	ck_assert_ptr_nonnull(strstr(why.text, "another build's"));
	board.writable->layout--;
	board.writable->version++;
	ck_assert_int_eq(board_attach(&other, memory, 0, &why), -EPROTO);
	board.writable->version--;
	ck_assert_int_eq(board_attach(&other, memory, 0, &why), 0);
	board_detach(&other);
	ck_assert_ptr_null(other.master);
	copy = descriptor_fixed_memory("short", 4096);
	ck_assert_int_eq(board_attach(&other, copy, -1, &why), -EPROTO);
	descriptor_close(&copy);
	copy = memfd_create("not sealed", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(copy, (off_t)board.mapped_bytes), 0);
	ck_assert_int_eq(board_attach(&other, copy, -1, &why), -EPROTO);
	descriptor_close(&copy);
	ck_assert_int_eq(descriptor_count_open(), before);
	destroy();
}
END_TEST

/* A worker's life in small: connections of one listener come and go, two at most at a time. */
static void
one_turn(struct board_slot *slot, unsigned turn)
{
	struct board_listener_cells *cells = &slot->listeners[0];
	uint64_t open = stat_get(&cells->stats[STAT_LISTENER_open]);

	board_write_begin(slot);
	if (open < 50) {
		stat_add(&cells->stats[STAT_LISTENER_accepted], 2);
		stat_set(&cells->stats[STAT_LISTENER_open], open + 2);
	} else {
		stat_add(&cells->closed[turn % CLOSE_lost_in_crash], 40);
		stat_set(&cells->stats[STAT_LISTENER_open], open - 40);
	}
	stat_set(&slot->stats[STAT_WORKER_open], stat_get(&cells->stats[STAT_LISTENER_open]));
	board_write_end(slot);
}

static pid_t
start_writer(int slot, unsigned turns)
{
	pid_t pid;

	board_open_slot(&board, slot);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (board_attach(&mine, memory, slot, NULL) != 0) {
			_exit(1);
		}
		atomic_store(&mine.slots[slot].state, BOARD_WORKER_SERVING);
		for (unsigned turn = 0; turns == 0 || turn < turns; turn++) {
			one_turn(&mine.slots[slot], turn);
		}
		_exit(0);
	}
	return pid;
}

static void
end_writer(pid_t pid, int signal_number)
{
	int status;

	ck_assert_int_eq(kill(pid, signal_number), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

START_TEST(a_reader_never_sees_half_an_update)
{
	struct board_listener_copy copy;
	int status;
	pid_t pid;

	create();
	ck_assert_int_eq(board_listener_index(&board, "echo"), 0);
	pid = start_writer(1, 1000);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		board_read_listener(&board, 1, 0, &copy);
		assert_conserved(&copy);
	}
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	board_read_listener(&board, 1, 0, &copy);
	assert_conserved(&copy);
	ck_assert_uint_gt(copy.stats[STAT_LISTENER_accepted], 1900);
	ck_assert_uint_gt(sum_of_closed(&copy), 1000);
	destroy();
}
END_TEST

/* Totals over both slots, with everything that may never fall. */
static void
assert_nothing_fell(struct board_listener_copy *before)
{
	struct board_listener_copy now;

	board_sum_listener(&board, 0, &now);
	assert_conserved(&now);
	ck_assert_uint_ge(now.stats[STAT_LISTENER_accepted], before->stats[STAT_LISTENER_accepted]);
	for (size_t i = 0; i < CLOSE_COUNT; i++) {
		ck_assert_uint_ge(now.closed[i], before->closed[i]);
	}
	*before = now;
}

START_TEST(totals_survive_writers_that_are_killed_at_any_moment)
{
	struct board_listener_copy total = {0};
	const board_cell *accepted;
	pid_t other;

	create();
	ck_assert_int_eq(board_listener_index(&board, "echo"), 0);
	accepted = &board.slots[1].listeners[0].stats[STAT_LISTENER_accepted];
	other = start_writer(4, 0);
	for (int life = 0; life < 100; life++) {
		uint64_t accepted_before = stat_get(accepted), lost, lost_before;
		pid_t pid = start_writer(1, 0);

		while (stat_get(accepted) < accepted_before + 1000) {
			assert_nothing_fell(&total);
		}
		end_writer(pid, SIGKILL);
		lost_before = stat_get(&board.slots[1].listeners[0].closed[CLOSE_lost_in_crash]);
		lost = board_bury_slot(&board, 1);
		ck_assert_uint_le(lost, 52);
		ck_assert_uint_eq(
			stat_get(&board.slots[1].listeners[0].closed[CLOSE_lost_in_crash]),
			lost_before + lost);
		ck_assert_uint_eq(stat_get(&board.slots[1].stats[STAT_WORKER_open]), 0);
		ck_assert_uint_eq(
			stat_get(&board.slots[1].listeners[0].stats[STAT_LISTENER_open]), 0);
		ck_assert_uint_eq(atomic_load(&board.slots[1].sequence) % 2, 0);
		ck_assert_int_eq((int)atomic_load(&board.slots[1].state), BOARD_WORKER_EMPTY);
		assert_nothing_fell(&total);
	}
	end_writer(other, SIGKILL);
	ck_assert_uint_gt(total.closed[CLOSE_lost_in_crash], 0);
	destroy();
}
END_TEST

/* Where in its update a worker was killed: after none, one or both stores of an accept, and after
 * the close alone. */
static const struct {
	uint64_t accepted, open, closed;
	uint64_t lost, accepted_at_last;
} moments[] = {
	{7, 4, 3, 4, 7},
	{8, 4, 3, 5, 8},
	{8, 5, 3, 5, 8},
	{7, 4, 4, 3, 7},
	{0, 0, 1, 0, 1},
	{0, 1, 0, 0, 0},
};

START_TEST(a_worker_killed_in_the_middle_of_an_update_is_buried_exactly)
{
	struct board_slot *slot;
	struct board_listener_copy copy;

	create();
	ck_assert_int_eq(board_listener_index(&board, "echo"), 0);
	board_open_slot(&board, 2);
	slot = &board.slots[2];
	board_write_begin(slot);
	stat_set(&slot->listeners[0].stats[STAT_LISTENER_accepted], moments[_i].accepted);
	stat_set(&slot->listeners[0].stats[STAT_LISTENER_open], moments[_i].open);
	stat_set(&slot->listeners[0].closed[CLOSE_idle], moments[_i].closed);
	ck_assert_uint_eq(board_bury_slot(&board, 2), moments[_i].lost);
	board_sum_listener(&board, 0, &copy);
	assert_conserved(&copy);
	ck_assert_uint_eq(copy.stats[STAT_LISTENER_accepted], moments[_i].accepted_at_last);
	ck_assert_uint_eq(copy.stats[STAT_LISTENER_open], 0);
	ck_assert_uint_eq(copy.closed[CLOSE_idle], moments[_i].closed);
	ck_assert_uint_eq(board_bury_slot(&board, 2), 0);
	destroy();
}
END_TEST

START_TEST(a_client_that_was_being_accepted_is_lost_too)
{
	struct board_listener_cells *cells;
	struct board_listener_copy copy;

	create();
	ck_assert_int_eq(board_listener_index(&board, "echo"), 0);
	board_open_slot(&board, 0);
	cells = &board.slots[0].listeners[0];
	stat_set(&cells->stats[STAT_LISTENER_accepted], 5);
	stat_set(&cells->stats[STAT_LISTENER_open], 2);
	stat_set(&cells->closed[CLOSE_client], 3);
	stat_set(&cells->accepting, _i == 0 ? 5 : 6); /* the last one is in the books, or not */
	ck_assert_uint_eq(board_bury_slot(&board, 0), _i == 0 ? 2 : 3);
	board_sum_listener(&board, 0, &copy);
	assert_conserved(&copy);
	ck_assert_uint_eq(copy.stats[STAT_LISTENER_accepted], _i == 0 ? 5 : 6);
	ck_assert_uint_eq(board_bury_slot(&board, 0), 0);
	destroy();
}
END_TEST

START_TEST(a_writer_stopped_in_the_middle_does_not_stop_the_reader)
{
	struct board_slot *slot;
	struct board_listener_copy copy;

	create();
	slot = &board.slots[0];
	board_write_begin(slot);
	stat_set(&slot->listeners[0].stats[STAT_LISTENER_accepted], 10);
	stat_set(&slot->listeners[0].stats[STAT_LISTENER_open], 3);
	stat_set(&slot->listeners[0].closed[CLOSE_client], 6);
	board_read_listener(&board, 0, 0, &copy);
	assert_conserved(&copy);
	ck_assert_uint_eq(copy.stats[STAT_LISTENER_accepted], 10);
	ck_assert_uint_eq(copy.stats[STAT_LISTENER_open], 4);
	destroy();
}
END_TEST

START_TEST(all_listeners_of_a_dead_worker_are_buried_and_its_crash_stays_readable)
{
	struct board_slot *slot;

	create();
	ck_assert_int_eq(board_listener_index(&board, "a"), 0);
	ck_assert_int_eq(board_listener_index(&board, "b"), 1);
	board_open_slot(&board, 0);
	slot = &board.slots[0];
	for (int i = 0; i < 2; i++) {
		stat_set(&slot->listeners[i].stats[STAT_LISTENER_accepted], 10);
		stat_set(&slot->listeners[i].stats[STAT_LISTENER_open], 10);
		stat_set(&slot->listeners[i].stats[STAT_LISTENER_received_bytes], 99);
		stat_set(&slot->listeners[i].claims, 11);
	}
	stat_set(&slot->stats[STAT_WORKER_open], 20);
	stat_set(&slot->claims, 21);
	stat_set(&slot->stats[STAT_WORKER_turns], 12);
	atomic_store(&slot->pause, BOARD_PAUSE_LIMIT);
	atomic_store(&slot->pid, 812);
	atomic_store(&slot->crash.is_written, 1);
	ck_assert_uint_eq(board_bury_slot(&board, 0), 20);
	ck_assert_uint_eq(stat_get(&slot->listeners[1].stats[STAT_LISTENER_received_bytes]), 99);
	ck_assert_uint_eq(stat_get(&slot->stats[STAT_WORKER_turns]), 12);
	ck_assert_uint_eq(stat_get(&slot->claims), 0);
	ck_assert_uint_eq(stat_get(&slot->listeners[0].claims), 0);
	ck_assert_uint_eq(stat_get(&slot->stats[STAT_WORKER_open]), 0);
	ck_assert_uint_eq(atomic_load(&slot->pause), 0);
	ck_assert_int_eq(atomic_load(&slot->pid), 0);
	ck_assert_uint_eq(atomic_load(&slot->crash.is_written), 1);
	board_open_slot(&board, 0);
	ck_assert_uint_eq(atomic_load(&slot->crash.is_written), 0);
	ck_assert_uint_eq(atomic_load(&board.master->slots_used), 1);
	destroy();
}
END_TEST

START_TEST(events_are_numbered_and_the_oldest_is_overwritten)
{
	struct board_event event;
	char text[700];

	create();
	ck_assert_int_eq(board_read_event(&board, 0, &event), -ENOENT);
	ck_assert_int_eq(board_read_event(&board, 1, &event), -ENOENT);
	for (int i = 1; i <= BOARD_EVENTS + 10; i++) {
		(void)snprintf(text, sizeof(text), "event %d", i);
		board_add_event(&board, 5, text);
	}
	ck_assert_uint_eq(atomic_load(&board.master->last_event), BOARD_EVENTS + 10);
	ck_assert_int_eq(board_read_event(&board, 10, &event), -ENOENT);
	ck_assert_int_eq(board_read_event(&board, 11, &event), 0);
	ck_assert_str_eq(event.text, "event 11");
	ck_assert_int_eq(board_read_event(&board, BOARD_EVENTS + 10, &event), 0);
	ck_assert_str_eq(event.text, "event 1034");
	ck_assert_int_eq(event.level, 5);
	ck_assert_int_gt(event.wall_ms, INT64_C(1500000000000));
	ck_assert_int_eq(board_read_event(&board, BOARD_EVENTS + 11, &event), -ENOENT);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	board_add_event(&board, 3, text);
	ck_assert_int_eq(board_read_event(&board, BOARD_EVENTS + 11, &event), 0);
	ck_assert_uint_eq(strlen(event.text), sizeof(event.text) - 1);
	destroy();
}
END_TEST

/* Never ends by itself, so that the reader surely meets it at work. */
static NORETURN void
write_events(void)
{
	char text[500] = {0};

	for (unsigned i = 1;; i++) {
		memset(text, 'a' + (int)(i % 26), 400);
		board_add_event(&board, (int)(i % 26), text);
	}
}

START_TEST(a_reader_of_events_never_gets_a_mixture)
{
	struct board_event event;
	uint64_t got = 0, last = 0;
	pid_t pid;

	create();
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		write_events();
	}
	while (got < 20000) {
		last = atomic_load(&board.master->last_event);
		/* Those that the writer takes next are the most likely to be torn. */
		if (last >= BOARD_EVENTS &&
			board_read_event(&board, last - BOARD_EVENTS + 1 + last % 4, &event) == 0) {
			got++;
			ck_assert_int_eq(event.text[0], 'a' + event.level);
			ck_assert_int_eq(event.text[399], 'a' + event.level);
			ck_assert_uint_eq(event.number % 26, (uint64_t)event.level);
		}
	}
	end_writer(pid, SIGKILL);
	destroy();
}
END_TEST

/* smaps(5) gives each mapping a line of flags; "dd": not in a core. */
START_TEST(no_part_of_it_is_dumped_with_a_core)
{
	FILE *maps;
	char line[512];
	bool is_board = false;
	int mappings = 0;
	struct board other;

	create();
	ck_assert_int_eq(board_attach(&other, memory, 3, &why), 0);
	maps = fopen("/proc/self/smaps", "re");
	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (line[0] < 'A' || line[0] > 'Z') { /* the addresses, and at the end the file */
			is_board = strstr(line, "acceptd board") != NULL;
		} else if (strncmp(line, "VmFlags", 7) == 0 && is_board) {
			ck_assert_msg(strstr(line, " dd") != NULL, "%s", line);
			mappings++;
		}
	}
	(void)fclose(maps);
	ck_assert_int_ge(mappings, 4); /* the master's, and our own slot within the rest */
	board_detach(&other);
	destroy();
}
END_TEST

/* The program of an upgrade goes on with it, and both see what the other writes. */
START_TEST(a_successor_writes_the_same_board)
{
	struct board heir;

	create();
	stat_add(&board.writable->stats[STAT_MASTER_reloads], 41);
	ck_assert_int_eq(board_adopt(&heir, memory, &why), 0);
	ck_assert_ptr_nonnull(heir.writable);
	stat_add(&heir.writable->stats[STAT_MASTER_reloads], 1);
	stat_add(&heir.slots[BOARD_SLOTS - 1].stats[STAT_WORKER_starts], 1);
	ck_assert_uint_eq(stat_get(&board.master->stats[STAT_MASTER_reloads]), 42);
	ck_assert_uint_eq(stat_get(&board.slots[BOARD_SLOTS - 1].stats[STAT_WORKER_starts]), 1);
	board_detach(&heir);
	board.writable->layout++;
	ck_assert_int_eq(board_adopt(&heir, memory, &why), -EPROTO);
	ck_assert_ptr_nonnull(strstr(why.text, "another build's"));
	destroy();
}
END_TEST

UNIT_TESTS("board", tcase_add_test(tests, every_row_is_found_by_its_scope_and_index);
	   tcase_add_test(tests, names_and_numbers_are_unique_within_their_scope);
	   tcase_add_test(tests, a_fresh_board_costs_next_to_nothing);
	   tcase_add_test(tests, no_part_of_it_is_dumped_with_a_core);
	   tcase_add_test(tests, a_listener_keeps_its_row_by_name); tcase_add_loop_test(tests,
		   a_worker_can_write_its_own_slot_and_nothing_else, 0, (int)ARRAY_LEN(writers));
	   tcase_add_test(tests, another_builds_board_is_refused);
	   tcase_add_test(tests, a_successor_writes_the_same_board);
	   tcase_add_test(tests, a_reader_never_sees_half_an_update);
	   tcase_add_test(tests, totals_survive_writers_that_are_killed_at_any_moment);
	   tcase_add_loop_test(tests, a_worker_killed_in_the_middle_of_an_update_is_buried_exactly,
		   0, (int)ARRAY_LEN(moments));
	   tcase_add_loop_test(tests, a_client_that_was_being_accepted_is_lost_too, 0, 2);
	   tcase_add_test(tests, a_writer_stopped_in_the_middle_does_not_stop_the_reader);
	   tcase_add_test(
		   tests, all_listeners_of_a_dead_worker_are_buried_and_its_crash_stays_readable);
	   tcase_add_test(tests, events_are_numbered_and_the_oldest_is_overwritten);
	   tcase_add_test(tests, a_reader_of_events_never_gets_a_mixture);)
