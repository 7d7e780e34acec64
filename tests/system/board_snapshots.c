/* Reads the board of a running server as any reader does, until each worker has been seen in so
 * many different states for each listener: accepted = open + sum of closed in every one of them.
 *
 *   board_snapshots /proc/PID/fd/NUMBER COUNT LIMIT_SECONDS     prints how many were taken */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/board.h"
#include "common/clock.h"
#include "common/fault.h"

#define PAUSE_NS 100000

/* Of one worker and one listener. */
struct seen {
	uint64_t accepted; /* at the last snapshot */
	unsigned states;   /* different ones */
};

static struct board board;
static struct seen seen[BOARD_SLOTS][BOARD_LISTENERS];

static void
look(int slot, int listener)
{
	struct seen *before = &seen[slot][listener];
	struct board_listener_copy copy;
	uint64_t closed = 0;

	board_read_listener(&board, slot, listener, &copy);
	for (size_t i = 0; i < CLOSE_COUNT; i++) {
		closed += copy.closed[i];
	}
	if (copy.stats[STAT_LISTENER_accepted] != copy.stats[STAT_LISTENER_open] + closed ||
		copy.stats[STAT_LISTENER_accepted] < before->accepted) {
		printf("worker %d, listener %d: accepted %" PRIu64 " (before %" PRIu64
		       "), open %" PRIu64 ", closed %" PRIu64 "\n",
			slot, listener, copy.stats[STAT_LISTENER_accepted], before->accepted,
			copy.stats[STAT_LISTENER_open], closed);
		exit(EXIT_FAILURE);
	}
	before->states += copy.stats[STAT_LISTENER_accepted] != before->accepted;
	before->accepted = copy.stats[STAT_LISTENER_accepted];
}

/* @return the fewest states of any worker and listener */
static unsigned
look_at_all(void)
{
	unsigned fewest = UINT32_MAX;
	int slots = board_slots_used(&board);

	for (int slot = 0; slot < slots; slot++) {
		for (int i = 0; i < BOARD_LISTENERS; i++) {
			if (atomic_load(&((struct board_master *)(uintptr_t)board.master)
						 ->listeners[i]
						 .is_used) != 0) {
				look(slot, i);
				fewest = seen[slot][i].states < fewest ? seen[slot][i].states
								       : fewest;
			}
		}
	}
	return fewest;
}

int
main(int count, char **words)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	int fd = count == 4 ? open(words[1], O_RDONLY | O_CLOEXEC) : -1;
	uint64_t snapshots = 0;
	int64_t end_ms;
	struct fault why = {.text = "usage: board_snapshots FILE COUNT LIMIT_SECONDS"};
	unsigned wanted, fewest = 0;

	if (fd < 0 || board_attach(&board, fd, -1, &why) != 0) {
		fprintf(stderr, "board_snapshots: %s\n", why.text);
		return EXIT_FAILURE;
	}
	wanted = (unsigned)strtoul(words[2], NULL, 10);
	end_ms = clock_monotonic_ms() + (int64_t)strtoul(words[3], NULL, 10) * 1000;
	while (fewest < wanted && clock_monotonic_ms() < end_ms) {
		fewest = look_at_all();
		snapshots++;
		(void)nanosleep(&pause, NULL);
	}
	printf("%" PRIu64 " snapshots, %u different ones of each worker and listener\n", snapshots,
		fewest);
	close(fd);
	board_detach(&board);
	return fewest >= wanted ? EXIT_SUCCESS : EXIT_FAILURE;
}
