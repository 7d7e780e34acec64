/* c-ares says which sockets it waits on and for how long; libev waits. Callbacks of c-ares come in
 * the middle of its work, so they only note what came; the end is looked for when it is through. */
#include "monitor/lookup.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/loop.h"
#include "common/text.h"
#include "monitor/srv.h"

#define SOCKETS_MAX 64 /* a few for each DNS server; what is beyond them runs into the timeout */
#define RECORDS_MAX CONFIG_PLACES_MAX
#define TRIES       2
/* The first try of a server gets a quarter of the time, the second one twice as much. */
#define TRY_SHARE 4
#define MS_MAX    3600000
#define SHOWN_MAX 2
#define DNS_PORT  53

/* One question for addresses. */
struct part {
	struct lookup *lookup;
	unsigned family; /* enum answer_family */
	uint16_t port, priority, weight;
	bool is_in_file;
};

struct lookup_socket {
	struct lookup *lookup;
	ev_io watcher; /* fd -1: free */
};

struct lookup {
	struct ev_loop *loop;
	ares_channel files; /* asks /etc/hosts alone, and answers at once */
	ares_channel channel;
	unsigned families; /* that are wanted */
	struct answer answer;
	void (*on_done)(struct lookup *lookup, void *owner);
	void *owner;
	unsigned outstanding;
	bool is_late;
	struct loop_timer clock;    /* what c-ares waits for */
	struct loop_timer patience; /* the end of all */
	struct lookup_socket sockets[SOCKETS_MAX];
	struct part parts[2 * RECORDS_MAX];
	size_t part_count;
	struct srv_record records[RECORDS_MAX];
};

/* --- waiting --- */

/* After each piece of work: is it over, and if not, how long may it sleep? */
static void
lookup_rest(struct lookup *lookup)
{
	struct timeval longest = {.tv_sec = MS_MAX / 1000}, room;
	const struct timeval *wait;

	if (lookup->outstanding == 0) {
		loop_timer_stop(lookup->loop, &lookup->clock);
		loop_timer_stop(lookup->loop, &lookup->patience);
		lookup->on_done(lookup, lookup->owner);
		return;
	}
	wait = ares_timeout(lookup->channel, &longest, &room);
	loop_timer_start(lookup->loop, &lookup->clock,
		(int64_t)wait->tv_sec * 1000 + wait->tv_usec / 1000 + 1);
}

static void
lookup_on_clock(struct ev_loop *loop, struct loop_timer *timer)
{
	struct lookup *lookup = container_of(timer, struct lookup, clock);

	(void)loop;
	ares_process_fd(lookup->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	lookup_rest(lookup);
}

static void
lookup_on_patience(struct ev_loop *loop, struct loop_timer *timer)
{
	struct lookup *lookup = container_of(timer, struct lookup, patience);

	(void)loop;
	lookup->is_late = true;
	ares_cancel(lookup->channel); /* everything outstanding is called back */
	lookup_rest(lookup);
}

static void
lookup_on_socket(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct lookup *lookup = container_of(watcher, struct lookup_socket, watcher)->lookup;

	(void)loop;
	ares_process_fd(lookup->channel, (events & EV_READ) != 0 ? watcher->fd : ARES_SOCKET_BAD,
		(events & EV_WRITE) != 0 ? watcher->fd : ARES_SOCKET_BAD);
	lookup_rest(lookup);
}

static struct lookup_socket *
lookup_find_socket(struct lookup *lookup, int fd)
{
	for (size_t i = 0; i < SOCKETS_MAX; i++) {
		if (lookup->sockets[i].watcher.fd == fd) {
			return &lookup->sockets[i];
		}
	}
	return NULL;
}

/* ares_init_options(3), ARES_OPT_SOCK_STATE_CB; neither reading nor writing: it is to be closed. */
static void
lookup_on_socket_state(void *owner, ares_socket_t fd, int is_reading, int is_writing)
{
	struct lookup *lookup = owner;
	struct lookup_socket *socket = lookup_find_socket(lookup, fd);
	int events = (is_reading ? EV_READ : 0) | (is_writing ? EV_WRITE : 0);

	socket = socket != NULL ? socket : lookup_find_socket(lookup, -1);
	if (socket == NULL) {
		return;
	}
	ev_io_stop(lookup->loop, &socket->watcher);
	ev_io_set(&socket->watcher, events != 0 ? fd : -1, events);
	if (events != 0) {
		ev_io_start(lookup->loop, &socket->watcher);
	}
}

/* --- what came --- */

static enum channel_lookup
lookup_failure(const struct lookup *lookup, int status)
{
	switch (status) {
	case ARES_ENOTFOUND:
		return LOOKUP_NO_NAME;
	case ARES_ENODATA:
		return LOOKUP_NO_ADDRESS;
	case ARES_ETIMEOUT:
		return LOOKUP_TIMEOUT;
	case ARES_ECANCELLED:
		return lookup->is_late ? LOOKUP_TIMEOUT : LOOKUP_OTHER;
	case ARES_ESERVFAIL:
	case ARES_ENOTIMP:
	case ARES_EREFUSED:
	case ARES_ECONNREFUSED: /* when every server was tried, c-ares says this for any of them */
		return LOOKUP_REFUSED;
	case ARES_EBADRESP:
	case ARES_EFORMERR:
	case ARES_EOF:
		return LOOKUP_BAD_ANSWER;
	case ARES_ENOMEM:
		return LOOKUP_NO_MEMORY;
	default:
		return LOOKUP_OTHER;
	}
}

/* That there is nothing is an answer, and no failure as long as something else has an address. */
static bool
is_nothing(enum channel_lookup failure)
{
	return failure == LOOKUP_NO_NAME || failure == LOOKUP_NO_ADDRESS;
}

static void
lookup_take_addresses(const struct part *part, struct ares_addrinfo *info)
{
	struct answer *answer = &part->lookup->answer;

	for (const struct ares_addrinfo_cname *alias = info->cnames; alias != NULL;
		alias = alias->next) {
		answer_limit_ttl(answer, alias->ttl > 0 ? (uint32_t)alias->ttl : 0);
	}
	for (const struct ares_addrinfo_node *node = info->nodes; node != NULL;
		node = node->ai_next) {
		answer_limit_ttl(answer, node->ai_ttl > 0 ? (uint32_t)node->ai_ttl : 0);
		answer_add(answer, node->ai_addr, part->port, part->priority, part->weight);
	}
	ares_freeaddrinfo(info);
}

static void
lookup_on_addresses(void *owner, int status, int timeouts, struct ares_addrinfo *info)
{
	const struct part *part = owner;
	struct lookup *lookup = part->lookup;
	struct answer *answer = &lookup->answer;
	enum channel_lookup failure = lookup_failure(lookup, status);

	(void)timeouts;
	lookup->outstanding--;
	if (status == ARES_SUCCESS) {
		lookup_take_addresses(part, info);
	} else if (!is_nothing(failure)) {
		answer_fail(answer, failure, part->family);
	} else if (answer->failure == LOOKUP_DONE) {
		answer_fail(answer, failure, 0);
	}
}

/* What is not in the file is asked of DNS. */
static void
lookup_on_file(void *owner, int status, int timeouts, struct ares_addrinfo *info)
{
	struct part *part = owner;

	(void)timeouts;
	if (status == ARES_SUCCESS) {
		part->is_in_file = true;
		lookup_take_addresses(part, info);
	}
}

/* --- what is asked --- */

static int
family_number(unsigned family)
{
	switch (family) {
	case ANSWER_IPV4:
		return AF_INET;
	case ANSWER_IPV6:
		return AF_INET6;
	default:
		return AF_UNSPEC;
	}
}

static void
lookup_ask_at(
	ares_channel channel, const char *name, ares_addrinfo_callback on_answer, struct part *part)
{
	const struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT,
		.ai_family = family_number(part->family),
		.ai_socktype = SOCK_STREAM};

	ares_getaddrinfo(channel, name, NULL, &hints, on_answer, part);
}

static void
lookup_ask_family(struct lookup *lookup, const char *name, const struct part *like, unsigned family)
{
	struct part *part = &lookup->parts[lookup->part_count++];

	*part = *like;
	part->family = family;
	lookup->outstanding++;
	lookup_ask_at(lookup->channel, name, lookup_on_addresses, part);
}

/* Of a name in the file nothing else is asked, whichever family stands there. */
static void
lookup_ask_addresses(struct lookup *lookup, const char *name, const struct srv_record *record)
{
	struct part part = {.lookup = lookup,
		.family = lookup->families,
		.port = record->port,
		.priority = record->priority,
		.weight = record->weight};

	lookup_ask_at(lookup->files, name, lookup_on_file, &part);
	if (part.is_in_file) {
		return;
	}
	if ((lookup->families & ANSWER_IPV4) != 0) {
		lookup_ask_family(lookup, name, &part, ANSWER_IPV4);
	}
	if ((lookup->families & ANSWER_IPV6) != 0) {
		lookup_ask_family(lookup, name, &part, ANSWER_IPV6);
	}
}

/* @return what is wrong with it */
static enum channel_lookup
lookup_take_records(struct lookup *lookup, const unsigned char *message, int len)
{
	uint32_t ttl_s = 0;
	size_t found = 0;

	if (srv_parse(message, (size_t)len, lookup->records, RECORDS_MAX, &found, &ttl_s) != 0) {
		return LOOKUP_BAD_ANSWER;
	}
	if (found == 0) {
		return LOOKUP_NO_RECORD;
	}
	answer_limit_ttl(&lookup->answer, ttl_s);
	for (size_t i = 0; i < found && i < RECORDS_MAX; i++) {
		lookup_ask_addresses(lookup, lookup->records[i].target, &lookup->records[i]);
	}
	if (found > RECORDS_MAX) { /* each stands for one address at least */
		lookup->answer.found += found - RECORDS_MAX;
	}
	return LOOKUP_DONE;
}

static void
lookup_on_records(void *owner, int status, int timeouts, unsigned char *message, int len)
{
	struct lookup *lookup = owner;
	enum channel_lookup failure;

	(void)timeouts;
	if (status == ARES_SUCCESS) {
		failure = lookup_take_records(lookup, message, len);
	} else {
		failure = lookup_failure(lookup, status);
		failure = failure == LOOKUP_NO_ADDRESS ? LOOKUP_NO_RECORD : failure;
	}
	if (failure != LOOKUP_DONE) {
		answer_fail(&lookup->answer, failure, 0);
	}
	lookup->outstanding--;
}

static void
lookup_ask(struct lookup *lookup, const struct endpoint *endpoint)
{
	const struct srv_record plain = {.port = endpoint->port};

	if (endpoint->kind == ENDPOINT_SRV) {
		lookup->outstanding++;
		ares_query(lookup->channel, endpoint->name, ns_c_in, ns_t_srv, lookup_on_records,
			lookup);
	} else {
		lookup_ask_addresses(lookup, endpoint->name, &plain);
	}
}

/* --- birth and death --- */

static int
lookup_use_servers(struct lookup *lookup, const struct address_list *servers)
{
	char list[CONFIG_ADDRESSES_MAX * ADDRESS_TEXT_MAX], one[ADDRESS_TEXT_MAX];
	struct text text;

	text_init(&text, list, sizeof(list));
	for (size_t i = 0; i < servers->count; i++) {
		text_add(&text, "%s%s", i > 0 ? "," : "", address_format(&servers->items[i], one));
	}
	return servers->count == 0 ? ARES_SUCCESS
				   : ares_set_servers_ports_csv(lookup->channel, list);
}

/* Targets of SRV records are whole names: no domain of resolv.conf(5) is added. */
static int
lookup_open_channels(
	struct lookup *lookup, const struct config *config, const struct endpoint *endpoint)
{
	static char file[] = "f", dns[] = "b";
	struct ares_options options = {
		.flags = endpoint->kind == ENDPOINT_SRV ? ARES_FLAG_NOSEARCH : 0,
		.timeout = (int)(config->dns.timeout_ms / TRY_SHARE),
		.tries = TRIES,
		.lookups = file,
		.sock_state_cb = lookup_on_socket_state,
		.sock_state_cb_data = lookup,
	};
	const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
			 ARES_OPT_SOCK_STATE_CB;
	int status = ares_init_options(&lookup->files, &options, mask);

	if (status == ARES_SUCCESS) {
		options.lookups = dns;
		status = ares_init_options(&lookup->channel, &options, mask);
	}
	return status == ARES_SUCCESS ? lookup_use_servers(lookup, &config->dns.servers) : status;
}

static unsigned
families_of(const struct config *config)
{
	switch (config->dns.family) {
	case FAMILY_IPV4:
		return ANSWER_IPV4;
	case FAMILY_IPV6:
		return ANSWER_IPV6;
	default:
		return ANSWER_IPV4 | ANSWER_IPV6;
	}
}

struct lookup *
lookup_new(struct ev_loop *loop, const struct config *config, const struct endpoint *endpoint,
	void (*on_done)(struct lookup *lookup, void *owner), void *owner)
{
	struct lookup *lookup = calloc(1, sizeof(*lookup));

	if (lookup == NULL) {
		return NULL;
	}
	lookup->loop = loop;
	lookup->on_done = on_done;
	lookup->owner = owner;
	lookup->families = families_of(config);
	answer_init(&lookup->answer);
	loop_timer_init(&lookup->clock, lookup_on_clock);
	loop_timer_init(&lookup->patience, lookup_on_patience);
	for (size_t i = 0; i < SOCKETS_MAX; i++) {
		lookup->sockets[i].lookup = lookup;
		ev_io_init(&lookup->sockets[i].watcher, lookup_on_socket, -1, 0);
	}
	if (lookup_open_channels(lookup, config, endpoint) != ARES_SUCCESS) {
		lookup_free(&lookup);
		return NULL;
	}
	loop_timer_start(loop, &lookup->patience, config->dns.timeout_ms);
	lookup_ask(lookup, endpoint);
	loop_timer_start(loop, &lookup->clock, 0); /* what is known at once is told on the loop */
	return lookup;
}

void
lookup_free(struct lookup **lookup)
{
	struct lookup *freed = *lookup;

	*lookup = NULL;
	if (freed == NULL) {
		return;
	}
	loop_timer_stop(freed->loop, &freed->clock);
	loop_timer_stop(freed->loop, &freed->patience);
	if (freed->files != NULL) {
		ares_destroy(freed->files);
	}
	if (freed->channel != NULL) {
		ares_destroy(freed->channel); /* calls back for what is outstanding */
	}
	free(freed);
}

struct answer *
lookup_answer(struct lookup *lookup)
{
	return &lookup->answer;
}

const char *
lookup_asked(const struct lookup *lookup, char *buffer, size_t size)
{
	struct ares_addr_port_node *servers = NULL;
	char host[INET6_ADDRSTRLEN];
	struct text text;
	size_t count = 0;

	text_init(&text, buffer, size);
	if (ares_get_servers_ports(lookup->channel, &servers) != ARES_SUCCESS) {
		servers = NULL;
	}
	for (const struct ares_addr_port_node *server = servers; server != NULL;
		server = server->next) {
		if (count++ >= SHOWN_MAX) {
			continue;
		}
		(void)ares_inet_ntop(server->family, &server->addr, host, sizeof(host));
		text_add(&text, "%s%s%s%s:%d", count > 1 ? ", " : "",
			server->family == AF_INET6 ? "[" : "", host,
			server->family == AF_INET6 ? "]" : "",
			server->udp_port > 0 ? server->udp_port : DNS_PORT);
	}
	if (count > SHOWN_MAX) {
		text_add(&text, " and %zu more", count - SHOWN_MAX);
	}
	if (servers != NULL) {
		ares_free_data(servers);
	}
	return buffer;
}
