/* One pseudo-random sequence of a prime length, walked round and round. */
#include "tests/bench/load_stream.h"

#include <string.h>

/* A prime: no power of two, the usual size of buffers, divides it, so a lost buffer always shows.
 */
#define SEQUENCE_LEN 1048573u

static char sequence[SEQUENCE_LEN];

/* splitmix64, written from its definition: mixes a counter into 64 even bits. */
static uint64_t
mix(uint64_t counter)
{
	uint64_t bits = counter * UINT64_C(0x9e3779b97f4a7c15);

	bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
	return bits ^ (bits >> 31);
}

void
load_stream_init(void)
{
	for (uint32_t i = 0; i < SEQUENCE_LEN; i++) {
		sequence[i] = (char)(mix(i + 1) >> 56);
	}
}

uint64_t
load_stream_begin(uint64_t number)
{
	return mix(number + 1) % SEQUENCE_LEN;
}

const char *
load_stream_at(uint64_t position, size_t *len)
{
	size_t offset = (size_t)(position % SEQUENCE_LEN);

	if (*len > SEQUENCE_LEN - offset) {
		*len = SEQUENCE_LEN - offset;
	}
	return &sequence[offset];
}

bool
load_stream_matches(uint64_t position, const char *bytes, size_t len)
{
	while (len > 0) {
		size_t piece_len = len;
		const char *expected = load_stream_at(position, &piece_len);

		if (memcmp(expected, bytes, piece_len) != 0) {
			return false;
		}
		position += piece_len;
		bytes += piece_len;
		len -= piece_len;
	}
	return true;
}
