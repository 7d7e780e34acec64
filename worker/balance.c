/* Every choice is one walk over the servers, of which there are a few. */
#include "worker/balance.h"

#include "common/maglev.h"

/* Weights count 16 to 1, so that a slow start has steps to climb. */
#define STEPS 16

static bool
is_able(const struct balance_server *server)
{
	return server->is_able && server->weight > 0;
}

int
balance_round_robin(
	struct balance_memory *memory, const struct balance_server *servers, size_t count)
{
	int64_t total = 0;
	int best = -1;

	for (size_t i = 0; i < count; i++) {
		if (!is_able(&servers[i])) {
			continue;
		}
		memory->credit[i] += servers[i].weight;
		total += servers[i].weight;
		if (best < 0 || memory->credit[i] > memory->credit[best]) {
			best = (int)i;
		}
	}
	if (best >= 0) {
		memory->credit[best] -= total;
	}
	return best;
}

/* With one session more: so weights tell from the first one on. */
static bool
is_less_loaded(const struct balance_server *a, const struct balance_server *b)
{
	return (a->load + 1) * b->weight < (b->load + 1) * a->weight;
}

int
balance_least(struct balance_memory *memory, const struct balance_server *servers, size_t count)
{
	struct balance_server equals[BALANCE_MAX];
	const struct balance_server *least = NULL;

	for (size_t i = 0; i < count; i++) {
		if (is_able(&servers[i]) && (least == NULL || is_less_loaded(&servers[i], least))) {
			least = &servers[i];
		}
	}
	for (size_t i = 0; i < count; i++) {
		equals[i] = servers[i];
		equals[i].is_able = least != NULL && is_able(&servers[i]) &&
				    !is_less_loaded(least, &servers[i]);
	}
	return balance_round_robin(memory, equals, count);
}

/* Steele and Vigna's splitmix64: good enough for a choice, and it needs no seed. */
static uint64_t
next_random(uint64_t *state)
{
	uint64_t mixed = (*state += 0x9e3779b97f4a7c15);

	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
	return mixed ^ (mixed >> 31);
}

/* @param other  not this one, unless it is the only one; -1: any */
static int
draw(struct balance_memory *memory, const struct balance_server *servers, size_t count, int other)
{
	uint64_t total = 0, drawn;

	for (size_t i = 0; i < count; i++) {
		total += is_able(&servers[i]) && (int)i != other ? servers[i].weight : 0;
	}
	if (total == 0) {
		return other;
	}
	drawn = next_random(&memory->random) % total;
	for (size_t i = 0; i < count; i++) {
		if (!is_able(&servers[i]) || (int)i == other) {
			continue;
		}
		if (drawn < servers[i].weight) {
			return (int)i;
		}
		drawn -= servers[i].weight;
	}
	return other;
}

int
balance_random_two(
	struct balance_memory *memory, const struct balance_server *servers, size_t count)
{
	int one = draw(memory, servers, count, -1);
	int two = one < 0 ? -1 : draw(memory, servers, count, one);

	return two >= 0 && is_less_loaded(&servers[two], &servers[one]) ? two : one;
}

int
balance_hash(
	const uint16_t *table, uint64_t hash, const struct balance_server *servers, size_t count)
{
	uint64_t state = hash;

	for (int tries = 0; tries < 4 * BALANCE_MAX; tries++) {
		uint16_t index = maglev_find(table, hash);

		if (index < count && is_able(&servers[index])) {
			return index;
		}
		hash = next_random(&state);
	}
	for (size_t i = 0; i < count; i++) { /* one of little weight is hard to hit */
		if (is_able(&servers[i])) {
			return (int)i;
		}
	}
	return -1;
}

uint32_t
balance_slow_start(uint32_t weight, int64_t up_ms, int64_t slow_start_ms)
{
	uint64_t full = (uint64_t)weight * STEPS;
	uint64_t part;

	if (slow_start_ms <= 0 || up_ms >= slow_start_ms || weight == 0) {
		return (uint32_t)full;
	}
	part = up_ms <= 0 ? 0 : full * (uint64_t)up_ms / (uint64_t)slow_start_ms;
	return (uint32_t)(part < weight ? weight : part);
}
