/* A master for tests of the fleet. */
#include "tests/unit/fleet_stage.h"

#include <check.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/privilege.h"
#include "master/fleet.h"

static char listener_name[] = "echo";
static struct listener_config listener = {.name = listener_name, .protocol = PROTOCOL_echo};
static struct config config = {.hang_timeout_ms = 1000,
	.drain_timeout_ms = 300,
	.listeners = &listener,
	.listener_count = 1};
static char directory[] = "/tmp/acceptd-fleet-XXXXXX";

struct stage stage = {
	.master = {.config_memory = -1, .board_memory = -1, .binary = -1},
	.listeners = {.sockets = stage.sockets},
};

static void
stage_on_settled(struct master *whose, const char *why)
{
	ck_assert_ptr_eq(whose, &stage.master);
	stage.settled++;
	(void)snprintf(stage.failure, sizeof(stage.failure), "%s", why != NULL ? why : "");
}

void
stage_on_gone(struct master *whose)
{
	ck_assert_ptr_eq(whose, &stage.master);
	stage.gone++;
}

static void
on_child(struct master *whose)
{
	fleet_reap(whose->fleet);
}

static void
on_other_signal(struct master *whose)
{
	(void)whose;
	ck_abort_msg("a signal that nobody sent");
}

void
stage_configure(const char *words)
{
	char text[256];

	(void)snprintf(text, sizeof(text), " %s ", words);
	descriptor_close(&stage.master.config_memory);
	stage.master.config_memory = descriptor_seal_bytes("test", text, strlen(text));
	ck_assert_int_ge(stage.master.config_memory, 0);
	stage.master.generation++;
}

void
stage_reload(const char *words)
{
	stage_configure(words);
	fleet_apply(stage.master.fleet, stage_on_settled);
}

static void
start_signals(void)
{
	static const struct signals_actions actions = {on_other_signal, on_other_signal,
		on_other_signal, on_other_signal, on_other_signal, on_child, on_other_signal,
		on_other_signal};

	signals_start(&stage.signals, stage.master.loop, &stage.master, &actions);
}

void
stage_open(unsigned workers, const char *words)
{
	struct fault why;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(stage.log_path, sizeof(stage.log_path), "%s/log", directory);
	ck_assert_int_eq(log_open(stage.log_path, &why), 0);
	log_set_level(LOG_LEVEL_INFO);
	ck_assert_int_eq(board_create(&stage.master.board, &stage.master.board_memory, &why), 0);
	stage.master.binary = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	stage.master.loop = loop_new();
	stage.master.config = &config;
	stage.master.listeners = &stage.listeners;
	stage.master.identity = (struct privilege_identity){geteuid(), getegid()};
	stage.master.descriptor_limit = 1024;
	stage.sockets[0] = (struct listening_socket){.number = STAGE_SOCKET,
		.fd = open("/dev/null", O_RDONLY | O_CLOEXEC),
		.board_listener = board_listener_index(&stage.master.board, listener_name)};
	stage.listeners.count = 1;
	/* What whoever started us left open must not reach the children. */
	ck_assert_int_eq(dup2(stage.sockets[0].fd, STAGE_LEAKED_FD), STAGE_LEAKED_FD);
	stage_configure(words);
	start_signals();
	ck_assert_int_eq(fleet_start(&stage.master, workers, &why), 0);
	fleet_apply(stage.master.fleet, stage_on_settled);
}

void
stage_lose_patience(struct ev_loop *loop, struct loop_timer *timer)
{
	(void)loop;
	(void)timer;
	ck_abort_msg("waited for too long; the log is in %s", stage.log_path);
}

const char *
stage_log(void)
{
	static char *text;
	size_t len;

	free(text);
	ck_assert_int_eq(descriptor_read_file(stage.log_path, 1 << 20, &text, &len), 0);
	return text;
}

bool
stage_log_has(const char *format, ...)
{
	char wanted[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(wanted, sizeof(wanted), format, args);
	va_end(args);
	return strstr(stage_log(), wanted) != NULL;
}

unsigned
stage_log_count(const char *words)
{
	unsigned count = 0;
	const char *at;

	for (at = strstr(stage_log(), words); at != NULL; at = strstr(at + 1, words)) {
		count++;
	}
	return count;
}

pid_t
stage_pid(int slot)
{
	return (pid_t)atomic_load(&stage.master.board.slots[slot].pid);
}

uint64_t
stage_stat(enum stat_master_index index)
{
	return stat_get(&stage.master.board.master->stats[index]);
}

void
stage_close(void)
{
	if (stage.gone == 0) {
		fleet_drain(stage.master.fleet, 0, stage_on_gone);
		fleet_kill(stage.master.fleet);
		STAGE_WAIT(stage.gone > 0);
	}
	fleet_free(&stage.master.fleet);
	ck_assert_ptr_null(stage.master.fleet);
	signals_stop(&stage.signals, stage.master.loop);
	ev_loop_destroy(stage.master.loop);
	board_detach(&stage.master.board);
	(void)unlink(stage.log_path);
	(void)rmdir(directory);
}
