#include "monitor/answer.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHT_MAX 256

void
answer_init(struct answer *answer)
{
	answer->count = answer->found = 0;
	answer->ttl_s = UINT32_MAX;
	answer->failure = LOOKUP_DONE;
	answer->failed_families = 0;
}

static bool
is_in(const struct answer *answer, const struct board_place *place)
{
	for (size_t i = 0; i < answer->count; i++) {
		if (board_place_equal(&answer->items[i].place, place)) {
			return true;
		}
	}
	return false;
}

static void
add_place(struct answer *answer, const struct board_place *place, uint16_t priority)
{
	if (is_in(answer, place)) {
		return;
	}
	answer->found++;
	if (answer->count < ANSWER_MAX) {
		struct answer_item *item = &answer->items[answer->count++];

		memset(item, 0, sizeof(*item));
		item->place = *place;
		item->priority = priority;
	}
}

void
answer_add(struct answer *answer, const struct sockaddr *address, uint16_t port, uint16_t priority,
	uint16_t weight)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)(const void *)address;
	struct board_place place = {.port = port, .weight = weight, .state = BOARD_PLACE_HELD};

	if (address->sa_family == AF_INET) {
		place.host.s6_addr[10] = place.host.s6_addr[11] = 0xff;
		memcpy(&place.host.s6_addr[12], &in4->sin_addr, sizeof(in4->sin_addr));
	} else if (address->sa_family == AF_INET6) {
		place.host = ((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
	} else {
		return;
	}
	add_place(answer, &place, priority);
}

void
answer_limit_ttl(struct answer *answer, uint32_t ttl_s)
{
	answer->ttl_s = ttl_s < answer->ttl_s ? ttl_s : answer->ttl_s;
}

void
answer_fail(struct answer *answer, enum channel_lookup failure, unsigned families)
{
	answer->failure = failure;
	answer->failed_families |= families;
}

void
answer_settle(struct answer *answer)
{
	if (answer->count > 0 && answer->failed_families == 0) {
		answer->failure = LOOKUP_DONE;
	}
}

/* --- what is in use --- */

static bool
is_known(const struct board_place *known, size_t count, const struct board_place *place)
{
	for (size_t i = 0; i < count; i++) {
		if (known[i].state == BOARD_PLACE_HELD && board_place_equal(&known[i], place)) {
			return true;
		}
	}
	return false;
}

static uint16_t
lowest_priority(const struct answer *answer)
{
	uint16_t lowest = UINT16_MAX;

	for (size_t i = 0; i < answer->count; i++) {
		lowest = answer->items[i].priority < lowest ? answer->items[i].priority : lowest;
	}
	return lowest;
}

void
answer_keep(struct answer *answer, const struct board_place *known, size_t known_count)
{
	uint16_t lowest = answer->count == 0 ? 0 : lowest_priority(answer);

	for (size_t i = 0; i < known_count; i++) {
		unsigned family = IN6_IS_ADDR_V4MAPPED(&known[i].host) ? ANSWER_IPV4 : ANSWER_IPV6;

		if (known[i].state == BOARD_PLACE_HELD && (answer->failed_families & family) != 0) {
			add_place(answer, &known[i], known[i].is_backup ? UINT16_MAX : lowest);
		}
	}
}

/* --- the choice --- */

struct rank {
	const struct answer_item *item;
	bool is_known;
};

static int
compare(const void *left, const void *right)
{
	const struct rank *a = left, *b = right;
	int order = (int)a->item->priority - (int)b->item->priority;

	if (order == 0) {
		order = (int)b->is_known - (int)a->is_known;
	}
	if (order == 0) {
		order = memcmp(
			&a->item->place.host, &b->item->place.host, sizeof(a->item->place.host));
	}
	return order != 0 ? order : (int)a->item->place.port - (int)b->item->place.port;
}

/* As they are where they fit; otherwise scaled to the largest. One of weight 0 beside others gets
 * the least that there is (RFC 2782: "a very small chance of being selected"). */
static void
scale_weights(struct board_place *places, size_t count)
{
	uint32_t most = 0;
	bool has_zero = false;

	for (size_t i = 0; i < count; i++) {
		most = places[i].weight > most ? places[i].weight : most;
		has_zero = has_zero || places[i].weight == 0;
	}
	for (size_t i = 0; i < count; i++) {
		uint32_t weight = places[i].weight;

		if (most > WEIGHT_MAX || (has_zero && most > 0)) {
			weight = weight * WEIGHT_MAX / most;
		}
		places[i].weight = (uint16_t)(weight > 0 ? weight : 1);
	}
}

size_t
answer_choose(struct answer *answer, const struct board_place *known, size_t known_count,
	bool is_srv, struct board_place *chosen, size_t room)
{
	uint16_t lowest = lowest_priority(answer);
	struct rank ranks[ANSWER_MAX];
	size_t count = answer->count < room ? answer->count : room;

	for (size_t i = 0; i < answer->count; i++) {
		ranks[i].item = &answer->items[i];
		ranks[i].is_known = is_known(known, known_count, &answer->items[i].place);
	}
	qsort(ranks, answer->count, sizeof(ranks[0]), compare);
	for (size_t i = 0; i < count; i++) {
		chosen[i] = ranks[i].item->place;
		chosen[i].is_backup = ranks[i].item->priority > lowest;
	}
	if (is_srv) {
		scale_weights(chosen, count);
	}
	return count;
}
