/* One consistent set of totals from the board, for everything that is shown: acceptctl, Prometheus
 * and the page render the same reading and therefore agree. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/board.h"

struct reading_listener {
	char name[BOARD_NAME_MAX];
	int index; /* on the board */
	uint64_t queue[STAT_QUEUE_COUNT];
	struct board_listener_copy sum; /* over all slots: accepted = open + sum of closed */
	uint64_t closed;                /* sum of sum.closed */
};

struct reading_worker {
	int slot;
	int pid;
	uint32_t state; /* enum board_worker_state */
	uint32_t pause; /* enum board_pause bits */
	uint64_t generation;
	int64_t silent_ms;          /* since its last turn of the loop */
	uint64_t accepted;          /* over all listeners */
	int64_t last_crash_seconds; /* since 1970; 0: never */
	int last_crash_status;      /* as waitpid(2) gives it */
	uint64_t stats[STAT_WORKER_COUNT];
};

/* One server of an upstream. */
struct reading_server {
	char upstream[BOARD_NAME_MAX];
	char name[BOARD_SERVER_MAX];
	char address[ADDRESS_TEXT_MAX]; /* "" for a place that never had one */
	char asked[ENDPOINT_TEXT_MAX];  /* the name of which it is a place; "" otherwise */
	unsigned place;                 /* its number, from 1; 0: no place */
	uint8_t place_state;            /* enum board_place_state; HELD for who is no place */
	struct reading_lookup {
		uint32_t state;        /* enum board_lookup_state */
		int64_t age_ms;        /* of the last answer; -1: there was none */
		int64_t next_ms;       /* until it is asked for again; negative: it is overdue */
		int64_t failing_ms;    /* for how long; -1: it is not */
		uint64_t found, taken; /* addresses */
		bool is_partial;
	} lookup; /* of the name */
	bool is_configured;
	bool is_up;
	bool is_drained;
	int64_t since_ms;         /* for how long it has been up or down; -1: from the beginning */
	int cause;                /* of being down: board_cause_words */
	uint64_t weight;          /* in force */
	uint64_t max_connections; /* in force; 0: none */
	uint64_t backlog;         /* 0: none */
	uint64_t held, unproven;  /* now, in all workers */
	uint64_t settled;         /* now, in all workers */
	uint64_t waiting;         /* clients that wait for a place at its upstream */
	int64_t oldest_wait_ms;   /* of the first of them; 0: nobody waits */
	bool has_queue;           /* the kernel shows its accept queue: it is on this host */
	uint64_t queue_depth, queue_limit, queue_dropped_segments;
	uint64_t stats[STAT_SERVER_COUNT];
};

struct reading {
	int64_t taken_ms;     /* monotonic */
	int64_t wall_seconds; /* since 1970 */
	uint64_t master[STAT_MASTER_COUNT];
	uint64_t kernel[STAT_KERNEL_COUNT];
	uint64_t kernel_at_start[STAT_KERNEL_COUNT];
	bool has_kernel;
	struct reading_listener listeners[BOARD_LISTENERS]; /* in use only */
	size_t listener_count;
	struct reading_worker workers[BOARD_SLOTS]; /* slots ever used, empty ones too */
	size_t worker_count;
	struct reading_server servers[BOARD_SERVERS]; /* in use only */
	size_t server_count;
	uint64_t accepted, open, closed; /* of all listeners */
	uint64_t last_event;
};

/** Read the board. The struct is large (about half a megabyte): keep it static or on the heap. */
void reading_take(const struct board *board, struct reading *reading);

/** False for a place of a name that has no address, or whose address is to get no new clients. */
static inline bool
reading_is_open(const struct reading_server *server)
{
	return server->place == 0 || server->place_state == BOARD_PLACE_HELD;
}

/** Growth of a counter per second between two readings; 0 when they are too near or it fell. */
double reading_rate(const struct reading *before, const struct reading *now, uint64_t value_before,
	uint64_t value_now);
/** The same listener in another reading, or NULL. */
const struct reading_listener *reading_find_listener(
	const struct reading *reading, const char *name);
/** The same server of an upstream in another reading, or NULL. */
const struct reading_server *reading_find_server(
	const struct reading *reading, const char *upstream, const char *name);
/** The same worker slot in another reading, or NULL. */
const struct reading_worker *reading_find_worker(const struct reading *reading, int slot);
/** Seconds since the master started. */
int64_t reading_uptime_seconds(const struct reading *reading);
#define READING_CRASH_MAX 32
/** How the last worker of the slot failed: "SIGSEGV", "exit 3"; "" when none ever did. */
const char *reading_crash_name(const struct reading_worker *worker, char buffer[READING_CRASH_MAX]);
#define READING_PAUSE_MAX 48
/** "serving", "starting", "draining", "empty"; and "balance", "limit,descriptors" or "". */
const char *reading_state_name(uint32_t state);
const char *reading_pause_names(uint32_t pause, char buffer[READING_PAUSE_MAX]);
