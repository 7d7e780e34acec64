/* The shared segment: attach, add, read. One memory file of fixed size, mapped by all processes.
 *
 * Each cell has one writer: the process that owns its scope (stats.def), and for a worker slot
 * whose worker is dead the master. Counters belong to the slot, not to the process, so they survive
 * crashes and reloads. Readers take consistent copies with board_read_listener. The file is sparse:
 * only rows that are used cost memory. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/address.h"
#include "common/cell.h"
#include "common/defs.h"
#include "common/endpoint.h"
#include "common/histogram.h"
#include "common/siphash.h"
#include "common/sources.h"

struct fault;

#define BOARD_PAGE       65536 /* the largest page of the machines that Linux runs on */
#define BOARD_SLOTS      1024  /* workers at most */
#define BOARD_LISTENERS  256   /* listener names at most in the life of a master */
#define BOARD_UPSTREAMS  64    /* upstream names at most at a time */
#define BOARD_SERVERS    512   /* servers of upstreams, likewise; a name has a row for each place */
#define BOARD_NAME_MAX   32
#define BOARD_SERVER_MAX 128 /* a name, or an address instead */
#define BOARD_FRAMES_MAX 32
#define BOARD_EVENTS     1024
#define BOARD_PENALTIES  64 /* sources that are refused after a crash */

enum stat_scope {
	STAT_SCOPE_WORKER,
	STAT_SCOPE_LISTENER,
	STAT_SCOPE_CLOSE,
	STAT_SCOPE_QUEUE,
	STAT_SCOPE_MASTER,
	STAT_SCOPE_KERNEL,
	STAT_SCOPE_SERVER
};
enum stat_kind { STAT_COUNTER, STAT_GAUGE };
enum stat_unit {
	STAT_NUMBER,
	STAT_EVENTS,
	STAT_CONNECTIONS,
	STAT_SEGMENTS,
	STAT_BYTES,
	STAT_LINES,
	STAT_SECONDS,
	STAT_MICROSECONDS
};

struct stat_row {
	enum stat_scope scope;
	const char *name;
	enum stat_kind kind;
	enum stat_unit unit;
	unsigned number;
	const char *help;
};
/* STAT_WORKER_open, STAT_LISTENER_accepted, STAT_QUEUE_depth, STAT_MASTER_reloads: indices within
 * their scope. CLOSE_idle … and CLOSE_COUNT likewise. */
enum stat_worker_index {
#define STAT(scope, name, ...)      STAT_IN_WORKER_##scope(name)
#define STAT_IN_WORKER_WORKER(name) STAT_WORKER_##name,
#define STAT_IN_WORKER_LISTENER(name)
#define STAT_IN_WORKER_CLOSE(name)
#define STAT_IN_WORKER_QUEUE(name)
#define STAT_IN_WORKER_MASTER(name)
#define STAT_IN_WORKER_KERNEL(name)
#define STAT_IN_WORKER_SERVER(name)
#include "common/stats.def"
#undef STAT
	STAT_WORKER_COUNT
};
enum stat_listener_index {
#define STAT(scope, name, ...) STAT_IN_LISTENER_##scope(name)
#define STAT_IN_LISTENER_WORKER(name)
#define STAT_IN_LISTENER_LISTENER(name) STAT_LISTENER_##name,
#define STAT_IN_LISTENER_CLOSE(name)
#define STAT_IN_LISTENER_QUEUE(name)
#define STAT_IN_LISTENER_MASTER(name)
#define STAT_IN_LISTENER_KERNEL(name)
#define STAT_IN_LISTENER_SERVER(name)
#include "common/stats.def"
#undef STAT
	STAT_LISTENER_COUNT
};
enum close_reason {
#define STAT(scope, name, ...) STAT_IN_CLOSE_##scope(name)
#define STAT_IN_CLOSE_WORKER(name)
#define STAT_IN_CLOSE_LISTENER(name)
#define STAT_IN_CLOSE_CLOSE(name) CLOSE_##name,
#define STAT_IN_CLOSE_QUEUE(name)
#define STAT_IN_CLOSE_MASTER(name)
#define STAT_IN_CLOSE_KERNEL(name)
#define STAT_IN_CLOSE_SERVER(name)
#include "common/stats.def"
#undef STAT
	CLOSE_COUNT
};
enum stat_queue_index {
#define STAT(scope, name, ...) STAT_IN_QUEUE_##scope(name)
#define STAT_IN_QUEUE_WORKER(name)
#define STAT_IN_QUEUE_LISTENER(name)
#define STAT_IN_QUEUE_CLOSE(name)
#define STAT_IN_QUEUE_QUEUE(name) STAT_QUEUE_##name,
#define STAT_IN_QUEUE_MASTER(name)
#define STAT_IN_QUEUE_KERNEL(name)
#define STAT_IN_QUEUE_SERVER(name)
#include "common/stats.def"
#undef STAT
	STAT_QUEUE_COUNT
};
enum stat_master_index {
#define STAT(scope, name, ...) STAT_IN_MASTER_##scope(name)
#define STAT_IN_MASTER_WORKER(name)
#define STAT_IN_MASTER_LISTENER(name)
#define STAT_IN_MASTER_CLOSE(name)
#define STAT_IN_MASTER_QUEUE(name)
#define STAT_IN_MASTER_MASTER(name) STAT_MASTER_##name,
#define STAT_IN_MASTER_KERNEL(name)
#define STAT_IN_MASTER_SERVER(name)
#include "common/stats.def"
#undef STAT
	STAT_MASTER_COUNT
};
enum stat_kernel_index {
#define STAT(scope, name, ...) STAT_IN_KERNEL_##scope(name)
#define STAT_IN_KERNEL_WORKER(name)
#define STAT_IN_KERNEL_LISTENER(name)
#define STAT_IN_KERNEL_CLOSE(name)
#define STAT_IN_KERNEL_QUEUE(name)
#define STAT_IN_KERNEL_MASTER(name)
#define STAT_IN_KERNEL_KERNEL(name) STAT_KERNEL_##name,
#define STAT_IN_KERNEL_SERVER(name)
#include "common/stats.def"
#undef STAT
	STAT_KERNEL_COUNT
};
enum stat_server_index {
#define STAT(scope, name, ...) STAT_IN_SERVER_##scope(name)
#define STAT_IN_SERVER_WORKER(name)
#define STAT_IN_SERVER_LISTENER(name)
#define STAT_IN_SERVER_CLOSE(name)
#define STAT_IN_SERVER_QUEUE(name)
#define STAT_IN_SERVER_MASTER(name)
#define STAT_IN_SERVER_KERNEL(name)
#define STAT_IN_SERVER_SERVER(name) STAT_SERVER_##name,
#include "common/stats.def"
#undef STAT
	STAT_SERVER_COUNT
};

/** Every row in the order of stats.def. */
extern const struct stat_row stat_rows[];
extern const size_t stat_row_count;
/** The row of one cell: index is the enum value of that scope. */
const struct stat_row *stat_row_of(enum stat_scope scope, size_t index);
/** "idle", "lost_in_crash" … */
const char *close_reason_name(enum close_reason reason);

/* What a worker was doing when it died, written by its own fatal-signal handler. */
struct board_crash {
	_Atomic uint32_t is_written;
	int32_t signal;
	int32_t sender; /* pid of who sent the signal; 0: it is a fault of the worker's own */
	uint64_t fault_address;
	int32_t listener; /* board index, -1: none at hand */
	union peer peer;
	uint32_t frame_count;
	char frames[BOARD_FRAMES_MAX][96]; /* "conn_read+0x1f (acceptd+0x1234)" */
};

enum board_worker_state {   /* as the worker says of itself */
	BOARD_WORKER_EMPTY, /* nobody in the slot */
	BOARD_WORKER_STARTING,
	BOARD_WORKER_SERVING,
	BOARD_WORKER_DRAINING,
};
enum board_pause { /* why a worker does not accept now; bits */
	BOARD_PAUSE_BALANCE = 1,
	BOARD_PAUSE_LIMIT = 2,
	BOARD_PAUSE_DESCRIPTORS = 4,
	BOARD_PAUSE_TROUBLE = 8, /* accept fails; tried again ten times a second */
};

/* `claims` are places taken against max_connections: the open connections and those a worker is
 * about to accept. A worker raises its own claim, then sums everybody's, and takes it back when the
 * sum is over the limit: so a limit holds exactly over all workers without a shared counter. */
struct board_listener_cells {
	board_cell claims;
	/* What `accepted` will be once the accept that is under way is in the books: a worker that
	 * dies between the two has lost a client that it never counted. */
	board_cell accepting;
	board_cell stats[STAT_LISTENER_COUNT];
	board_cell closed[CLOSE_COUNT];
	/* Milliseconds in the accept queue, of the clients that were measured: all of them, or a
	 * part when many come. accepted and the histogram's count tell which part. */
	struct histogram queue_wait_ms;
};

/* What one worker knows of one server of an upstream. `held` are its places: sessions that connect
 * or are connected. A worker raises its own cell, then sums everybody's, and takes it back when the
 * sum is over the limit; so the limit holds exactly over all workers. */
struct board_server_cells {
	board_cell held;
	board_cell
		unproven;   /* of these: no byte from the server yet, perhaps in its accept queue */
	board_cell settled; /* of these: the same, but for longer than settle_time */
	board_cell verdict; /* this worker's last one: BOARD_VERDICT; 0: none */
	board_cell cause;   /* errno of the connect or check that this verdict came from */
	board_cell failures;   /* connects of clients that failed in a row: BOARD_FAILURES */
	board_cell runs_ended; /* runs of failures, of any worker, that this worker ended */
	board_cell stats[STAT_SERVER_COUNT];
};
/* Monotonic milliseconds and whether the server is up. The latest of all workers holds. */
#define BOARD_VERDICT(ms, is_up)  ((uint64_t)(ms) << 1 | ((is_up) ? 1 : 0))
#define BOARD_VERDICT_IS_UP(cell) (((cell)&1) != 0)
#define BOARD_VERDICT_SINCE(cell) ((int64_t)((cell) >> 1))

/* How many, and in which run: the sum of all workers' runs_ended then, and of placed_ms. */
#define BOARD_FAILURES_COUNT_BITS  24
#define BOARD_FAILURES_RUN_MAX     (UINT64_MAX >> BOARD_FAILURES_COUNT_BITS)
#define BOARD_FAILURES(run, count) ((uint64_t)(run) << BOARD_FAILURES_COUNT_BITS | (count))
#define BOARD_FAILURES_RUN(cell)   ((cell) >> BOARD_FAILURES_COUNT_BITS)
#define BOARD_FAILURES_COUNT(cell) ((cell) & ((1 << BOARD_FAILURES_COUNT_BITS) - 1))

/* Who waits in one worker for a place at an upstream. A ticket is monotonic microseconds, and below
 * them the slot. */
#define BOARD_TICKET_SLOT_BITS  10
#define BOARD_TICKET_US(ticket) ((int64_t)((ticket) >> BOARD_TICKET_SLOT_BITS))
struct board_upstream_cells {
	board_cell
		ticket; /* of the first one: lower came earlier, on the whole machine; 0: nobody */
	board_cell waiting;
	/* 1: this worker may use it, be it only for connections that came while it was configured.
	 */
	board_cell known;
};

/* One worker slot; page-aligned so that a worker can map nothing but its own for writing. */
struct board_slot {
	_Alignas(BOARD_PAGE) _Atomic uint32_t sequence; /* odd while the writer is in the middle */
	_Atomic uint32_t state;                         /* enum board_worker_state */
	_Atomic uint32_t pause;                         /* enum board_pause bits, any listener */
	_Atomic int32_t pid;
	_Atomic uint64_t generation; /* configuration this worker works under */
	_Atomic int64_t
		progress_ms; /* monotonic stamp of the last turn: the watchdog's proof of life */
	board_cell claims;   /* against the global limit; in the first cache line with `open` */
	board_cell stats[STAT_WORKER_COUNT];
	struct histogram turn_us; /* how long turns of the loop took: what an event waits for */
	/* The last worker of this slot that failed; written by the master, 0: none ever did. */
	_Atomic int64_t last_crash_seconds; /* since 1970 */
	_Atomic int32_t last_crash_status;  /* as waitpid(2) gives it */
	struct board_crash crash;
	struct board_listener_cells listeners[BOARD_LISTENERS];
	struct board_upstream_cells upstreams[BOARD_UPSTREAMS];
	struct board_server_cells servers[BOARD_SERVERS];
	/* Whether the table was ever used: if not, nobody needs to touch it. */
	board_cell has_sources;
	struct source_table sources;
};

/* A source that is refused for a while because a worker crashed while it served it. */
struct board_penalty {
	board_cell tag;      /* of its struct source; 0: none, or being written */
	board_cell until_ms; /* monotonic */
	board_cell prefix, is_v6, listener;
};

struct board_listener_head { /* written by the master when a listener is opened */
	char name[BOARD_NAME_MAX];
	_Atomic uint32_t is_used;
	board_cell queue[STAT_QUEUE_COUNT];
};

struct board_upstream_head {
	char name[BOARD_NAME_MAX];
	_Atomic uint32_t is_used;
	_Atomic uint32_t lives;         /* board_upstream_life */
	_Atomic uint32_t is_configured; /* the configuration in force has it */
	_Atomic uint32_t placings;      /* grows whenever a place of its servers changes */
	board_cell left_generation;     /* the first configuration without it; 0: it is in force */
};

/* A back end that is given by name has a row for each of its places; an address that DNS answers
 * with is put into one of them, and keeps it for as long as it is in the answers. */
enum board_place_state {
	BOARD_PLACE_EMPTY,
	BOARD_PLACE_HELD,    /* by an address of the last answer */
	BOARD_PLACE_LEAVING, /* its address is in the answers no more: no new clients */
};
struct board_place {
	struct in6_addr host; /* IPv4 mapped */
	uint16_t port;        /* host order */
	uint16_t weight;      /* of an SRV record, 1..256; 0: as configured */
	uint8_t state;        /* enum board_place_state */
	uint8_t is_backup;    /* an SRV record of lower priority */
	uint8_t reserved[2];
};
#define BOARD_PLACE_WORDS (sizeof(struct board_place) / sizeof(uint64_t))

/* How it stands with the asking for a name, in the row of its first place. */
enum board_lookup_state {
	BOARD_LOOKUP_NEW, /* no answer yet, and no failure */
	BOARD_LOOKUP_ANSWERED,
	BOARD_LOOKUP_FAILING, /* the last answer holds, if there was one */
};
struct board_lookup {
	_Atomic uint32_t state;
	board_cell answered_ms;  /* monotonic; 0: never */
	board_cell next_ms;      /* when it is asked for again */
	board_cell failing_ms;   /* since when */
	board_cell found, taken; /* addresses in the last answer; how many of them have places */
	_Atomic uint32_t is_partial; /* a part of the last answer is missing, and as before */
};

struct board_server_head {
	char name[BOARD_SERVER_MAX];
	char address[ADDRESS_TEXT_MAX]; /* "" for a place: board_read_place */
	char asked[ENDPOINT_TEXT_MAX];  /* of a place: the name as it is written; "" otherwise */
	int32_t place;                  /* its number, from 1; 0: no place */
	int32_t upstream;               /* its row */
	_Atomic uint32_t is_used;
	_Atomic uint32_t lives; /* board_server_life */
	_Atomic uint32_t is_configured;
	board_cell left_generation; /* the first configuration without it; 0: it is in force */
	/* What the cells of all slots came to when the row was given to this name. */
	board_cell base[STAT_SERVER_COUNT];
	/* What the administrator ordered, over the configuration. */
	_Atomic uint32_t is_drained;
	board_cell weight;          /* ordered weight + 1; 0: as configured */
	board_cell max_connections; /* ordered limit + 1; 0: as configured */
	uint32_t is_ordered_alone;  /* a place: the orders were for the address that it has */
	/* As configured, for who shows it. */
	board_cell configured_weight, configured_max, configured_backlog;
	/* Its listener's accept queue as the kernel shows it, once a second, where that is on this
	 * host and in this network namespace. The limit is + 1; 0: not known. */
	board_cell queue_depth, queue_limit, queue_dropped;
	/* Monotonic, from before the kernel was asked, and stored after what it said. 0: it never
	 * was. */
	board_cell queue_sampled_ms;
	_Atomic uint32_t place_sequence; /* odd while the words are being written */
	board_cell place_words[BOARD_PLACE_WORDS];
	board_cell placed_ms; /* when its address came: what was found out before is void */
	struct board_lookup lookup;
};

/** What was ordered, or else what is configured. */
static inline uint64_t
board_in_force(const board_cell *order, const board_cell *configured)
{
	uint64_t ordered = stat_get(order);

	return ordered > 0 ? ordered - 1 : stat_get(configured);
}

struct board_event {
	_Atomic uint64_t number; /* 1, 2, …; 0 while being written */
	int64_t wall_ms;
	int32_t level; /* enum log_level */
	char text[500];
};

struct board_master {
	uint32_t magic, version;
	uint64_t layout; /* hash of the rows and sizes: another build's board is refused */
	uint64_t size;
	_Atomic uint32_t slots_used; /* highest slot ever used + 1 */
	board_cell stats[STAT_MASTER_COUNT];
	_Atomic uint32_t has_kernel;                   /* the two below were read */
	board_cell kernel[STAT_KERNEL_COUNT];          /* now */
	board_cell kernel_at_start[STAT_KERNEL_COUNT]; /* when this master began to look */
	struct board_listener_head listeners[BOARD_LISTENERS];
	struct board_upstream_head upstreams[BOARD_UPSTREAMS];
	struct board_server_head servers[BOARD_SERVERS];
	struct siphash_key source_key; /* made once */
	uint32_t source_sets;          /* of each slot's table of sources */
	board_cell penalised_until_ms; /* the latest end of a penalty; 0: there never was one */
	struct board_penalty penalties[BOARD_PENALTIES];
	_Atomic uint64_t last_event;
	struct board_event events[BOARD_EVENTS];
};

struct board {
	const struct board_master *master; /* read only, but for the master */
	struct board_slot *slots;      /* read only but for the owner's own slot and the master */
	struct board_master *writable; /* NULL but in the master */
	size_t mapped_bytes;
};

/** Make the segment and map it writable (the master, once in its life).
 *  @param fd  the memory file, sealed against resizing, to be sent to children; the caller closes
 */
int board_create(struct board *board, int *fd, struct fault *why) MUST_CHECK;
/** Map it as a reader; with `slot` >= 0 that one slot is writable (a worker). The descriptor can be
 *  closed afterwards, and then this process can write nothing else of the board, whatever it tries
 *  (unless /proc is missing). @return 0; -EPROTO when it is another build's board */
int board_attach(struct board *board, int fd, int slot, struct fault *why) MUST_CHECK;
/** Map it writable, as the program that takes the master's place in an upgrade: the counters go on.
 *  @return 0; -EPROTO when it is another build's board */
int board_adopt(struct board *board, int fd, struct fault *why) MUST_CHECK;
void board_detach(struct board *board);

/** The row index of a listener name: the one it had before, or a new one. Master only.
 *  @return index, -ENOSPC after BOARD_LISTENERS different names, or -ENAMETOOLONG */
int board_listener_index(struct board *board, const char *name) MUST_CHECK;

/** The row of an upstream's name, or of a server within an upstream: the one it has, or a free one.
 *  Master only. @return index; -ENOSPC when every row is used; -ENAMETOOLONG */
int board_upstream_index(struct board *board, const char *name) MUST_CHECK;
int board_server_index(struct board *board, int upstream, const char *name) MUST_CHECK;
/** The row, by anybody. @return index; -ENOENT */
int board_find_upstream(const struct board *board, const char *name);
int board_find_server(const struct board *board, int upstream, const char *name);
/** Give a row to a name that fits: nothing is left there of the name that had it, whose counters
 *  stay in the cells and are left out from now on. No worker may touch it any more. With an
 *  upstream the rows of its servers become free. Master only. */
void board_give_upstream(struct board *board, int row, const char *name);
void board_give_server(struct board *board, int row, int upstream, const char *name);
/** How often the row was given to a name; 0: nobody has it. A reader that finds the same before and
 *  after has read of one name only. */
uint32_t board_upstream_life(const struct board *board, int row);
uint32_t board_server_life(const struct board *board, int row);
/** Nobody has asked for the name of a row yet. Master only. */
void board_forget_lookup(struct board *board, int row);
/** A counter of the name that has the row, over all slots. */
uint64_t board_server_stat(const struct board *board, int server, enum stat_server_index index);
/** Sessions that have a place at a server, over all slots. */
uint64_t board_server_held(const struct board *board, int server);
/** The latest verdict of all workers on a server; 0: none yet, it is taken to be up. */
uint64_t board_server_verdict(const struct board *board, int server);
/** Why that verdict is what it is: the errno of a connect, EBADMSG for a wrong answer to a check.
 */
int board_server_cause(const struct board *board, int server);
/** The same in words: "connection refused", "no answer" ... */
const char *board_cause_words(int cause);
/** A consistent copy of a server's place; an empty one for a server that has none. */
void board_read_place(const struct board *board, int server, struct board_place *place);
/** False for a place that has no address, or one that is to get no new clients. */
bool board_server_is_open(const struct board *board, int server);
/** Master only. @param is_new  another address than before: no verdict holds any more */
void board_write_place(
	struct board *board, int server, const struct board_place *place, bool is_new);
/** The address of a place that is not empty. */
void board_place_address(const struct board_place *place, struct address *address);
/** Whether it is the same address, whatever the state. */
bool board_place_equal(const struct board_place *a, const struct board_place *b);
/** How many slots there are to look at. */
int board_slots_used(const struct board *board);

/** How many sources each slot's table is to hold, rounded up to whole sets; the most until
 *  then. Master only, before the first worker. */
void board_set_source_table(struct board *board, int64_t entries);
/** The tables of all slots, as seen by the worker of slot `own`, or by a reader (-1). */
void board_sources(const struct board *board, int own, struct sources *sources);
/** Refuse a source from now on until a monotonic time. When the list is full the penalty that ends
 *  first makes room. Master only. */
void board_penalise(struct board *board, const struct source *source, int64_t until_ms);
/** Refuse it no longer. Master only. */
void board_lift_penalty(struct board *board, const struct source *source);
/** @return how long the penalty of a source still lasts; 0: it has none */
int64_t board_penalty_left_ms(
	const struct board *board, const struct source *source, int64_t now_ms);
/** The penalty in a row, of BOARD_PENALTIES. @return how long it still lasts; 0: there is none */
int64_t board_read_penalty(
	const struct board *board, int row, int64_t now_ms, struct source *source);
/** Whether anybody has a penalty: one load. */
static inline bool
board_has_penalties(const struct board *board, int64_t now_ms)
{
	return now_ms < (int64_t)stat_get(&board->master->penalised_until_ms);
}

/** Around updates of several cells of a slot that belong together (accepted and open). */
static inline void
board_write_begin(struct board_slot *slot)
{
	atomic_store_explicit(&slot->sequence,
		atomic_load_explicit(&slot->sequence, memory_order_relaxed) + 1,
		memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}
static inline void
board_write_end(struct board_slot *slot)
{
	atomic_store_explicit(&slot->sequence,
		atomic_load_explicit(&slot->sequence, memory_order_relaxed) + 1,
		memory_order_release);
}

/** A consistent copy of one listener's cells in one slot: accepted = open + sum of closed in each.
 *  A torn copy is retried; after 1000 tries, as for a worker stopped in the middle, the last copy
 * is taken and `open` reckoned from its counters. */
struct board_listener_copy {
	uint64_t stats[STAT_LISTENER_COUNT];
	uint64_t closed[CLOSE_COUNT];
};
void board_read_listener(
	const struct board *board, int slot, int listener, struct board_listener_copy *copy);
/** Sum over all slots ever used. */
void board_sum_listener(const struct board *board, int listener, struct board_listener_copy *sum);

/** Before a worker is started in a slot: readers count the slot from now on, and the crash record
 * of the worker before is forgotten. Master only. */
void board_open_slot(struct board *board, int slot);
/** Take a dead worker's slot back: what it had open becomes closed[lost_in_crash], gauges and
 *  claims become 0, the state EMPTY; the crash record stays until the slot is opened again. Master
 *  only, after waitpid. @return how many connections were lost */
uint64_t board_bury_slot(struct board *board, int slot);

/** The worker of this slot has just failed, with this status of waitpid(2). Master only. */
void board_note_crash(struct board *board, int slot, int status);

/** Append an event, now, to the ring; a longer text is cut. Master only. */
void board_add_event(struct board *board, int level, const char *text);
/** Copy event `number`. @return 0, or -ENOENT when it was overwritten or is not there yet */
int board_read_event(const struct board *board, uint64_t number, struct board_event *event);
