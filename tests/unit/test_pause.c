/* Several workers on one queue, all but one of them pausing at random: whoever pauses must not take
 * a wake-up along. The guard timer would hide that, so it is asked how often it had to help. */
#include "worker/pause.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "tests/unit/run.h"
#include "tests/unit/worker_help.h"

#define WORKERS     6
#define CONNECTS    3000
#define STRANDED_OK 5 /* a machine under load delays a wake-up by 20 ms now and then */

static struct address address;
static int listener;

static NORETURN void
run_worker(int slot, int64_t pause_ms)
{
	struct acceptor *acceptor;
	unsigned seed = (unsigned)slot;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	room.service.slot_index = slot;
	room.service.slot = &room.service.board.slots[slot];
	atomic_store(&room.service.slot->state, BOARD_WORKER_SERVING);
	room.settings->cells = &room.service.slot->listeners[0];
	ev_loop_fork(room.service.loop);
	ck_assert_int_eq(acceptor_open(&room.service, 1, listener, room.settings, &acceptor), 0);
	for (;;) {
		room_turn();
		if (slot > 0 && acceptor->pause == 0 && rand_r(&seed) % 16 == 0) {
			pause_begin(acceptor, BOARD_PAUSE_TROUBLE);
			acceptor->retry_ms = room.service.now_ms + 1 + rand_r(&seed) % pause_ms;
		}
	}
}

/* @return how long it took until it was served */
static int64_t
connect_once(void)
{
	int64_t began_ms = clock_monotonic_ms();
	int client = help_connect(&address);
	char byte = 'x';

	ck_assert(help_is_connected(client, HELP_WAIT_MS));
	client_send(client, &byte, 1);
	ck_assert(help_waits(client, POLLIN, HELP_WAIT_MS));
	ck_assert_int_eq(recv(client, &byte, 1, 0), 1);
	net_reset_on_close(client);
	close(client);
	return clock_monotonic_ms() - began_ms;
}

static const int64_t pauses_ms[] = {50, 1};

START_TEST(random_pauses_strand_no_client)
{
	pid_t pids[WORKERS];
	uint64_t rescues = 0, accepted = 0, pausing = 0;
	int64_t longest_ms = 0;

	room_open();
	listener = help_listen_explicit(64, &address);
	for (int slot = 0; slot < WORKERS; slot++) {
		board_open_slot(&room.board, slot);
		pids[slot] = fork();
		if (pids[slot] == 0) {
			run_worker(slot, pauses_ms[_i]);
		}
	}
	for (int i = 0; i < CONNECTS; i++) {
		int64_t waited_ms = connect_once();

		longest_ms = waited_ms > longest_ms ? waited_ms : longest_ms;
	}
	for (int slot = 0; slot < WORKERS; slot++) {
		const struct board_slot *cells = &room.service.board.slots[slot];
		uint64_t taken = stat_get(&cells->listeners[0].stats[STAT_LISTENER_accepted]);

		ck_assert_int_eq(kill(pids[slot], SIGKILL), 0);
		ck_assert_int_eq(waitpid(pids[slot], NULL, 0), pids[slot]);
		rescues += stat_get(&cells->stats[STAT_WORKER_guard_rescues]);
		pausing += slot > 0 ? taken : 0;
		accepted += taken;
	}
	ck_assert_uint_eq(accepted, CONNECTS);
	ck_assert_uint_gt(pausing, CONNECTS / 50);
	ck_assert_uint_le(rescues, STRANDED_OK);
	ck_assert_int_le(longest_ms, 1000);
	close(listener);
}
END_TEST

UNIT_TESTS("pause",
	   tcase_add_loop_test(tests, random_pauses_strand_no_client, 0, ARRAY_LEN(pauses_ms));)
