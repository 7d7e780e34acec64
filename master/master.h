/* The one master of this process: what the files of this folder share. It decides and supervises;
 * it never parses a byte from the network, never blocks, never exits because of a child. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/board.h"
#include "common/defs.h"
#include "common/privilege.h"
#include "master/activation.h"
#include "master/daemon.h"
#include "master/kernel.h"
#include "master/notify.h"
#include "master/pidfile.h"
#include "master/session_file.h"

struct config;
struct doors;
struct fleet;
struct lifecycle;
struct listeners;
struct monitor_child;
struct queue_watch;
struct reload;
struct requests;
struct upgrade;

enum master_state {
	MASTER_STARTING,
	MASTER_SERVING,
	MASTER_DRAINING, /* SIGTERM: workers finish */
	MASTER_STOPPING, /* at once */
};

struct master {
	enum master_state state;
	struct ev_loop *loop;
	char *config_path;
	struct config *config; /* in force */
	uint64_t generation;   /* of it; the first is 1 */
	int config_memory;     /* its text, sealed, as children receive it */
	struct board board;
	int board_memory;
	int binary; /* our own executable, held open: an upgrade on disk cannot mix two versions */
	char *program; /* its path, where an upgrade finds the next one; NULL: not known */
	bool drops_privileges;
	struct privilege_identity identity; /* of the workers */
	int64_t descriptor_limit;           /* hard limit of a worker */
	struct listeners *listeners;
	struct fleet *fleet;
	struct doors *doors;               /* the monitor's listening sockets */
	struct monitor_child *monitor;     /* zeroed until it is started */
	struct requests *requests;         /* what operators wait for */
	struct kernel_somaxconn somaxconn; /* what became of it at the last start or reload */
	struct activation activation;
	bool is_daemon; /* -d: there is no terminal to write to */
	struct daemon daemon;
	struct notify notify;
	struct pidfile pidfile;
	struct session_file session_file;
	struct lifecycle *lifecycle; /* timers and signals */
	struct queue_watch *queue_watch;
	struct reload *reload;
	struct upgrade *upgrade;
};

/** Take a step of life: starting, serving, draining, stopping; never back. */
void master_enter(struct master *master, enum master_state state, const char *reason);

/** Log at a level and put the same sentence on the board's ring of events. */
void master_event(struct master *master, int level, const char *format, ...) PRINTF_LIKE(3, 4);
