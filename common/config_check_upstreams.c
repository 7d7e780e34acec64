/* Contradictions within and between upstreams, and between them and the listeners: what would
 * serve nobody, or the server itself. Pure. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "common/config_private.h"

#define UNNAMED_MAX    120 /* what a row of the statistics has room for, and the number of a place */
#define PLACES_DEFAULT 8   /* of the schema */

struct check {
	const struct config *config;
	struct findings *findings;
};

static void __attribute__((format(printf, 4, 5)))
complain(const struct check *check, int element, const char *path, const char *format, ...)
{
	struct config_origin origin = config_origin_of(check->config, element, path);
	char full[CONFIG_PATH_MAX];
	char sentence[768];
	va_list args;

	if (origin.file == NULL) {
		origin = *config_element_origin(check->config, element);
	}
	va_start(args, format);
	(void)vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	findings_add(check->findings, FINDING_FILE, &origin, "%s: %s",
		config_path_of(check->config, element, path, full), sentence);
}

static int
server_element(const struct check *check, const struct upstream_server_config *server)
{
	return config_server_element(check->config, (size_t)(server - check->config->servers));
}

static void
check_upstream_name(const struct check *check, size_t index)
{
	const struct upstream_config *upstreams = check->config->upstreams;
	int element = config_upstream_element(check->config, index);
	const char *name = upstreams[index].name;

	if (name == NULL) {
		return;
	}
	if (!config_is_name(name)) {
		complain(check, element, "name",
			"not a name; allowed: a letter or '_', then letters, digits, '_' and '-'");
	}
	if (config_upstream(check->config, name) != &upstreams[index]) {
		complain(check, element, "name",
			"another upstream has this name; hint: listeners, statistics and reload "
			"tell upstreams apart by their names");
	}
}

static bool
is_same_server(const struct upstream_server_config *a, const struct upstream_server_config *b)
{
	if (a->name[0] != '\0' || b->name[0] != '\0') {
		return strcmp(a->name, b->name) == 0;
	}
	return a->where.kind != ENDPOINT_NONE && endpoint_equal(&a->where, &b->where);
}

static bool
is_wildcard(const struct address *address)
{
	switch (address->any.sa_family) {
	case AF_INET:
		return address->in4.sin_addr.s_addr == htonl(INADDR_ANY);
	case AF_INET6:
		return IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr);
	default:
		return false;
	}
}

/* Of this machine on any machine. */
static bool
is_loopback(const struct address *address)
{
	switch (address->any.sa_family) {
	case AF_INET:
		return ntohl(address->in4.sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&address->in6.sin6_addr);
	default:
		return false;
	}
}

static void
check_address(const struct check *check, const struct upstream_config *upstream,
	const struct upstream_server_config *server)
{
	const struct address *address = &server->where.address;
	const struct listener_config *listener;
	char text[ADDRESS_TEXT_MAX];

	if (is_wildcard(address)) {
		complain(check, server_element(check, server), "address",
			"every address is none to connect to; hint: give the address of the back "
			"end, as \"127.0.0.1:%u\"",
			address_port(address));
		return;
	}
	listener = config_find_loop(check->config, upstream, address, is_loopback(address));
	if (listener != NULL) {
		complain(check, server_element(check, server), "address",
			"%s is listener %s itself, which would connect to itself "
			"without end; hint: give the address of the back end",
			address_format(address, text),
			listener->name != NULL ? listener->name : "?");
	}
}

#ifdef HAVE_CARES
static const bool can_resolve = true;
#else
static const bool can_resolve = false;
#endif

static void
check_dns_name(const struct check *check, const struct upstream_server_config *server)
{
	int element = server_element(check, server);
	char name[ENDPOINT_TEXT_MAX];

	if (!can_resolve) {
		complain(check, element, "address",
			"%s is a name, and this acceptd was built without c-ares, which would look "
			"it up; hint: write an address",
			endpoint_format(&server->where, name));
	}
	if (server->name[0] == '\0' &&
		strlen(endpoint_format(&server->where, name)) > UNNAMED_MAX) {
		complain(check, element, "address",
			"a name of more than %d characters in logs and statistics; hint: give the "
			"server a short one, as name = \"java\"",
			UNNAMED_MAX);
	}
	if (server->where.kind == ENDPOINT_SRV && server->weight != 1) {
		complain(check, element, "weight",
			"no effect, for SRV records say the weights; hint: remove it");
	}
}

static void
check_server(const struct check *check, const struct upstream_config *upstream,
	const struct upstream_server_config *server)
{
	int element = server_element(check, server);

	if (server->name[0] != '\0' && !config_is_name(server->name)) {
		complain(check, element, "name",
			"not a name; allowed: \"\", or a letter or '_', then letters, digits, '_' "
			"and '-'");
	}
	for (const struct upstream_server_config *other = upstream->servers; other < server;
		other++) {
		if (is_same_server(other, server)) {
			complain(check, element, server->name[0] != '\0' ? "name" : "address",
				"another server of this upstream has it too; hint: remove one of "
				"them, or give it a name of its own and raise its weight");
			break;
		}
	}
	if (server->where.kind == ENDPOINT_ADDRESS) {
		check_address(check, upstream, server);
	} else if (endpoint_is_name(&server->where)) {
		check_dns_name(check, server);
	}
	if (server->where.kind == ENDPOINT_ADDRESS && server->addresses != PLACES_DEFAULT) {
		complain(check, element, "addresses", "no effect, for address is not a name");
	}
}

static void
check_servers(const struct check *check, size_t index)
{
	const struct upstream_config *upstream = &check->config->upstreams[index];
	bool is_usable = upstream->server_count == 0; /* which was told already */
	size_t rows = 0;

	for (size_t i = 0; i < upstream->server_count; i++) {
		check_server(check, upstream, &upstream->servers[i]);
		is_usable = is_usable || upstream->servers[i].weight > 0;
		rows += config_server_rows(&upstream->servers[i]);
	}
	if (rows > CONFIG_SERVERS_MAX) {
		complain(check, config_upstream_element(check->config, index), "servers",
			"%zu servers, counting the addresses of each name; allowed: up to %d; "
			"hint: lower 'addresses' of the names",
			rows, CONFIG_SERVERS_MAX);
	}
	if (!is_usable) {
		complain(check, config_upstream_element(check->config, index), "servers",
			"every server has weight 0, so that nobody would be served; hint: give one "
			"of them a weight of 1 or more");
	}
}

static void
check_sources(const struct check *check, size_t index)
{
	const struct upstream_config *upstream = &check->config->upstreams[index];
	char text[NETWORK_TEXT_MAX];

	for (size_t i = 0; i < upstream->sources.count; i++) {
		if (upstream->sources.items[i].bits != 128) {
			complain(check, config_upstream_element(check->config, index), "sources",
				"%s is a network; hint: give each address of this machine by "
				"itself",
				network_format(&upstream->sources.items[i], text));
		}
	}
}

static void
check_expectation(const struct check *check, size_t index)
{
	const struct upstream_config *upstream = &check->config->upstreams[index];

	if (upstream->check.send[0] != '\0' && upstream->check.expect[0] == '\0') {
		complain(check, config_upstream_element(check->config, index), "check.send",
			"it would be sent and no answer waited for; hint: say in check.expect what "
			"the answer begins with");
	}
}

static void
check_user(const struct check *check, int index)
{
	const struct listener_config *listener = &check->config->listeners[index];

	if (listener->protocol == PROTOCOL_proxy && listener->upstream[0] == '\0') {
		complain(check, index, "upstream",
			"must be given, for protocol is \"proxy\"; hint: the name of an element of "
			"'upstreams'");
	} else if (listener->protocol != PROTOCOL_proxy && listener->upstream[0] != '\0') {
		complain(check, index, "upstream", "no effect, for protocol is not \"proxy\"");
	} else if (listener->upstream[0] != '\0' &&
		   config_upstream(check->config, listener->upstream) == NULL) {
		complain(check, index, "upstream",
			"there is no upstream of this name; got \"%s\"; hint: add it to "
			"'upstreams'",
			listener->upstream);
	}
}

/* Those that are asked for names. */
static void
check_dns_servers(const struct check *check)
{
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < check->config->dns.servers.count; i++) {
		const struct address *address = &check->config->dns.servers.items[i];

		if (address->any.sa_family == AF_UNIX || is_wildcard(address)) {
			complain(check, CONFIG_TOP, "dns.servers",
				"%s is not the address of a DNS server; hint: write it as "
				"\"10.0.0.2:53\"",
				address_format(address, text));
		}
	}
}

void
config_check_upstreams(const struct config *config, struct findings *findings)
{
	const struct check check = {config, findings};

	check_dns_servers(&check);
	for (size_t i = 0; i < config->upstream_count; i++) {
		check_upstream_name(&check, i);
		check_servers(&check, i);
		check_sources(&check, i);
		check_expectation(&check, i);
	}
	for (int i = 0; i < (int)config->listener_count; i++) {
		check_user(&check, i);
	}
}
