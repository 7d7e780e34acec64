/* Who the connections come from: for each worker slot a table of fixed size on the board, in which
 * that worker alone writes how many connections each source has at each listener. A reader sums
 * over the slots, so limits by source hold exactly over all workers without a shared counter, and
 * what a dead worker held is taken back by clearing its table. Pure, on memory that is given.
 *
 * An entry is found by its tag, a keyed hash of source and listener: clients can choose addresses,
 * but not which of them meet in a set, and two that have the same tag are not to be expected in the
 * life of a machine. A set that was never used is not looked at, so its page is never touched.
 *
 * Measured: a connection costs 0.1 to 0.2 us of CPU with one worker, from its admission to its end;
 * with sixteen 0.3 us, and up to 2 us when each of 20000 sources has connections in all of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cell.h"
#include "common/defs.h"

union peer;
struct network;
struct siphash_key;

#define SOURCES_WAYS        8
#define SOURCES_ENTRIES_MAX 131072 /* of one worker */
#define SOURCES_SETS_MAX    (SOURCES_ENTRIES_MAX / SOURCES_WAYS)
#define SOURCES_RATE_MAX    500000 /* connections a second that an entry can count */

/* All of an IPv4 address, or the /64 of an IPv6 one, at one listener. */
struct source {
	uint64_t prefix; /* the 32 bits of an IPv4 address, or the first 64 of an IPv6 one */
	bool is_v6;
	int listener; /* board index */
	uint64_t tag; /* never 0 */
};

/* One source. `open` also says whose it is, and carries a mark while one more place is asked for.
 * `rate` and `refused` count by the second and by ten seconds: the number of the period with what
 * came in it and in the one before. Each is one word because its parts must be read together. */
struct source_cells {
	board_cell prefix;
	board_cell open;
	board_cell rate; /* admitted; also the second of the last use */
	board_cell refused;
};
struct source_set {
	_Alignas(64) board_cell tags[SOURCES_WAYS]; /* 0: free */
	struct source_cells cells[SOURCES_WAYS];
};
struct source_table {
	_Alignas(64) board_cell used[SOURCES_SETS_MAX / 64]; /* a bit for each set */
	struct source_set sets[SOURCES_SETS_MAX];
};

/* The tables of all slots, one of them our own. */
struct sources {
	struct source_table *first;
	size_t stride; /* bytes from one slot's to the next one's */
	int slots;     /* how many there are to look at */
	int own;
	uint32_t sets; /* in use, of each table */
};

/* 0: no limit. `per_second` is measured over the last 1000 ms: what was admitted in the current
 * second of the monotonic clock, and of the second before the part that is not yet 1000 ms past,
 * as if it had come evenly. */
struct source_limits {
	int64_t connections;
	int64_t per_second;
};

enum source_verdict {
	SOURCE_ADMITTED,
	SOURCE_UNTRACKED, /* let in without being counted: every entry of the set has connections */
	SOURCE_OVER_CONNECTIONS,
	SOURCE_OVER_RATE,
};

/* In the current period of time and in the one before. */
struct source_count {
	uint64_t now, before;
};

/* What all workers together know of a source. */
struct source_sum {
	uint64_t open;
	uint64_t asking;             /* places asked for and neither taken nor given up */
	struct source_count rate;    /* seconds */
	struct source_count refused; /* periods of ten seconds */
};

/** The source of a peer at a listener. @return false: it has none (unix sockets) */
bool source_of(
	const struct siphash_key *key, const union peer *peer, int listener, struct source *source);
#define SOURCE_TEXT_MAX 64
/** "192.0.2.7", "2001:db8::/64". @return buffer */
const char *source_format(const struct source *source, char buffer[SOURCE_TEXT_MAX]);

/** All addresses of a source. */
void source_network(const struct source *source, struct network *network);

/** Ask for a place for one more connection, and take it when the limits leave one. Two workers
 *  never both take the last place; while both ask for it, they ask again.
 *  @return SOURCE_ADMITTED: counted, until source_leave */
enum source_verdict sources_admit(const struct sources *all, const struct source *source,
	const struct source_limits *limits, int64_t now_ms) MUST_CHECK;
/** Count a connection that was there before the limits. @return false: untracked */
bool sources_enter(
	const struct sources *all, const struct source *source, int64_t now_ms) MUST_CHECK;
/** A connection that was counted has ended. */
void sources_leave(const struct sources *all, const struct source *source);

/** What all slots say of a source; all of it is 0 for one that is not known. */
void sources_sum(const struct sources *all, const struct source *source, int64_t now_ms,
	struct source_sum *sum);
/** Admitted in the last second, as the limit measures them; refused in the last ten seconds. */
uint64_t source_rate(const struct source_sum *sum, int64_t now_ms);
uint64_t source_refused(const struct source_sum *sum, int64_t now_ms);

/** Call `visit` for each entry of one slot's table, with what that slot alone says of it. */
void sources_visit(const struct sources *all, int slot, int64_t now_ms,
	void (*visit)(const struct source *source, const struct source_sum *part, void *arg),
	void *arg);
/** The slot's worker is dead: its connections are gone. Its rates stay true. */
void sources_bury(const struct sources *all, int slot);
