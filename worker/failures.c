/* A count and its run are one word, so that no reader takes the count of one run for another's. */
#include "worker/failures.h"

#include "common/board.h"

static struct board_server_cells *
cells_of(const struct board *board, int slot, int server)
{
	return &board->slots[slot].servers[server];
}

/* Only ever grows, as burial leaves the ended runs; a new address of the server ends a run, too. */
static uint64_t
run_now(const struct board *board, int server)
{
	uint64_t run = stat_get(&board->master->servers[server].placed_ms);
	int slots = board_slots_used(board);

	for (int slot = 0; slot < slots; slot++) {
		run += atomic_load(&cells_of(board, slot, server)->runs_ended);
	}
	return run & BOARD_FAILURES_RUN_MAX;
}

static uint64_t
count_in(uint64_t cell, uint64_t run)
{
	return BOARD_FAILURES_RUN(cell) == run ? BOARD_FAILURES_COUNT(cell) : 0;
}

uint64_t
failures_in_row(const struct board *board, int server)
{
	uint64_t run = run_now(board, server), sum = 0;
	int slots = board_slots_used(board);

	for (int slot = 0; slot < slots; slot++) {
		sum += count_in(atomic_load(&cells_of(board, slot, server)->failures), run);
	}
	return sum;
}

/* The store and the loads after it are sequentially consistent: of two workers that count at the
 * same moment the second one reads what the first one wrote. */
uint64_t
failures_count(const struct board *board, int slot, int server)
{
	board_cell *own = &cells_of(board, slot, server)->failures;
	uint64_t run = run_now(board, server);

	atomic_store(own, BOARD_FAILURES(run, count_in(atomic_load(own), run) + 1));
	return failures_in_row(board, server);
}

void
failures_end(const struct board *board, int slot, int server)
{
	(void)atomic_fetch_add(&cells_of(board, slot, server)->runs_ended, 1);
}
