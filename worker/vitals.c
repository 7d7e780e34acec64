/* A turn is the time from waking up to sleeping again: an event that comes meanwhile waits for its
 * end. */
#include "worker/vitals.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/board.h"
#include "common/clock.h"
#include "common/descriptor.h"

#define PUBLISH_MS 1000

void
vitals_init(struct vitals *vitals, struct board_slot *slot)
{
	*vitals = (struct vitals){
		.slot = slot, .statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)};
	vitals->turn_began_us = clock_monotonic_us();
}

void
vitals_fini(struct vitals *vitals)
{
	descriptor_close(&vitals->statm);
}

/* The second number of proc_pid_statm(5), in pages. */
static uint64_t
resident_bytes(int statm)
{
	char text[128];
	ssize_t len = statm < 0 ? -1 : pread(statm, text, sizeof(text) - 1, 0);
	const char *second;

	if (len <= 0) {
		return 0;
	}
	text[len] = '\0';
	second = strchr(text, ' ');
	return second == NULL ? 0 : strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
vitals_publish(struct vitals *vitals)
{
	board_cell *stats = vitals->slot->stats;
	uint64_t cpu_us = (uint64_t)clock_process_cpu_us();

	/* The cell belongs to the slot and goes on over crashes; the clock begins anew with us. */
	stat_add(&stats[STAT_WORKER_cpu_us], cpu_us - vitals->cpu_published_us);
	vitals->cpu_published_us = cpu_us;
	stat_set(&stats[STAT_WORKER_resident_bytes], resident_bytes(vitals->statm));
	stat_set(&stats[STAT_WORKER_longest_turn_us], (uint64_t)vitals->longest_turn_us);
	vitals->longest_turn_us = 0;
}

void
vitals_turn_begins(struct vitals *vitals, int64_t now_us)
{
	vitals->turn_began_us = now_us;
}

void
vitals_turn_ends(struct vitals *vitals)
{
	int64_t now_us = clock_monotonic_us();
	int64_t turn_us = now_us - vitals->turn_began_us;

	histogram_add(&vitals->slot->turn_us, (uint64_t)turn_us);
	if (turn_us > vitals->longest_turn_us) {
		vitals->longest_turn_us = turn_us;
	}
	if (now_us / 1000 >= vitals->next_publish_ms) {
		vitals->next_publish_ms = now_us / 1000 + PUBLISH_MS;
		vitals_publish(vitals);
	}
}
