#include "master/placing.h"

#include <assert.h>
#include <string.h>

static bool
bears(const struct board_place *place, const struct board_place *address)
{
	return place->state != BOARD_PLACE_EMPTY && board_place_equal(place, address);
}

static int
find_bearer(const struct board_place *places, size_t count, const struct board_place *address)
{
	for (size_t i = 0; i < count; i++) {
		if (bears(&places[i], address)) {
			return (int)i;
		}
	}
	return -1;
}

/* @return -1: each is held by an address of the answer */
static int
find_free(const struct board_place *places, const uint64_t *held, size_t count)
{
	int found = -1;

	for (size_t i = 0; i < count; i++) {
		if (places[i].state == BOARD_PLACE_EMPTY) {
			return (int)i;
		}
		if (places[i].state == BOARD_PLACE_LEAVING &&
			(found < 0 || held[i] < held[found])) {
			found = (int)i;
		}
	}
	return found;
}

static void
write_place(struct placing *placing, struct board_place *place, size_t index,
	const struct board_place *is)
{
	if (memcmp(place, is, sizeof(*place)) != 0) {
		placing->changed |= UINT64_C(1) << index;
		*place = *is;
	}
}

struct placing
placing_decide(struct board_place *places, const uint64_t *held, size_t count,
	const struct board_place *answer, size_t answer_count)
{
	struct placing placing = {0};

	assert(count <= 64 && answer_count <= count);
	for (size_t i = 0; i < count; i++) {
		struct board_place left = places[i];

		left.state = BOARD_PLACE_LEAVING;
		if (places[i].state == BOARD_PLACE_HELD &&
			find_bearer(answer, answer_count, &places[i]) < 0) {
			write_place(&placing, &places[i], i, &left);
			placing.left |= UINT64_C(1) << i;
		}
	}
	for (size_t i = 0; i < answer_count; i++) {
		int at = find_bearer(places, count, &answer[i]);

		if (at >= 0) {
			write_place(&placing, &places[at], (size_t)at, &answer[i]);
		}
	}
	for (size_t i = 0; i < answer_count; i++) {
		int at = find_bearer(places, count, &answer[i]) < 0 ? find_free(places, held, count)
								    : -1;

		if (at >= 0) {
			write_place(&placing, &places[at], (size_t)at, &answer[i]);
			placing.fresh |= UINT64_C(1) << at;
		}
	}
	return placing;
}
