/* A header is judged as early as possible: the first byte that cannot belong to one ends it, so
 * that a stranger's bytes are never waited for. */
#include "common/proxy_protocol.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/fault.h"
#include "common/text.h"

static const char v1_start[] = "PROXY ";
static const unsigned char v2_signature[12] = {
	0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

#define V2_HEAD           16
#define V2_LOCAL          0x20
#define V2_PROXY          0x21
#define V2_UNSPEC         0x00
#define V2_TCP4           0x11
#define V2_TCP6           0x21
#define V2_UNIX           0x31
#define V2_TCP4_BYTES     12
#define V2_TCP6_BYTES     36
#define V2_UNIX_BYTES     216
#define V2_CHECKSUM       0x03 /* the type of its TLV */
#define V2_CHECKSUM_BYTES 4
#define V1_WORDS          5 /* protocol, two addresses, two ports */

static void
peer_set4(union peer *peer, const void *address, uint16_t network_port)
{
	memset(peer, 0, sizeof(*peer));
	peer->in4.sin_family = AF_INET;
	peer->in4.sin_port = network_port;
	memcpy(&peer->in4.sin_addr, address, sizeof(peer->in4.sin_addr));
}

static void
peer_set6(union peer *peer, const void *address, uint16_t network_port)
{
	memset(peer, 0, sizeof(*peer));
	peer->in6.sin6_family = AF_INET6;
	peer->in6.sin6_port = network_port;
	memcpy(&peer->in6.sin6_addr, address, sizeof(peer->in6.sin6_addr));
}

/* A port as the specification writes it: decimal, no sign, no leading zero. */
static int
v1_port(const char *word, uint16_t *network_port)
{
	int64_t number;

	if (text_parse_number(word, &number) != 0 || number < 0 || number > 65535 ||
		word[0] == '-' || (word[0] == '0' && word[1] != '\0')) {
		return -EPROTO;
	}
	*network_port = htons((uint16_t)number);
	return 0;
}

static int
v1_endpoint(int family, const char *address, const char *port, union peer *peer)
{
	struct in6_addr binary;
	uint16_t network_port;

	if (inet_pton(family, address, &binary) != 1 || v1_port(port, &network_port) != 0) {
		return -EPROTO;
	}
	if (family == AF_INET) {
		peer_set4(peer, &binary, network_port);
	} else {
		peer_set6(peer, &binary, network_port);
	}
	return 0;
}

/* Cut a line at its single blanks. @return how many words, or 0 for an empty one or too many */
static size_t
v1_split(char *line, char *words[V1_WORDS])
{
	size_t count = 0;
	char *blank;

	for (;;) {
		if (count == V1_WORDS || *line == '\0' || *line == ' ') {
			return 0;
		}
		words[count++] = line;
		blank = strchr(line, ' ');
		if (blank == NULL) {
			return count;
		}
		*blank = '\0';
		line = blank + 1;
	}
}

/* What stands between "PROXY " and CR LF. */
static int
v1_parse(char *line, struct proxy_header *header)
{
	char *words[V1_WORDS];
	size_t count;
	int family;

	memset(header, 0, sizeof(*header));
	if (strncmp(line, "UNKNOWN", 7) == 0 && (line[7] == '\0' || line[7] == ' ')) {
		header->is_local = true; /* the rest of the line is to be ignored */
		return 0;
	}
	count = v1_split(line, words);
	if (count != V1_WORDS) {
		return -EPROTO;
	}
	family = strcmp(words[0], "TCP4") == 0   ? AF_INET
		 : strcmp(words[0], "TCP6") == 0 ? AF_INET6
						 : AF_UNSPEC;
	if (family == AF_UNSPEC || v1_endpoint(family, words[1], words[3], &header->client) != 0 ||
		v1_endpoint(family, words[2], words[4], &header->target) != 0) {
		return -EPROTO;
	}
	return 0;
}

static int
v1_read(const char *bytes, size_t len, struct proxy_header *header, struct fault *why)
{
	char line[PROXY_V1_MAX + 1];
	const char *end = memchr(bytes, '\n', len < PROXY_V1_MAX ? len : PROXY_V1_MAX);
	size_t line_len;

	if (end == NULL) {
		return len < PROXY_V1_MAX
			       ? -EAGAIN
			       : fault_say(why, EPROTO, "PROXY header without an end in %d bytes",
					 PROXY_V1_MAX);
	}
	line_len = (size_t)(end - bytes);
	if (line_len < sizeof(v1_start) || end[-1] != '\r' || memchr(bytes, '\0', line_len)) {
		return fault_say(why, EPROTO, "PROXY header does not end in CR LF");
	}
	memcpy(line, bytes, line_len - 1);
	line[line_len - 1] = '\0';
	if (v1_parse(line + strlen(v1_start), header) != 0) {
		return fault_say(why, EPROTO,
			"PROXY header is not of the form "
			"'TCP4|TCP6 client target port port'");
	}
	return (int)line_len + 1;
}

static unsigned
be16(const unsigned char *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

/* The lengths of the TLVs must fill what is behind the addresses exactly. */
static bool
v2_tlvs_add_up(const unsigned char *at, size_t len)
{
	size_t size;

	while (len > 0) {
		if (len < 3) {
			return false;
		}
		size = 3 + be16(at + 1);
		if (size > len) {
			return false;
		}
		at += size;
		len -= size;
	}
	return true;
}

/* CRC32c as of RFC 4960, appendix B; a header is short and seldom has one, so no table. */
static uint32_t
crc32c_add(uint32_t crc, const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++) {
			crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
		}
	}
	return crc;
}

/* Of the whole header, with zeros for the checksum itself. */
static bool
is_checksum_of(const unsigned char *checksum, const unsigned char *bytes, size_t len)
{
	static const unsigned char zeros[V2_CHECKSUM_BYTES];
	const unsigned char *behind = checksum + sizeof(zeros);
	uint32_t crc = crc32c_add(UINT32_MAX, bytes, (size_t)(checksum - bytes));

	crc = crc32c_add(crc, zeros, sizeof(zeros));
	crc = htonl(~crc32c_add(crc, behind, len - (size_t)(behind - bytes)));
	return memcmp(&crc, checksum, sizeof(crc)) == 0;
}

/* Without one there is nothing to be wrong. @param tlvs  where they begin; they add up */
static bool
v2_checksum_is_right(const unsigned char *bytes, size_t len, const unsigned char *tlvs)
{
	const unsigned char *end = bytes + len;

	for (const unsigned char *at = tlvs; at < end; at += 3 + be16(at + 1)) {
		if (at[0] == V2_CHECKSUM && (be16(at + 1) != V2_CHECKSUM_BYTES ||
						    !is_checksum_of(at + 3, bytes, len))) {
			return false;
		}
	}
	return true;
}

/* Bytes that the addresses of a family take; -1 for a family or protocol that is not a stream. */
static int
v2_address_bytes(unsigned char family)
{
	switch (family) {
	case V2_UNSPEC:
		return 0;
	case V2_TCP4:
		return V2_TCP4_BYTES;
	case V2_TCP6:
		return V2_TCP6_BYTES;
	case V2_UNIX:
		return V2_UNIX_BYTES;
	default:
		return -1;
	}
}

static void
v2_addresses(unsigned char family, const unsigned char *at, struct proxy_header *header)
{
	uint16_t ports[2];

	if (family == V2_TCP4) {
		memcpy(ports, at + 8, sizeof(ports));
		peer_set4(&header->client, at, ports[0]);
		peer_set4(&header->target, at + 4, ports[1]);
	} else if (family == V2_TCP6) {
		memcpy(ports, at + 32, sizeof(ports));
		peer_set6(&header->client, at, ports[0]);
		peer_set6(&header->target, at + 16, ports[1]);
	} else {
		header->is_local = true; /* nothing that an address list could be asked about */
	}
}

static int
v2_read(const unsigned char *bytes, size_t len, struct proxy_header *header, struct fault *why)
{
	size_t rest;
	int addresses;

	if (len < V2_HEAD) {
		return -EAGAIN;
	}
	rest = be16(bytes + 14);
	if (bytes[12] != V2_LOCAL && bytes[12] != V2_PROXY) {
		return fault_say(
			why, EPROTO, "PROXY v2 header with version and command 0x%02x", bytes[12]);
	}
	if (V2_HEAD + rest > PROXY_V2_MAX) {
		return fault_say(why, EPROTO, "PROXY v2 header of %zu bytes; at most %d",
			V2_HEAD + rest, PROXY_V2_MAX);
	}
	if (len < V2_HEAD + rest) {
		return -EAGAIN;
	}
	memset(header, 0, sizeof(*header));
	if (bytes[12] == V2_LOCAL) { /* family and addresses are to be ignored */
		header->is_local = true;
		return (int)(V2_HEAD + rest);
	}
	addresses = v2_address_bytes(bytes[13]);
	if (addresses < 0 || (size_t)addresses > rest ||
		!v2_tlvs_add_up(bytes + V2_HEAD + addresses, rest - (size_t)addresses)) {
		return fault_say(why, EPROTO,
			"PROXY v2 header of family 0x%02x whose lengths do not add up", bytes[13]);
	}
	if (!v2_checksum_is_right(bytes, V2_HEAD + rest, bytes + V2_HEAD + addresses)) {
		return fault_say(why, EPROTO, "PROXY v2 header whose checksum is wrong");
	}
	v2_addresses(bytes[13], bytes + V2_HEAD, header);
	return (int)(V2_HEAD + rest);
}

static bool
begins_like(const void *bytes, size_t len, const void *start, size_t start_len)
{
	return memcmp(bytes, start, len < start_len ? len : start_len) == 0;
}

int
proxy_header_read(const void *bytes, size_t len, struct proxy_header *header, struct fault *why)
{
	if (len == 0) {
		return -EAGAIN;
	}
	if (begins_like(bytes, len, v1_start, strlen(v1_start))) {
		return v1_read(bytes, len, header, why);
	}
	if (begins_like(bytes, len, v2_signature, sizeof(v2_signature))) {
		return v2_read(bytes, len, header, why);
	}
	return fault_say(why, EPROTO, "no PROXY header");
}

static bool
is_v4(const union peer *peer)
{
	return peer->any.sa_family == AF_INET ||
	       (peer->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&peer->in6.sin6_addr));
}

static bool
has_address(const union peer *peer)
{
	return peer->any.sa_family == AF_INET || peer->any.sa_family == AF_INET6;
}

/* The 4 or 16 bytes of the address; a mapped IPv4 address as IPv4 when both ends are. */
static const void *
address_bytes(const union peer *peer, bool as_v4)
{
	if (peer->any.sa_family == AF_INET) {
		return &peer->in4.sin_addr;
	}
	return as_v4 ? (const void *)&peer->in6.sin6_addr.s6_addr[12]
		     : (const void *)&peer->in6.sin6_addr;
}

static uint16_t
port_of(const union peer *peer)
{
	return peer->any.sa_family == AF_INET ? peer->in4.sin_port : peer->in6.sin6_port;
}

static size_t
v1_write(const union peer *client, const union peer *target, bool as_v4, unsigned char *buffer)
{
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
	int family = as_v4 ? AF_INET : AF_INET6;

	(void)inet_ntop(family, address_bytes(client, as_v4), from, sizeof(from));
	(void)inet_ntop(family, address_bytes(target, as_v4), to, sizeof(to));
	return (size_t)snprintf((char *)buffer, PROXY_WRITE_MAX, "PROXY %s %s %s %u %u\r\n",
		as_v4 ? "TCP4" : "TCP6", from, to, ntohs(port_of(client)), ntohs(port_of(target)));
}

static size_t
v2_write(const union peer *client, const union peer *target, bool as_v4, unsigned char *buffer)
{
	size_t each = as_v4 ? sizeof(struct in_addr) : sizeof(struct in6_addr);
	size_t rest = as_v4 ? V2_TCP4_BYTES : V2_TCP6_BYTES;
	uint16_t ports[2] = {port_of(client), port_of(target)};

	memcpy(buffer, v2_signature, sizeof(v2_signature));
	buffer[12] = V2_PROXY;
	buffer[13] = as_v4 ? V2_TCP4 : V2_TCP6;
	buffer[14] = 0;
	buffer[15] = (unsigned char)rest;
	memcpy(buffer + V2_HEAD, address_bytes(client, as_v4), each);
	memcpy(buffer + V2_HEAD + each, address_bytes(target, as_v4), each);
	memcpy(buffer + V2_HEAD + 2 * each, ports, sizeof(ports));
	return V2_HEAD + rest;
}

/* A sender that speaks for nobody whose address it could give. */
static size_t
write_unknown(enum proxy_version version, unsigned char *buffer)
{
	static const char v1_unknown[] = "PROXY UNKNOWN\r\n";

	if (version == PROXY_V1) {
		memcpy(buffer, v1_unknown, strlen(v1_unknown));
		return strlen(v1_unknown);
	}
	memcpy(buffer, v2_signature, sizeof(v2_signature));
	memcpy(buffer + 12, (unsigned char[]){V2_LOCAL, V2_UNSPEC, 0, 0}, 4);
	return V2_HEAD;
}

size_t
proxy_header_write(enum proxy_version version, const union peer *client, const union peer *target,
	unsigned char buffer[PROXY_WRITE_MAX])
{
	bool as_v4 = is_v4(client) && is_v4(target);
	bool as_v6 = client->any.sa_family == AF_INET6 && target->any.sa_family == AF_INET6;

	if (version == PROXY_NONE) {
		return 0;
	}
	if (!has_address(client) || !has_address(target) || (!as_v4 && !as_v6)) {
		return write_unknown(version, buffer);
	}
	return version == PROXY_V1 ? v1_write(client, target, as_v4, buffer)
				   : v2_write(client, target, as_v4, buffer);
}
