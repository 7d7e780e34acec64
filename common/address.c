/* Socket addresses to and from text. Parsing refuses what the kernel would refuse later or what
 * could never get a client, because here the sentence can still say which part is wrong. */
#include "common/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "common/fault.h"
#include "common/text.h"

#define PORT_MAX        65535
#define UNIX_PREFIX     "unix:"
#define UNIX_PATH_MAX   (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)
#define UNIX_PATH_AT    offsetof(struct sockaddr_un, sun_path)
#define SHOWN_MAX       160 /* of a wrong string within a sentence */
#define HOST_MAX        64  /* longer than any IPv6 address with its interface */
#define ALLOWED_FORMS   "ADDRESS:PORT, [IPv6]:PORT, *:PORT, unix:/PATH"
#define MAPPED_IPV4_LEN 12 /* ::ffff: before the four bytes of IPv4 */

/* A part of a string given by others, safe to be shown. */
struct shown {
	char text[SHOWN_MAX];
};

static struct shown
show(const char *string, size_t len)
{
	struct shown shown;
	struct text text;

	text_init(&text, shown.text, sizeof(shown.text));
	text_add_escaped(&text, string, len);
	return shown;
}

int
address_parse_port(const char *string, in_port_t *port, struct fault *why)
{
	int64_t number;
	int error;

	if (*string == '\0') {
		return fault_say(why, EINVAL, "the port after ':' is missing; allowed: 1..65535");
	}
	error = text_parse_number(string, &number);
	if (error == -EINVAL) {
		return fault_say(why, EINVAL, "port '%s' is not a number; allowed: 1..65535",
			show(string, strlen(string)).text);
	}
	if (error != 0 || number < 1 || number > PORT_MAX) {
		return fault_say(why, EINVAL, "port %s out of range; allowed: 1..65535",
			show(string, strlen(string)).text);
	}
	*port = htons((uint16_t)number);
	return 0;
}

static int
refuse_host(const char *host, size_t len, struct fault *why)
{
	return fault_say(why, EINVAL,
		"'%s' is not an IPv4/IPv6 address; hint: names are not resolved here, write an "
		"address or '*'",
		show(host, len).text);
}

static int
refuse_multicast(const char *host, size_t len, struct fault *why)
{
	return fault_say(why, EINVAL,
		"'%s' is a multicast or broadcast address; hint: TCP needs the address of one "
		"machine",
		show(host, len).text);
}

static int
parse_ipv4(const char *host, size_t len, struct sockaddr_in *in4, struct fault *why)
{
	char copy[HOST_MAX];

	if (len >= sizeof(copy)) {
		return refuse_host(host, len, why);
	}
	memcpy(copy, host, len);
	copy[len] = '\0';
	if (inet_pton(AF_INET, copy, &in4->sin_addr) != 1) {
		return refuse_host(host, len, why);
	}
	if (IN_MULTICAST(ntohl(in4->sin_addr.s_addr)) ||
		in4->sin_addr.s_addr == htonl(INADDR_BROADCAST)) {
		return refuse_multicast(host, len, why);
	}
	return 0;
}

/* The interface after '%'. Its name would need the kernel, so it is a number here. */
static int
parse_scope(const char *scope, struct sockaddr_in6 *in6, struct fault *why)
{
	int64_t number;

	if (!IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr)) {
		return fault_say(why, EINVAL,
			"interface '%%%s' with an address that is not link-local (fe80::/10)",
			show(scope, strlen(scope)).text);
	}
	if (text_parse_number(scope, &number) != 0 || number < 1 || number > INT32_MAX) {
		return fault_say(why, EINVAL,
			"interface '%s' is not a number; allowed: 1..2147483647; hint: 'ip link' "
			"shows the number before the name",
			show(scope, strlen(scope)).text);
	}
	in6->sin6_scope_id = (uint32_t)number;
	return 0;
}

/* The address without its interface. */
static int
check_ipv6(const char *host, size_t len, const struct in6_addr *in6, struct fault *why)
{
	if (IN6_IS_ADDR_V4MAPPED(in6)) {
		char plain[INET_ADDRSTRLEN];

		(void)inet_ntop(AF_INET, in6->s6_addr + MAPPED_IPV4_LEN, plain, sizeof(plain));
		return fault_say(why, EINVAL, "'%s' is an IPv4 address in IPv6; hint: write '%s'",
			show(host, len).text, plain);
	}
	if (IN6_IS_ADDR_MULTICAST(in6)) {
		return refuse_multicast(host, len, why);
	}
	return 0;
}

/* `host` is what stands between the brackets. */
static int
parse_ipv6(const char *host, size_t len, struct sockaddr_in6 *in6, struct fault *why)
{
	char copy[HOST_MAX];
	char *scope;
	int error;

	if (len >= sizeof(copy)) {
		return refuse_host(host, len, why);
	}
	memcpy(copy, host, len);
	copy[len] = '\0';
	scope = strchr(copy, '%');
	if (scope != NULL) {
		*scope++ = '\0';
	}
	if (inet_pton(AF_INET6, copy, &in6->sin6_addr) != 1) {
		return fault_say(why, EINVAL,
			"'%s' in brackets is not an IPv6 address; hint: brackets are for IPv6 "
			"only, names are not resolved here",
			show(host, len).text);
	}
	error = check_ipv6(host, len, &in6->sin6_addr, why);
	if (error != 0) {
		return error;
	}
	if (scope != NULL) {
		return parse_scope(scope, in6, why);
	}
	if (IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr)) {
		return fault_say(why, EINVAL,
			"link-local address '%s' without its interface; hint: write '[%s%%2]:PORT' "
			"with the number that 'ip link' shows",
			copy, copy);
	}
	return 0;
}

static int
parse_bracketed(const char *string, struct address *address, struct fault *why)
{
	const char *end = strchr(string, ']');
	int error;

	if (end == NULL) {
		return fault_say(why, EINVAL, "'[' without ']' in '%s'; allowed: [IPv6]:PORT",
			show(string, strlen(string)).text);
	}
	error = parse_ipv6(string + 1, (size_t)(end - string) - 1, &address->in6, why);
	if (error != 0) {
		return error;
	}
	if (end[1] != ':') {
		return fault_say(why, EINVAL, "'%s' has no ':PORT' after ']'; hint: write '%s:80'",
			show(string, strlen(string)).text,
			show(string, (size_t)(end - string) + 1).text);
	}
	address->len = sizeof(address->in6);
	address->in6.sin6_family = AF_INET6;
	return address_parse_port(end + 2, &address->in6.sin6_port, why);
}

/* Nothing before the colon, or no colon, or several of them outside brackets. */
static int
refuse_form(const char *string, struct fault *why)
{
	struct shown shown = show(string, strlen(string));
	struct in6_addr in6;
	struct in_addr in4;

	if (*string == '\0') {
		return fault_say(why, EINVAL, "empty address; allowed: " ALLOWED_FORMS);
	}
	if (inet_pton(AF_INET6, string, &in6) == 1) {
		return fault_say(why, EINVAL,
			"IPv6 address '%s' without brackets; hint: write [IPv6]:PORT, as "
			"'[::1]:80'",
			shown.text);
	}
	if (inet_pton(AF_INET, string, &in4) == 1 || strcmp(string, "*") == 0) {
		return fault_say(why, EINVAL, "'%s' has no port; hint: write '%s:80'", shown.text,
			shown.text);
	}
	if (string[0] == '/') {
		return fault_say(why, EINVAL, "'%s' is a path; hint: write 'unix:%s'", shown.text,
			shown.text);
	}
	if (string[strspn(string, "0123456789")] == '\0') {
		return fault_say(why, EINVAL,
			"'%s' is a port without an address; hint: write '*:%s' for every address",
			shown.text, shown.text);
	}
	if (string[0] == ':' && strchr(string + 1, ':') == NULL) {
		return fault_say(why, EINVAL,
			"no address before '%s'; hint: write '*%s' for every address", shown.text,
			shown.text);
	}
	return fault_say(
		why, EINVAL, "'%s' is not an address; allowed: " ALLOWED_FORMS, shown.text);
}

static int
parse_plain(const char *string, struct address *address, struct fault *why)
{
	const char *colon = strchr(string, ':');
	int error;

	if (colon == NULL || colon == string || strchr(colon + 1, ':') != NULL) {
		return refuse_form(string, why);
	}
	if (colon == string + 1 && *string == '*') {
		address->len = sizeof(address->in6);
		address->is_dual = true;
		address->in6.sin6_family = AF_INET6;
		return address_parse_port(colon + 1, &address->in6.sin6_port, why);
	}
	error = parse_ipv4(string, (size_t)(colon - string), &address->in4, why);
	if (error != 0) {
		return error;
	}
	address->len = sizeof(address->in4);
	address->in4.sin_family = AF_INET;
	return address_parse_port(colon + 1, &address->in4.sin_port, why);
}

/* Two spellings of one path would be two listeners of one socket, of which the second takes the
 * name away from the first: only the plain form is taken. */
static bool
is_plain_path(const char *path)
{
	const char *part = path;
	size_t len;

	while (*part == '/') {
		part++;
		len = strcspn(part, "/");
		if (len == 0 || (len == 1 && part[0] == '.') ||
			(len == 2 && part[0] == '.' && part[1] == '.')) {
			return false;
		}
		part += len;
	}
	return true;
}

static bool
has_control_byte(const char *string)
{
	for (; *string != '\0'; string++) {
		if ((unsigned char)*string < ' ' || *string == 0x7f) {
			return true;
		}
	}
	return false;
}

static int
parse_unix(const char *path, struct address *address, struct fault *why)
{
	size_t len = strlen(path);
	struct shown shown = show(path, len);

	if (path[0] != '/') {
		return fault_say(why, EINVAL, "path '%s' is not absolute; allowed: unix:/PATH%s",
			shown.text,
			path[0] == '@' ? "; hint: abstract sockets have no permissions" : "");
	}
	if (len > UNIX_PATH_MAX) {
		return fault_say(why, EINVAL,
			"path '%s' has %zu bytes; allowed: at most %zu in the name of a unix "
			"socket",
			shown.text, len, UNIX_PATH_MAX);
	}
	if (has_control_byte(path)) {
		return fault_say(why, EINVAL, "path '%s' has a control character", shown.text);
	}
	if (!is_plain_path(path)) {
		return fault_say(why, EINVAL,
			"path '%s' is not in its plain form; hint: write it without '//', '/./', "
			"'/../' and a '/' at the end",
			shown.text);
	}
	address->len = (socklen_t)(UNIX_PATH_AT + len + 1);
	address->un.sun_family = AF_UNIX;
	memcpy(address->un.sun_path, path, len + 1);
	return 0;
}

int
address_parse(const char *string, struct address *address, struct fault *why)
{
	struct address parsed;
	int error;

	/* Padding too: the kernel gets these bytes, and memcmp of two of them is meaningful. */
	memset(&parsed, 0, sizeof(parsed));
	if (strncmp(string, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
		error = parse_unix(string + strlen(UNIX_PREFIX), &parsed, why);
	} else if (string[0] == '[') {
		error = parse_bracketed(string, &parsed, why);
	} else {
		error = parse_plain(string, &parsed, why);
	}
	if (error == 0) {
		*address = parsed;
	}
	return error;
}

static void
add_ipv4(struct text *text, const void *bytes, in_port_t port)
{
	char host[INET_ADDRSTRLEN];

	(void)inet_ntop(AF_INET, bytes, host, sizeof(host));
	text_add(text, "%s:%u", host, (unsigned)ntohs(port));
}

static void
add_ipv6(struct text *text, const struct sockaddr_in6 *in6)
{
	char host[INET6_ADDRSTRLEN];

	(void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
	text_add(text, "[%s", host);
	if (in6->sin6_scope_id != 0) {
		text_add(text, "%%%u", (unsigned)in6->sin6_scope_id);
	}
	text_add(text, "]:%u", (unsigned)ntohs(in6->sin6_port));
}

/* The kernel may give a path without its terminating zero (unix(7)). */
static size_t
unix_path_len(const struct address *address)
{
	size_t room = address->len > UNIX_PATH_AT ? address->len - UNIX_PATH_AT : 0;

	if (room > sizeof(address->un.sun_path)) {
		room = sizeof(address->un.sun_path);
	}
	return strnlen(address->un.sun_path, room);
}

const char *
address_format(const struct address *address, char buffer[ADDRESS_TEXT_MAX])
{
	struct text text;

	text_init(&text, buffer, ADDRESS_TEXT_MAX);
	switch (address->any.sa_family) {
	case AF_INET:
		add_ipv4(&text, &address->in4.sin_addr, address->in4.sin_port);
		break;
	case AF_INET6:
		if (address->is_dual) {
			text_add(&text, "*:%u", (unsigned)ntohs(address->in6.sin6_port));
		} else {
			add_ipv6(&text, &address->in6);
		}
		break;
	case AF_UNIX:
		text_add(&text, UNIX_PREFIX "%.*s", (int)unix_path_len(address),
			address->un.sun_path);
		break;
	default:
		text_add(&text, "unknown");
		break;
	}
	return buffer;
}

const char *
peer_format(const union peer *peer, char buffer[ADDRESS_TEXT_MAX])
{
	struct text text;

	text_init(&text, buffer, ADDRESS_TEXT_MAX);
	if (peer->any.sa_family == AF_INET) {
		add_ipv4(&text, &peer->in4.sin_addr, peer->in4.sin_port);
	} else if (peer->any.sa_family == AF_UNIX) {
		text_add(&text, "unix");
	} else if (peer->any.sa_family != AF_INET6) {
		text_add(&text, "unknown");
	} else if (IN6_IS_ADDR_V4MAPPED(&peer->in6.sin6_addr)) {
		add_ipv4(&text, peer->in6.sin6_addr.s6_addr + MAPPED_IPV4_LEN, peer->in6.sin6_port);
	} else {
		add_ipv6(&text, &peer->in6);
	}
	return buffer;
}

static bool
is_same_path(const struct address *a, const struct address *b)
{
	size_t len = unix_path_len(a);

	return len == unix_path_len(b) && memcmp(a->un.sun_path, b->un.sun_path, len) == 0;
}

bool
address_equal(const struct address *a, const struct address *b)
{
	if (a->any.sa_family != b->any.sa_family || a->is_dual != b->is_dual ||
		address_port(a) != address_port(b)) {
		return false;
	}
	switch (a->any.sa_family) {
	case AF_INET:
		return a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
	case AF_INET6:
		return IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr) &&
		       a->in6.sin6_scope_id == b->in6.sin6_scope_id;
	case AF_UNIX:
		return is_same_path(a, b);
	default:
		return true;
	}
}

static bool
is_wildcard(const struct address *address)
{
	if (address->any.sa_family == AF_INET) {
		return address->in4.sin_addr.s_addr == htonl(INADDR_ANY);
	}
	return IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr);
}

bool
address_overlaps(const struct address *a, const struct address *b)
{
	if (a->any.sa_family == AF_UNIX || b->any.sa_family == AF_UNIX) {
		return address_equal(a, b);
	}
	if (address_port(a) != address_port(b)) {
		return false;
	}
	if (a->any.sa_family != b->any.sa_family) {
		/* Only a dual wildcard reaches into IPv4. */
		return a->is_dual || b->is_dual;
	}
	return is_wildcard(a) || is_wildcard(b) || address_equal(a, b);
}

unsigned
address_port(const struct address *address)
{
	switch (address->any.sa_family) {
	case AF_INET:
		return ntohs(address->in4.sin_port);
	case AF_INET6:
		return ntohs(address->in6.sin6_port);
	default:
		return 0;
	}
}
