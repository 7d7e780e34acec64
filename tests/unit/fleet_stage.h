/* A master with everything that a fleet needs but nothing more, for tests with real processes. This
 * program, executed anew by the fleet, plays the workers (fleet_player.c): a test says what they
 * should do in the words of the "configuration" that it puts in force. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/board.h"
#include "common/defs.h"
#include "common/loop.h"
#include "master/listeners.h"
#include "master/master.h"
#include "master/signals.h"

#define STAGE_SOCKET      7     /* number of the one listening socket */
#define STAGE_LEAKED_FD   200   /* open in the master without close-on-exec */
#define STAGE_PATIENCE_MS 20000 /* of a test: far beyond every wait in it */

struct stage {
	struct master master;
	struct listening_socket sockets[1];
	struct listeners listeners;
	struct signals signals;
	char log_path[128];
	unsigned settled, gone; /* how often the fleet has called back */
	char failure[1024];     /* of the last time it settled */
};
extern struct stage stage;

/** Start a fleet of so many workers under a first configuration, and apply it. */
void stage_open(unsigned workers, const char *words);
/** Put another configuration in force, and apply it. */
void stage_reload(const char *words);
/** The same without telling the fleet: workers born later meet it. */
void stage_configure(const char *words);
/** Kill what is left and take everything down. */
void stage_close(void);

void stage_on_gone(struct master *master);
/** The log as it is now, from info up; gone at the next call. */
const char *stage_log(void);
bool stage_log_has(const char *format, ...) PRINTF_LIKE(1, 2);
unsigned stage_log_count(const char *words);
/** Of the worker in a slot now, as it says; 0 before it has said so. */
pid_t stage_pid(int slot);
uint64_t stage_stat(enum stat_master_index index);
void stage_lose_patience(struct ev_loop *loop, struct loop_timer *timer);

/** Run the loop until the condition holds. */
#define STAGE_WAIT(condition)                                                                      \
	do {                                                                                       \
		struct loop_timer stage_patience;                                                  \
                                                                                                   \
		loop_timer_init(&stage_patience, stage_lose_patience);                             \
		loop_timer_start(stage.master.loop, &stage_patience, STAGE_PATIENCE_MS);           \
		while (!(condition)) {                                                             \
			(void)ev_run(stage.master.loop, EVRUN_ONCE);                               \
		}                                                                                  \
		loop_timer_stop(stage.master.loop, &stage_patience);                               \
	} while (0)
