/* Which of several servers is next. Pure: the caller says who is able to take a session. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BALANCE_MAX 64

struct balance_server {
	bool is_able;    /* false: not to be chosen now */
	uint32_t weight; /* 0: likewise */
	uint64_t load;   /* sessions that it has */
};

/* What the choice remembers from one time to the next; begin with zeros. */
struct balance_memory {
	int64_t credit[BALANCE_MAX]; /* smooth weighted round robin */
	uint64_t random;
};

/** In turn, by weight, and spread: of 5, 1, 1 comes a a b a c a a (nginx's smooth weighted round
 *  robin). @return index; -1: nobody is able */
int balance_round_robin(
	struct balance_memory *memory, const struct balance_server *servers, size_t count);
/** The one with the fewest sessions for its weight; among equals in turn. */
int balance_least(
	struct balance_memory *memory, const struct balance_server *servers, size_t count);
/** Two at random by weight, of these the one with fewer sessions for its weight: nearly as even,
 *  and workers or machines that do not know each other's choices do not all run to the same one. */
int balance_random_two(
	struct balance_memory *memory, const struct balance_server *servers, size_t count);
/** The one of a table that common/maglev.h made; when it is not able, the ones that follow for this
 *  hash, in an order that is the same everywhere. */
int balance_hash(
	const uint16_t *table, uint64_t hash, const struct balance_server *servers, size_t count);
/** Weight during slow start: from a sixteenth to all of it.
 *  @param up_ms  for how long it has been up; slow_start_ms 0: none */
uint32_t balance_slow_start(uint32_t weight, int64_t up_ms, int64_t slow_start_ms);
