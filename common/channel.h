/* Typed, size-checked messages between master and children, over one SOCK_SEQPACKET pair each.
 * Descriptors travel with them. Nothing here blocks.
 *
 * A child learns everything through its channel: at birth the master sends HELLO, LOG, CONFIG,
 * LISTENERS… and COMMIT; a reload is the same again without HELLO. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/board.h"
#include "common/defs.h"

struct fault;

#define CHANNEL_DESCRIPTORS_MAX 64
#define CHANNEL_PAYLOAD_MAX     1024

enum channel_type {
	/* master to child */
	CHANNEL_HELLO,     /* fd: board */
	CHANNEL_LOG,       /* fd: sink, none for stderr */
	CHANNEL_CONFIG,    /* fd: sealed text */
	CHANNEL_LISTENERS, /* fds: the listening sockets described by the payload */
	CHANNEL_COMMIT,    /* what was sent since the last commit takes effect */
	CHANNEL_RELEASE, /* close your copy of this retired listening socket, after one last look */
	CHANNEL_NUDGE,   /* a sibling died: look at the queues now */
	CHANNEL_DRAIN,   /* stop accepting, finish, go */
	/* child to master */
	CHANNEL_READY,   /* serving for the first time: once, after the first APPLIED */
	CHANNEL_APPLIED, /* a COMMIT took effect: each is answered with this or with REFUSED */
	CHANNEL_REFUSED, /* a COMMIT could not take effect; the sentence says why */
	CHANNEL_RELEASED,
	CHANNEL_TYPE_COUNT
};

struct channel_hello {
	int32_t slot;
	int32_t master_pid;
	int64_t descriptor_limit;
};
struct channel_log {
	int32_t sink;  /* enum log_sink */
	int32_t level; /* enum log_level */
};
struct channel_config {
	uint64_t generation;
	int32_t worker_count; /* for share calculations */
	int32_t cpu;          /* to pin to, -1: none */
};
/* One open socket of a listener. Its number is the master's name for the socket, never reused. */
struct channel_socket {
	uint32_t number;
	int16_t listener;       /* index in the configuration; -1 when retiring */
	int16_t board_listener; /* index on the board */
	uint8_t is_retiring; /* no longer in the configuration: empty its queue, wait for RELEASE */
	uint8_t reserved[7];
};
/* The complete list of sockets, in several messages. A socket that the child has already (by
 * number) comes without a descriptor. */
struct channel_listeners {
	uint32_t count;
	uint32_t new_mask[2]; /* bit i: sockets[i] has a descriptor, in order */
	uint32_t reserved;
	struct channel_socket sockets[CHANNEL_DESCRIPTORS_MAX - 6];
};
struct channel_commit {
	uint64_t generation;
};
struct channel_number {
	uint32_t number; /* RELEASE, RELEASED: of the socket */
};
struct channel_drain {
	int64_t drain_timeout_ms; /* 0: at once */
};
struct channel_refused {
	uint64_t generation;
	char why[768];
};

struct channel_message {
	enum channel_type type;
	size_t size; /* of the payload */
	union {
		struct channel_hello hello;
		struct channel_log log;
		struct channel_config config;
		struct channel_listeners listeners;
		struct channel_commit commit;
		struct channel_number number;
		struct channel_drain drain;
		struct channel_refused refused;
		unsigned char bytes[CHANNEL_PAYLOAD_MAX];
	};
	int fds[CHANNEL_DESCRIPTORS_MAX];
	size_t fd_count;
};

enum channel_side { CHANNEL_MASTER, CHANNEL_CHILD };

/** A connected pair, non-blocking, close-on-exec. @return 0 or negative errno */
int channel_pair(int *master_end, int *child_end) MUST_CHECK;
/** Send one message; the payload has the size that the grammar gives its type (asserted).
 *  @param fds  borrowed, `fd_count` of them
 *  @return 0; -EAGAIN the child does not read, -EPIPE it is gone, or another negative errno */
int channel_send(int fd, enum channel_type type, const void *payload, const int *fds,
	size_t fd_count) MUST_CHECK;
/** Receive one message. Descriptors in it belong to the caller (channel_message_close).
 *  @param side  who is reading: only messages for that side are grammatical
 *  @return 0; -EAGAIN nothing there; -EPIPE the other side is gone and all it said was read;
 *          -EPROTO the grammar was broken: the master kills such a child; -EMFILE a child's own
 *          descriptors ran out while it received some: the message is lost. On failure no
 *          descriptor is left open. */
int channel_receive(int fd, enum channel_side side, struct channel_message *message) MUST_CHECK;
/** Close the descriptors that nobody took (took: set to -1). */
void channel_message_close(struct channel_message *message);
const char *channel_type_name(enum channel_type type);
