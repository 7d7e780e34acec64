/* What cannot be an address by its letters is a name; what looks like an address that went wrong
 * ("300.1.1.1:80") is one, so that its mistake is told and no name is asked for instead. */
#include "common/endpoint.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/fault.h"
#include "common/text.h"

#define SRV_PREFIX    "srv:"
#define UNIX_PREFIX   "unix:"
#define LABEL_MAX     63
#define DIGITS        "0123456789"
#define NAME_LETTERS  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "-_"
#define ALLOWED_FORMS "ADDRESS:PORT, [IPv6]:PORT, NAME:PORT, srv:NAME, unix:/PATH"

/* Labels of letters, digits, hyphens and underscores (which SRV and much else uses), with dots
 * between them and perhaps one at the end; the last label is no number. */
static bool
is_name(const char *string, size_t len)
{
	size_t at = 0, label = 0, label_len = 0;

	if (len == 0 || len >= ENDPOINT_NAME_MAX) {
		return false;
	}
	while (at < len) {
		size_t end = at + strspn(string + at, NAME_LETTERS);

		end = end < len ? end : len;
		label = at;
		label_len = end - at;
		if (end == at || end - at > LABEL_MAX || string[at] == '-' ||
			string[end - 1] == '-' || (end < len && string[end] != '.')) {
			return false;
		}
		at = end + 1;
	}
	return strspn(string + label, DIGITS) < label_len;
}

static int
refuse_name(const char *string, size_t len, struct fault *why)
{
	char shown[160];
	struct text text;

	text_init(&text, shown, sizeof(shown));
	text_add_escaped(&text, string, len);
	return fault_say(why, EINVAL,
		"'%s' is not a name of DNS; allowed: labels of up to %d letters, digits, '-' and "
		"'_' with '.' between them, together up to %d; the last one is not a number",
		shown, LABEL_MAX, ENDPOINT_NAME_MAX - 1);
}

static void
set_name(struct endpoint *endpoint, enum endpoint_kind kind, const char *name, size_t len)
{
	endpoint->kind = kind;
	memcpy(endpoint->name, name, len);
}

static int
parse_srv(const char *name, struct endpoint *endpoint, struct fault *why)
{
	size_t len = strlen(name);

	if (is_name(name, strcspn(name, ":")) && strchr(name, ':') != NULL) {
		return fault_say(why, EINVAL,
			"an SRV name has no port, the records say it; hint: write 'srv:%.*s'",
			(int)strcspn(name, ":"), name);
	}
	if (!is_name(name, len)) {
		return refuse_name(name, len, why);
	}
	set_name(endpoint, ENDPOINT_SRV, name, len);
	return 0;
}

/* Anything but names is left to address_parse, which knows best what is wrong with it. */
static bool
is_host(const char *string)
{
	size_t len = strcspn(string, ":");

	return strncmp(string, UNIX_PREFIX, strlen(UNIX_PREFIX)) != 0 && string[len] == ':' &&
	       strchr(string + len + 1, ':') == NULL && is_name(string, len);
}

static int
parse_host(const char *string, struct endpoint *endpoint, struct fault *why)
{
	size_t len = strcspn(string, ":");
	in_port_t port;
	int error = address_parse_port(string + len + 1, &port, why);

	if (error == 0) {
		set_name(endpoint, ENDPOINT_HOST, string, len);
		endpoint->port = ntohs(port);
	}
	return error;
}

/* Something before a single colon that is no address by its letters. */
static bool
is_meant_as_host(const char *string, size_t len)
{
	return strncmp(string, UNIX_PREFIX, strlen(UNIX_PREFIX)) != 0 && string[0] != '[' &&
	       string[len] == ':' && strchr(string + len + 1, ':') == NULL &&
	       strspn(string, DIGITS ".*") < len;
}

/* Names with something wrong about them. @return 0: it is none, but an address, good or bad */
static int
refuse_form(const char *string, struct fault *why)
{
	size_t len = strlen(string), host_len = strcspn(string, ":");
	const char *end = strchr(string, ']');

	if (strncmp(string + host_len, "://", 3) == 0 &&
		strncmp(string, UNIX_PREFIX, strlen(UNIX_PREFIX)) != 0) {
		return fault_say(why, EINVAL,
			"a URL; allowed: " ALLOWED_FORMS
			"; hint: write its host and its port alone");
	}
	if (is_name(string, len)) {
		return fault_say(why, EINVAL,
			"'%s' has no port; hint: write '%s:80', or 'srv:%s' for a name whose SRV "
			"records say the ports",
			string, string, string);
	}
	if (string[0] == '[' && end != NULL && is_name(string + 1, (size_t)(end - string) - 1)) {
		return fault_say(why, EINVAL,
			"a name in brackets; allowed: " ALLOWED_FORMS "; hint: write '%.*s:PORT'",
			(int)(end - string) - 1, string + 1);
	}
	return is_meant_as_host(string, host_len) ? refuse_name(string, host_len, why) : 0;
}

int
endpoint_parse(const char *string, struct endpoint *endpoint, struct fault *why)
{
	struct endpoint parsed;
	int error;

	memset(&parsed, 0, sizeof(parsed));
	if (strncmp(string, SRV_PREFIX, strlen(SRV_PREFIX)) == 0) {
		error = parse_srv(string + strlen(SRV_PREFIX), &parsed, why);
	} else if (is_host(string)) {
		error = parse_host(string, &parsed, why);
	} else {
		error = refuse_form(string, why);
		if (error == 0) {
			parsed.kind = ENDPOINT_ADDRESS;
			error = address_parse(string, &parsed.address, why);
		}
	}
	if (error == 0) {
		*endpoint = parsed;
	}
	return error;
}

const char *
endpoint_format(const struct endpoint *endpoint, char buffer[ENDPOINT_TEXT_MAX])
{
	static_assert(ENDPOINT_TEXT_MAX >= ADDRESS_TEXT_MAX, "every kind fits");

	switch (endpoint->kind) {
	case ENDPOINT_ADDRESS:
		return address_format(&endpoint->address, buffer);
	case ENDPOINT_HOST:
		(void)snprintf(buffer, ENDPOINT_TEXT_MAX, "%s:%u", endpoint->name,
			(unsigned)endpoint->port);
		return buffer;
	case ENDPOINT_SRV:
		(void)snprintf(buffer, ENDPOINT_TEXT_MAX, SRV_PREFIX "%s", endpoint->name);
		return buffer;
	default:
		(void)snprintf(buffer, ENDPOINT_TEXT_MAX, "none");
		return buffer;
	}
}

bool
endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	if (a->kind != b->kind) {
		return false;
	}
	if (a->kind == ENDPOINT_ADDRESS) {
		return address_equal(&a->address, &b->address);
	}
	return a->port == b->port && strcasecmp(a->name, b->name) == 0;
}

bool
endpoint_is_name(const struct endpoint *endpoint)
{
	return endpoint->kind == ENDPOINT_HOST || endpoint->kind == ENDPOINT_SRV;
}
