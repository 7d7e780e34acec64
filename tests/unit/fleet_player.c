/* A worker for tests of the fleet: the test program itself, executed anew by the fleet. What it
 * should do is in the "configuration" that the test seals: words, each for every worker, or
 * "N:word" for the worker in slot N alone. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/board.h"
#include "common/channel.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/inherit.h"
#include "tests/unit/fleet_stage.h"

struct player {
	int slot;
	int channel;
	struct board board;
	char words[256]; /* of the last configuration */
	bool is_ready;
	bool is_deaf;
};

static bool
player_is_told(const struct player *player, const char *word)
{
	char all[64], own[64];

	(void)snprintf(all, sizeof(all), " %s ", word);
	(void)snprintf(own, sizeof(own), " %d:%s ", player->slot, word);
	return strstr(player->words, all) != NULL || strstr(player->words, own) != NULL;
}

static void
player_say(const struct player *player, enum channel_type type, const void *payload)
{
	if (channel_send(player->channel, type, payload, NULL, 0) != 0) {
		_exit(99);
	}
}

/* As a real worker's handler of fatal signals leaves it. */
static void
player_crash(struct player *player)
{
	struct board_slot *slot = &player->board.slots[player->slot];
	struct rlimit no_core = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &no_core);
	stat_add(&slot->listeners[0].stats[STAT_LISTENER_accepted], 3);
	stat_add(&slot->listeners[0].stats[STAT_LISTENER_open], 3);
	slot->crash.signal = SIGSEGV;
	slot->crash.fault_address = 0x10;
	slot->crash.listener = 0;
	slot->crash.peer.in4.sin_family = AF_INET;
	slot->crash.peer.in4.sin_port = htons(4242);
	slot->crash.peer.in4.sin_addr.s_addr = htonl(0xc0000201);
	slot->crash.frame_count = 4000000000; /* a lie: nobody may believe it */
	(void)snprintf(slot->crash.frames[0], sizeof(slot->crash.frames[0]), "conn_read+0x1f");
	memset(slot->crash.frames[1], '\x1b', sizeof(slot->crash.frames[1]));
	for (int i = 2; i < BOARD_FRAMES_MAX; i++) {
		(void)snprintf(slot->crash.frames[i], sizeof(slot->crash.frames[i]), "again");
	}
	atomic_store(&slot->crash.is_written, 1);
	(void)signal(SIGSEGV, SIG_DFL);
	(void)raise(SIGSEGV);
}

static void
player_take_config(struct player *player, const struct channel_message *message)
{
	ssize_t len = pread(message->fds[0], player->words, sizeof(player->words) - 1, 0);

	player->words[len > 0 ? len : 0] = '\0';
}

/* State D, as vfork(2) waits for its child. */
static void
player_wait_uninterruptibly(void)
{
	pid_t parent = getpid();

	if (vfork() == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() == parent) {
			(void)pause();
		}
		_exit(0);
	}
}

static void
player_commit(struct player *player, const struct channel_commit *commit)
{
	struct channel_refused refused = {.generation = commit->generation};

	if (player_is_told(player, "exit")) {
		_exit(78);
	}
	if (player_is_told(player, "silent")) {
		return;
	}
	if (player_is_told(player, "refuse") ||
		(player->is_ready && player_is_told(player, "object"))) {
		(void)snprintf(refused.why, sizeof(refused.why), "no such\nthing");
		player_say(player, CHANNEL_REFUSED, &refused);
		return;
	}
	player_say(player, CHANNEL_APPLIED, commit);
	if (!player->is_ready) {
		player->is_ready = true;
		player_say(player, CHANNEL_READY, NULL);
	}
	if (player_is_told(player, "babble")) {
		player_say(player, CHANNEL_APPLIED, commit);
	}
	if (player_is_told(player, "crash")) {
		player_crash(player);
	}
	player->is_deaf = player_is_told(player, "deaf");
	if (player_is_told(player, "disk")) {
		player_wait_uninterruptibly();
	}
	while (player_is_told(player, "loop")) {
	}
}

static void
player_obey(struct player *player, const struct channel_message *message)
{
	struct fault why;

	switch (message->type) {
	case CHANNEL_HELLO:
		if (board_attach(&player->board, message->fds[0], player->slot, &why) != 0) {
			_exit(98);
		}
		atomic_store(&player->board.slots[player->slot].pid, (int32_t)getpid());
		break;
	case CHANNEL_CONFIG:
		player_take_config(player, message);
		break;
	case CHANNEL_COMMIT:
		player_commit(player, &message->commit);
		break;
	case CHANNEL_RELEASE:
		if (!player_is_told(player, "keep")) {
			player_say(player, CHANNEL_RELEASED, &message->number);
		}
		break;
	case CHANNEL_DRAIN:
		if (!player_is_told(player, "stay")) {
			_exit(0);
		}
		break;
	default:
		break;
	}
}

static void
player_turn(struct player *player)
{
	struct pollfd wait = {.fd = player->channel, .events = POLLIN};
	struct channel_message message;
	int status;

	(void)poll(&wait, player->is_deaf ? 0 : 1, 20);
	if (player->board.slots != NULL) {
		atomic_store(&player->board.slots[player->slot].progress_ms, clock_monotonic_ms());
	}
	if (player->is_deaf) {
		return;
	}
	status = channel_receive(player->channel, CHANNEL_CHILD, &message);
	if (status == 0) {
		player_obey(player, &message);
		channel_message_close(&message);
	} else if (status != -EAGAIN) {
		_exit(97); /* the master is gone */
	}
}

/* Before main and Check: this program is a worker when it was executed by a fleet. */
__attribute__((constructor)) static void
play_worker(void)
{
	struct player player = {0};
	struct inherit inherit;

	if (inherit_read(&inherit) != 0 || inherit.role != ROLE_WORKER) {
		return;
	}
	player.slot = inherit.slot;
	player.channel = inherit.channel;
	if (fcntl(STAGE_LEAKED_FD, F_GETFD) >= 0) {
		_exit(96); /* something leaked into the child */
	}
	for (;;) {
		player_turn(&player);
	}
}
