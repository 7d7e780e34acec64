/* Plays the master: a worker of its own process, told everything through its channel. */
#include "tests/unit/worker_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "common/channel.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/descriptor.h"
#include "common/inherit.h"
#include "common/log.h"
#include "tests/unit/net_help.h"
#include "worker/worker.h"

struct board board;
int board_memory, channel_fd;
pid_t worker_pid;
uint64_t generation;
struct address addresses[3];
int listeners[3];

/* --- the master's part --- */

static void
open_listeners(void)
{
	for (size_t i = 0; i < ARRAY_LEN(listeners); i++) {
		listeners[i] = help_listen_explicit(64, &addresses[i]);
	}
}

void
start_worker(void)
{
	struct inherit inherit = {.role = ROLE_WORKER, .slot = SLOT};
	struct fault why;
	int status;

	ck_assert_int_eq(board_create(&board, &board_memory, &why), 0);
	ck_assert_int_eq(board_listener_index(&board, "first"), 0);
	ck_assert_int_eq(board_listener_index(&board, "second"), 1);
	board_open_slot(&board, SLOT);
	ck_assert_int_eq(channel_pair(&channel_fd, &inherit.channel), 0);
	open_listeners();
	worker_pid = fork();
	if (worker_pid == 0) {
		close(channel_fd);
		for (size_t i = 0; i < ARRAY_LEN(listeners); i++) {
			close(listeners[i]);
		}
		status = worker_main(&inherit);
		exit(status); /* as main does, so that sanitizers report */
	}
	close(inherit.channel);
}

void
tell(enum channel_type type, const void *payload, const int *fds, size_t fd_count)
{
	ck_assert_int_eq(channel_send(channel_fd, type, payload, fds, fd_count), 0);
}

void
tell_hello(void)
{
	struct channel_hello hello = {.slot = SLOT, .master_pid = (int32_t)getpid()};

	tell(CHANNEL_HELLO, &hello, &board_memory, 1);
}

void
tell_config(const char *text)
{
	struct channel_config config = {.generation = ++generation, .cpu = -1};
	int fd = descriptor_seal_bytes("config", text, strlen(text));

	ck_assert_int_ge(fd, 0);
	tell(CHANNEL_CONFIG, &config, &fd, 1);
	close(fd);
}

/* One socket of a listener; its number is its index here.
 * @param listener  in the configuration, -1: retiring */
void
tell_socket(uint32_t number, int listener, bool is_new)
{
	struct channel_listeners message = {.count = 1, .new_mask = {is_new ? 1 : 0}};

	message.sockets[0] = (struct channel_socket){.number = number,
		.listener = (int16_t)listener,
		.board_listener = (int16_t)(listener < 0 ? 0 : listener),
		.is_retiring = listener < 0};
	tell(CHANNEL_LISTENERS, &message, &listeners[number], is_new ? 1 : 0);
}

void
tell_commit(void)
{
	struct channel_commit commit = {.generation = generation};

	tell(CHANNEL_COMMIT, &commit, NULL, 0);
}

void
hear(enum channel_type type, struct channel_message *message)
{
	ck_assert(help_waits(channel_fd, POLLIN, HELP_WAIT_MS));
	ck_assert_int_eq(channel_receive(channel_fd, CHANNEL_MASTER, message), 0);
	ck_assert_msg(message->type == type, "expected %s, heard %s: %s", channel_type_name(type),
		channel_type_name(message->type),
		message->type == CHANNEL_REFUSED ? message->refused.why : "");
}

void
hear_applied(void)
{
	struct channel_message message;

	hear(CHANNEL_APPLIED, &message);
	ck_assert_uint_eq(message.commit.generation, generation);
}

void
serve(const char *config)
{
	struct channel_message message;

	generation = 0;
	start_worker();
	tell_hello();
	tell_config(config);
	tell_socket(0, 0, true);
	tell_commit();
	hear_applied();
	hear(CHANNEL_READY, &message);
}

void
reload(const char *config)
{
	tell_config(config);
	tell_socket(0, 0, false);
	tell_commit();
}

void
drain(int64_t timeout_ms)
{
	struct channel_drain message = {.drain_timeout_ms = timeout_ms};

	tell(CHANNEL_DRAIN, &message, NULL, 0);
}

/* @return the wait status */
int
wait_for_end(void)
{
	int status;

	ck_assert_int_eq(waitpid(worker_pid, &status, 0), worker_pid);
	close(channel_fd);
	return status;
}

void
finish(void)
{
	drain(0);
	ck_assert_int_eq(wait_for_end(), 0);
}

uint64_t
closed(enum close_reason reason)
{
	return stat_get(&board.slots[SLOT].listeners[0].closed[reason]);
}

/* --- the clients' part --- */

int
client_of(size_t listener)
{
	int fd = help_connect(&addresses[listener]);

	ck_assert(help_is_connected(fd, HELP_WAIT_MS));
	return fd;
}

void
say(int client, const char *words)
{
	ck_assert_int_eq(send(client, words, strlen(words), MSG_NOSIGNAL), (ssize_t)strlen(words));
}

void
expect_echo(int client)
{
	char byte;

	say(client, "x");
	ck_assert(help_waits(client, POLLIN, HELP_WAIT_MS));
	ck_assert_int_eq(recv(client, &byte, 1, 0), 1);
}

/* @return 0 or -errno */
int
wait_for_close(int client)
{
	char byte;

	ck_assert(help_waits(client, POLLIN, HELP_WAIT_MS));
	return recv(client, &byte, 1, 0) == 0 ? 0 : -errno;
}
