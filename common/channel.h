/* Typed, size-checked messages between master and children, over one SOCK_SEQPACKET pair each.
 * Descriptors travel with them. Nothing here blocks.
 *
 * A child learns everything through its channel: at birth the master sends HELLO, LOG, SESSION_LOG,
 * CONFIG, LISTENERS… and COMMIT; a reload is the same again without HELLO. The monitor gets DOORS
 * instead of SESSION_LOG and LISTENERS. It asks the master by REQUEST and gets RESULT; each has the
 * number of the request.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/board.h"
#include "common/defs.h"

struct fault;

#define CHANNEL_DESCRIPTORS_MAX 64
#define CHANNEL_PAYLOAD_MAX     1024
#define CHANNEL_ARGUMENT_MAX    192 /* "UPSTREAM/SERVER weight 256" with the longest names */

enum channel_type {
	/* master to child */
	CHANNEL_HELLO,     /* fd: board */
	CHANNEL_LOG,       /* fd: sink, none for stderr */
	CHANNEL_CONFIG,    /* fd: sealed text */
	CHANNEL_LISTENERS, /* fds: the listening sockets described by the payload */
	CHANNEL_COMMIT,    /* what was sent since the last commit takes effect */
	CHANNEL_RELEASE, /* close your copy of this retired listening socket, after one last look */
	CHANNEL_NUDGE,   /* a sibling died: look at the queues now; a monitor need only read it */
	CHANNEL_DRAIN,   /* stop accepting, finish, go */
	CHANNEL_DOORS,   /* to the monitor. fds: its listening sockets instead of those before */
	CHANNEL_RESULT,  /* to the monitor: a piece of the answer to a REQUEST */
	CHANNEL_ROWS,    /* to the monitor. fd: connections of one worker, before the RESULT */
	CHANNEL_LIST,    /* to a worker. fd: memory into which it writes its connections */
	CHANNEL_KILL,    /* to a worker: close one connection */
	CHANNEL_WAKERS,  /* to a worker. fds: eventfds by which workers wake each other */
	CHANNEL_SESSION_LOG, /* to a worker. fd: the file, none when nothing is to be written */
	/* child to master */
	CHANNEL_READY,   /* serving for the first time: once, after the first APPLIED */
	CHANNEL_APPLIED, /* a COMMIT took effect: each is answered with this or with REFUSED */
	CHANNEL_REFUSED, /* a COMMIT could not take effect; the sentence says why */
	CHANNEL_RELEASED,
	CHANNEL_REQUEST, /* of the monitor: an operator asks for something */
	CHANNEL_LISTED,  /* the answer to LIST */
	CHANNEL_KILLED,  /* the answer to KILL */
	CHANNEL_ANSWER,  /* of the monitor: what DNS answered, or that it did not */
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
/* One for each slot named; whoever had one for it before uses this one. */
struct channel_wakers {
	uint32_t count;
	int32_t slots[CHANNEL_DESCRIPTORS_MAX - 6];
};
struct channel_commit {
	uint64_t generation;
};
struct channel_number {
	uint32_t number; /* RELEASE, RELEASED: of the socket; LIST: of the request */
};
/* It may take as long as its connections do. */
#define CHANNEL_NO_LIMIT (-1)
struct channel_drain {
	int64_t drain_timeout_ms; /* 0: at once; CHANNEL_NO_LIMIT */
};
struct channel_refused {
	uint64_t generation;
	char why[768];
};
struct channel_doors {
	uint8_t has_admin; /* the first descriptor */
	uint8_t has_web;   /* the next one */
	uint8_t reserved[6];
};
enum channel_command {
	COMMAND_RELOAD,
	COMMAND_STOP,   /* finish connections; argument "now": cut them */
	COMMAND_DRAIN,  /* argument: name of a listener */
	COMMAND_RESUME, /* the same */
	COMMAND_LIST,   /* every worker's connections come as ROWS */
	COMMAND_KILL,   /* argument: "SLOT-SERIAL" of a connection */
	COMMAND_SERVER, /* argument: "UPSTREAM/SERVER drain", "SERVER weight 3"… */
	COMMAND_UPGRADE,
	COMMAND_COUNT
};
struct channel_request {
	uint32_t id;      /* of the monitor's choice */
	uint32_t command; /* enum channel_command */
	char who[64];     /* for the log: "uid 0, pid 812" */
	char argument[CHANNEL_ARGUMENT_MAX];
};
/* The text of an answer may be longer than a message: then it comes in pieces, in order. */
struct channel_result {
	uint32_t id;
	int32_t status; /* 0 done, or negative errno; the same in each piece */
	uint32_t is_last;
	uint32_t len; /* of this piece */
	char text[960];
};
struct channel_rows {
	uint32_t id;
	int32_t slot;
	uint64_t count;
};
/* What became of one lookup. Of a name of two families, or with several records, a part may have
 * failed: then there are addresses and a failure, and the addresses are all that shall be used,
 * with those of the failed part that were in use before. */
enum channel_lookup {
	LOOKUP_DONE,
	LOOKUP_NO_NAME,
	LOOKUP_NO_ADDRESS,
	LOOKUP_NO_RECORD,
	LOOKUP_TIMEOUT,
	LOOKUP_REFUSED,
	LOOKUP_BAD_ANSWER,
	LOOKUP_NO_MEMORY,
	LOOKUP_OTHER,
	LOOKUP_COUNT
};
#define CHANNEL_PLACES_MAX 32
struct channel_answer {
	uint64_t generation;
	uint32_t server;  /* index in the configuration, of all servers */
	uint32_t failure; /* enum channel_lookup */
	uint32_t next_ms; /* it is asked for again in so long */
	uint32_t found;   /* addresses in the answer; those in `places` are the ones to use */
	uint32_t count;
	char asked[124]; /* the DNS servers */
	struct board_place places[CHANNEL_PLACES_MAX];
};
struct channel_listed {
	uint32_t id;
	uint32_t reserved;
	uint64_t count; /* how many records were written */
};
struct channel_kill {
	uint32_t id; /* KILL, KILLED */
	uint32_t serial;
	int32_t status; /* KILLED: 0, or -ENOENT when there is no such connection (any more) */
	uint32_t reserved;
};

/* What a worker writes into the memory of LIST, one after the other from the beginning. Whoever
 * reads them trusts nothing in them. */
struct channel_connection {
	uint32_t serial;        /* unique in its slot, across crashes */
	int16_t board_listener; /* index on the board */
	uint8_t state;          /* of TCP, as the kernel numbers it; 0: not TCP */
	uint8_t phase;          /* enum channel_phase */
	union peer peer;        /* the client */
	union peer via;         /* the load balancer that connected for it; AF_UNSPEC: itself */
	uint64_t age_ms;
	uint64_t idle_ms; /* since anything was received */
	uint64_t received_bytes, sent_bytes;
	uint64_t pending_bytes; /* that we owe and the socket has not taken */
	uint64_t unsent_bytes;  /* in the socket, not sent yet */
};
enum channel_phase {
	PHASE_PRELUDE,
	PHASE_FRESH,
	PHASE_OPEN,
	PHASE_ENDED,
	PHASE_FLUSHING,
	PHASE_LINGERING
};

struct channel_message {
	enum channel_type type;
	size_t size; /* of the payload */
	union {
		struct channel_hello hello;
		struct channel_log log;
		struct channel_config config;
		struct channel_listeners listeners;
		struct channel_wakers wakers;
		struct channel_commit commit;
		struct channel_number number;
		struct channel_drain drain;
		struct channel_refused refused;
		struct channel_doors doors;
		struct channel_request request;
		struct channel_result result;
		struct channel_rows rows;
		struct channel_answer answer;
		struct channel_listed listed;
		struct channel_kill kill; /* KILL, KILLED */
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
/** A number for the language as a whole: programs that have the same one understand each other. */
uint64_t channel_version(void);
/** The name of a connection, "SLOT-SERIAL", as operators write it. @return false when it is none */
bool channel_parse_connection(const char *word, int *slot, uint32_t *serial) MUST_CHECK;
