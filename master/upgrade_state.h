/* What one program hands to the next in an upgrade, in a form that both understand: a version,
 * then records, each a kind, a length and fields of number, length and bytes. A field or a kind
 * that the reader does not know is passed over; one that must be there and is not, or is out of its
 * bounds, makes the whole state unusable. So a program may add what an older one can do without;
 * anything else takes another version. Pure but for memory.
 *
 * Descriptors are numbers: they stay open in place. -1: there is none. */
#pragma once

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/board.h"
#include "common/defs.h"

struct fault;

#ifndef UPGRADE_STATE_VERSION
#define UPGRADE_STATE_VERSION 1
#endif
/* Far more than 1024 workers and 64 K sockets take. */
#define UPGRADE_STATE_BYTES_MAX (64 * 1024 * 1024)

struct upgrade_head {
	char version[64]; /* of the program that wrote it, for people */
	int64_t channel;  /* channel_version() of it: what its workers speak */
	int64_t began_us; /* monotonic, when it let go */
	char program[PATH_MAX];
	char config_path[PATH_MAX];
	int64_t binary;        /* descriptor of that program: the way back */
	int64_t board, config; /* descriptors */
	int64_t is_daemon, drops_privileges, uid, gid;
	int64_t generation, wanted, configured_workers, was_refused, wants_reload;
	int64_t last_socket;
	int64_t log, session_log; /* descriptors */
	char pid_path[PATH_MAX];  /* "" : no pid file */
	int64_t pid_file, pid_was_created;
	int64_t notify, notify_len, watchdog_ms;
	uint8_t notify_address[128];
	char notify_unsent[512];
	int64_t monitor_pid, monitor_channel, monitor_born_ms; /* 0: none */
	int64_t monitor_is_leaving;
};

struct upgrade_door {
	int64_t kind, fd;
	char address[ADDRESS_TEXT_MAX];
	int64_t path_device, path_inode;
};

struct upgrade_socket {
	int64_t number, fd;
	char address[ADDRESS_TEXT_MAX];
	int64_t listener, board_listener;
	int64_t asked_backlog, effective_backlog, dropped_before;
	int64_t is_retiring, is_shut, is_released, is_lost, is_drained, was_inherited;
	int64_t quiet_since_ms;
	int64_t path_device, path_inode;
};

/* A socket of the service manager. */
struct upgrade_passed {
	int64_t fd; /* -1: a listener has it */
	char address[ADDRESS_TEXT_MAX];
};

/* A slot: a worker, or the memory of one. */
struct upgrade_worker {
	int64_t slot, state, pid, generation;
	int64_t born_ms, ready_ms; /* monotonic */
	int64_t left_ms;           /* of its time; -1: it has no limit */
	int64_t failures, wait_ms; /* in a row; until it may be tried again */
	int64_t channel, waker;    /* descriptors */
	int64_t sent_generation, sent_workers, commits_due, releases_due;
	int64_t has_refused, is_leaving;
	char ending[96];
	char complaint[512];
};

/* Who has which socket: a bit for each slot. */
struct upgrade_holding {
	int64_t number, is_recalled;
	uint8_t has[BOARD_SLOTS / 8], leaves[BOARD_SLOTS / 8];
};

/* Who waits for the answer. */
struct upgrade_asker {
	int64_t id;
};

struct upgrade_state {
	struct upgrade_head head;
	struct upgrade_door *doors;
	struct upgrade_socket *sockets;
	struct upgrade_passed *passed;
	struct upgrade_worker *workers;
	struct upgrade_holding *holdings;
	struct upgrade_asker *askers;
	size_t door_count, socket_count, passed_count, worker_count, holding_count, asker_count;
};

enum upgrade_list {
	UPGRADE_DOORS,
	UPGRADE_SOCKETS,
	UPGRADE_PASSED,
	UPGRADE_WORKERS,
	UPGRADE_HOLDINGS,
	UPGRADE_ASKERS,
	UPGRADE_LIST_COUNT
};

/** A new element at the end of a list, zeroed but for descriptors, which are -1.
 *  @return NULL for want of memory; pointers to other elements of the list are void */
void *upgrade_state_add(struct upgrade_state *state, enum upgrade_list list);
/** @return 0 and bytes that the caller frees; -ENOMEM */
int upgrade_state_write(const struct upgrade_state *state, uint8_t **bytes, size_t *len) MUST_CHECK;
/** @param state  zeroed; to be freed also after a failure
 *  @return 0; -EPROTO another version, both named; -EBADMSG damaged, with what is wrong; -ENOMEM */
int upgrade_state_read(const uint8_t *bytes, size_t len, struct upgrade_state *state,
	struct fault *why) MUST_CHECK;
void upgrade_state_free(struct upgrade_state *state);
/** Call `visit` for every descriptor that is there; stops when it does not return 0.
 *  @return what the last call returned, 0 when there is none */
int upgrade_state_visit(const struct upgrade_state *state,
	int (*visit)(int fd, const char *what, void *arg), void *arg);
