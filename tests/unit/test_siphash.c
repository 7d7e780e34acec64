#include "common/siphash.h"

#include <string.h>

#include "common/defs.h"
#include "tests/unit/run.h"

/* Test vectors of the paper and its reference: key 00..0f, message 00, 01, 02 … of length 0 to 15.
 */
static const struct siphash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
static const uint64_t wanted[] = {0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a,
	0x85676696d7fb7e2d, 0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce,
	0xab0200f58b01d137, 0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3,
	0xf4b32f46226bada7, 0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee,
	0xa129ca6149be45e5};

START_TEST(the_published_vectors_come_out)
{
	unsigned char message[16];

	for (size_t i = 0; i < sizeof(message); i++) {
		message[i] = (unsigned char)i;
	}
	ck_assert_uint_eq(siphash(&key, message, (size_t)_i), wanted[_i]);
}
END_TEST

UNIT_TESTS("siphash",
	   tcase_add_loop_test(tests, the_published_vectors_come_out, 0, (int)ARRAY_LEN(wanted));)
