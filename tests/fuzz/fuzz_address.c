/* Addresses of the configuration, and peers as the kernel gives them. */
#include "common/address.h"

#include <errno.h>
#include <string.h>

#include "common/fault.h"
#include "tests/fuzz/fuzz.h"

static void
promise_sentence(const struct fault *why)
{
	size_t len = strnlen(why->text, sizeof(why->text));

	PROMISE(len > 0 && len < sizeof(why->text));
	for (size_t i = 0; i < len; i++) {
		PROMISE(why->text[i] >= ' ' && why->text[i] <= '~');
	}
}

static void
check_parsed(const struct address *address)
{
	struct address again;
	char buffer[ADDRESS_TEXT_MAX], buffer_again[ADDRESS_TEXT_MAX];

	PROMISE(address->len > sizeof(sa_family_t) && address->len <= sizeof(address->un));
	PROMISE(address->any.sa_family == AF_UNIX
			? address_port(address) == 0
			: address_port(address) >= 1 && address_port(address) <= 65535);
	PROMISE(address_parse(address_format(address, buffer), &again, NULL) == 0);
	PROMISE(address_equal(address, &again));
	PROMISE(address_overlaps(address, &again));
	PROMISE(memcmp(address, &again, sizeof(again)) == 0);
	PROMISE(strcmp(buffer, address_format(&again, buffer_again)) == 0);
}

static void
check_peer(const uint8_t *data, size_t size)
{
	union peer peer;
	char buffer[ADDRESS_TEXT_MAX];

	memset(&peer, 0, sizeof(peer));
	if (size > 0) {
		memcpy(&peer, data, size < sizeof(peer) ? size : sizeof(peer));
	}
	PROMISE(peer_format(&peer, buffer) == buffer);
	PROMISE(strnlen(buffer, sizeof(buffer)) < sizeof(buffer));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *string = malloc(size + 1);
	struct address address;
	struct fault why;

	PROMISE(string != NULL);
	if (size > 0) {
		memcpy(string, data, size);
	}
	string[size] = '\0';
	if (address_parse(string, &address, &why) == 0) {
		check_parsed(&address);
	} else {
		PROMISE(why.code == -EINVAL);
		promise_sentence(&why);
	}
	check_peer(data, size);
	free(string);
	return 0;
}
