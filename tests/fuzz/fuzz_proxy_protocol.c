/* The first bytes of a connection, as a PROXY header. The answer does not depend on how they came:
 * every beginning of a header asks for more, and what follows one changes nothing. */
#include "common/proxy_protocol.h"

#include <errno.h>
#include <string.h>

#include "common/fault.h"
#include "tests/fuzz/fuzz.h"

/* In a block of exactly that size, so that a sanitizer sees a read past it. */
static int
read_first(const uint8_t *data, size_t size, struct proxy_header *header, struct fault *why)
{
	uint8_t *bytes = malloc(size > 0 ? size : 1);
	int len;

	PROMISE(bytes != NULL);
	if (size > 0) {
		memcpy(bytes, data, size);
	}
	len = proxy_header_read(bytes, size, header, why);
	free(bytes);
	return len;
}

static bool
is_same_peer(const union peer *a, const union peer *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static void
check_written(const struct proxy_header *header, enum proxy_version version)
{
	unsigned char written[PROXY_WRITE_MAX];
	struct proxy_header again;
	size_t len = proxy_header_write(version, &header->client, &header->target, written);

	PROMISE(len > 0 && len <= sizeof(written));
	PROMISE(proxy_header_read(written, len, &again, NULL) == (int)len);
	PROMISE(!again.is_local);
	if (header->client.any.sa_family == again.client.any.sa_family) {
		PROMISE(is_same_peer(&header->client, &again.client));
		PROMISE(is_same_peer(&header->target, &again.target));
	}
}

static void
check_header(const struct proxy_header *header)
{
	if (header->is_local) {
		PROMISE(header->client.any.sa_family == AF_UNSPEC);
		PROMISE(header->target.any.sa_family == AF_UNSPEC);
		return;
	}
	PROMISE(header->client.any.sa_family == AF_INET ||
		header->client.any.sa_family == AF_INET6);
	PROMISE(header->target.any.sa_family == header->client.any.sa_family);
	check_written(header, PROXY_V1);
	check_written(header, PROXY_V2);
}

static void
check_beginnings(const uint8_t *data, size_t len)
{
	struct proxy_header header;

	for (size_t i = 0; i < len; i++) {
		PROMISE(read_first(data, i, &header, NULL) == -EAGAIN);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header header, shorter;
	struct fault why = {0};
	int len = read_first(data, size, &header, &why);

	if (len > 0) {
		PROMISE((size_t)len <= size && len <= PROXY_V2_MAX);
		PROMISE(read_first(data, (size_t)len, &shorter, NULL) == len);
		PROMISE(memcmp(&header, &shorter, sizeof(header)) == 0);
		check_header(&header);
		check_beginnings(data, (size_t)len);
	} else if (len == -EAGAIN) {
		PROMISE(size < PROXY_V2_MAX);
		check_beginnings(data, size);
	} else {
		PROMISE(len == -EPROTO && why.code == -EPROTO);
		PROMISE(why.text[0] != '\0' && strnlen(why.text, sizeof(why.text)) < 200);
	}
	return 0;
}
