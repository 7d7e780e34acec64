/* Networks of the configuration. */
#include "common/network.h"

#include <errno.h>
#include <string.h>

#include "common/address.h"
#include "common/fault.h"
#include "tests/fuzz/fuzz.h"

static void
check_parsed(const char *string, const struct network *network)
{
	char text[NETWORK_TEXT_MAX];
	struct network again;
	union peer peer;

	PROMISE(strlen(string) < NETWORK_TEXT_MAX);
	PROMISE(network->bits <= 128);
	PROMISE(network_parse(network_format(network, text), &again, NULL) == 0);
	PROMISE(memcmp(&again, network, sizeof(again)) == 0);
	/* The first address of a network is in it. */
	memset(&peer, 0, sizeof(peer));
	peer.in6.sin6_family = AF_INET6;
	peer.in6.sin6_addr = network->prefix;
	PROMISE(network_contains(network, &peer));
	/* One with the last bit of the prefix turned is not. */
	if (network->bits > 0) {
		unsigned bit = network->bits - 1;

		peer.in6.sin6_addr.s6_addr[bit / 8] ^= (unsigned char)(0x80 >> bit % 8);
		PROMISE(!network_contains(network, &peer));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *string = malloc(size + 1);
	struct network network;
	struct fault why;
	int result;

	PROMISE(string != NULL);
	if (size > 0) {
		memcpy(string, data, size);
	}
	string[size] = '\0';
	result = network_parse(string, &network, &why);
	PROMISE(result == 0 || result == -EINVAL);
	if (result == 0) {
		check_parsed(string, &network);
	} else {
		PROMISE(strnlen(why.text, sizeof(why.text)) > 0);
		for (const char *at = why.text; *at != '\0'; at++) {
			PROMISE(*at >= ' ' && *at <= '~');
		}
	}
	free(string);
	return 0;
}
