/* Nothing the monitor says is trusted further than this: an address of TCP, the port that the
 * configuration gives, and none of our own listeners that would lead back here. */
#include "master/names.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/board.h"
#include "common/channel.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/log.h"
#include "common/text.h"
#include "master/backends.h"
#include "master/master.h"
#include "master/placing.h"

#define SHOWN_MAX           4 /* addresses of one sentence */
#define REFUSED_INTERVAL_MS 60000

/* One name and its rows, for as long as one answer is dealt with. */
struct name {
	struct master *master;
	const struct upstream_config *upstream;
	const struct upstream_server_config *server;
	char text[ENDPOINT_TEXT_MAX]; /* as it is written */
	size_t count;                 /* of places */
	int rows[CONFIG_PLACES_MAX];
	struct board_lookup *lookup;
	struct board_place places[CONFIG_PLACES_MAX];
};

static void
name_init(struct name *name, struct master *master, size_t server)
{
	struct board *board = &master->board;
	char row_name[CONFIG_ROW_NAME_MAX];
	int upstream;

	memset(name, 0, sizeof(*name));
	name->master = master;
	name->upstream = config_upstream_of(master->config, server);
	name->server = &master->config->servers[server];
	name->count = config_server_rows(name->server);
	(void)endpoint_format(&name->server->where, name->text);
	upstream = board_find_upstream(board, name->upstream->name);
	for (size_t i = 0; i < name->count; i++) {
		name->rows[i] = board_find_server(
			board, upstream, config_row_name(name->server, i, row_name));
		board_read_place(board, name->rows[i], &name->places[i]);
	}
	name->lookup = &board->writable->servers[name->rows[0]].lookup;
}

/* --- what may be used of an answer --- */

static bool
is_unicast(const struct board_place *place)
{
	const struct in6_addr *host = &place->host;
	uint32_t in4;

	if (!IN6_IS_ADDR_V4MAPPED(host)) {
		return !IN6_IS_ADDR_UNSPECIFIED(host) && !IN6_IS_ADDR_MULTICAST(host) &&
		       !IN6_IS_ADDR_LINKLOCAL(host) && !IN6_IS_ADDR_V4COMPAT(host);
	}
	memcpy(&in4, &host->s6_addr[12], sizeof(in4));
	in4 = ntohl(in4);
	return in4 >> IN_CLASSA_NSHIFT != 0 && !IN_MULTICAST(in4) && in4 != INADDR_BROADCAST;
}

/* @return why it cannot be used; NULL: it can */
static const char *
fault_of(const struct name *name, const struct board_place *place, char buffer[128])
{
	const struct listener_config *listener;
	struct address address;

	if (!is_unicast(place)) {
		return "it is not the address of one machine that can be reached from here";
	}
	if (place->port == 0 || (name->server->where.kind == ENDPOINT_HOST &&
					place->port != name->server->where.port)) {
		return "its port is not the one to use";
	}
	board_place_address(place, &address);
	listener = backends_find_loop(name->master->config, name->upstream, &address);
	if (listener != NULL) {
		(void)snprintf(buffer, 128,
			"it is listener %s itself, which would connect to itself without end",
			listener->name);
		return buffer;
	}
	return NULL;
}

static void
tell_refused(const struct name *name, const struct board_place *place, const char *reason)
{
	static struct log_limit limit;
	char text[ADDRESS_TEXT_MAX], more[64] = "";
	struct address address;
	uint64_t suppressed;

	stat_add(&name->master->board.writable->stats[STAT_MASTER_addresses_refused], 1);
	if (!log_limit_allows(&limit, REFUSED_INTERVAL_MS, &suppressed)) {
		return;
	}
	if (suppressed > 0) {
		(void)snprintf(more, sizeof(more), " (%" PRIu64 " more were not told)", suppressed);
	}
	board_place_address(place, &address);
	master_event(name->master, LOG_LEVEL_WARNING,
		"upstream %s: %s of the answer for %s is not used: %s; correct the records of that "
		"name%s",
		name->upstream->name, address_format(&address, text), name->text, reason, more);
}

static bool
is_in(const struct board_place *places, size_t count, const struct board_place *place)
{
	for (size_t i = 0; i < count; i++) {
		if (board_place_equal(&places[i], place)) {
			return true;
		}
	}
	return false;
}

/* @return how many were taken */
static size_t
take_usable(
	const struct name *name, const struct channel_answer *answer, struct board_place *usable)
{
	size_t count = 0;
	char buffer[128];

	for (size_t i = 0; i < answer->count; i++) {
		const struct board_place *place = &answer->places[i];
		const char *reason = fault_of(name, place, buffer);

		if (reason != NULL) {
			tell_refused(name, place, reason);
		} else if (!is_in(usable, count, place)) {
			usable[count] = *place;
			memset(usable[count].reserved, 0, sizeof(usable[count].reserved));
			if (place->weight > CONFIG_WEIGHT_MAX) {
				usable[count].weight = CONFIG_WEIGHT_MAX;
			}
			count++;
		}
	}
	return count;
}

/* --- what is told --- */

/* "10.0.0.7:80, 10.0.0.9:80 and 3 more"; "nothing" */
static const char *
list_places(const struct board_place *places, uint64_t which, char *buffer, size_t size)
{
	char shown[ADDRESS_TEXT_MAX];
	struct address address;
	struct text text;
	size_t count = 0;

	text_init(&text, buffer, size);
	for (size_t i = 0; i < CONFIG_PLACES_MAX; i++) {
		if ((which >> i & 1) == 0 || ++count > SHOWN_MAX) {
			continue;
		}
		board_place_address(&places[i], &address);
		text_add(&text, "%s%s", count > 1 ? ", " : "", address_format(&address, shown));
	}
	if (count > SHOWN_MAX) {
		text_add(&text, " and %zu more", count - SHOWN_MAX);
	}
	return count == 0 ? "nothing" : buffer;
}

static uint64_t
places_in_use(const struct name *name)
{
	uint64_t which = 0;

	for (size_t i = 0; i < name->count; i++) {
		which |= name->places[i].state == BOARD_PLACE_HELD ? UINT64_C(1) << i : 0;
	}
	return which;
}

/* @param before  what was in the places */
static void
tell_change(
	const struct name *name, const struct placing *placing, const struct board_place *before)
{
	char now[512], gone[512];

	if (placing->left != 0) {
		master_event(name->master, LOG_LEVEL_NOTICE,
			"upstream %s: %s is now %s; no more clients for %s, whose sessions go on",
			name->upstream->name, name->text,
			list_places(name->places, places_in_use(name), now, sizeof(now)),
			list_places(before, placing->left, gone, sizeof(gone)));
	} else if (placing->fresh != 0) {
		master_event(name->master, LOG_LEVEL_NOTICE, "upstream %s: %s is now %s",
			name->upstream->name, name->text,
			list_places(name->places, places_in_use(name), now, sizeof(now)));
	}
}

/* Once for each number, not with each answer. */
static void
tell_surplus(const struct name *name, uint64_t found, uint64_t taken)
{
	if (found <= taken || (stat_get(&name->lookup->found) == found &&
				      stat_get(&name->lookup->taken) == taken)) {
		return;
	}
	if (taken < name->count) {
		return; /* those that are missing were refused, which was told */
	}
	master_event(name->master, LOG_LEVEL_WARNING,
		"upstream %s: %s has %" PRIu64 " addresses, of which %" PRIu64
		" are used; raise 'addresses' of this server (at most %d) to use more",
		name->upstream->name, name->text, found, taken, CONFIG_PLACES_MAX);
}

static const char *const failures[LOOKUP_COUNT] = {
	[LOOKUP_DONE] = "no usable address in the answer",
	[LOOKUP_NO_NAME] = "there is no such name",
	[LOOKUP_NO_ADDRESS] = "the name has no address",
	[LOOKUP_NO_RECORD] = "the name has no SRV record that offers the service",
	[LOOKUP_TIMEOUT] = "no answer in time",
	[LOOKUP_REFUSED] =
		"no DNS server can be reached there, or each failed or refused to answer",
	[LOOKUP_BAD_ANSWER] = "an answer that makes no sense",
	[LOOKUP_NO_MEMORY] = "out of memory",
	[LOOKUP_OTHER] = "the lookup could not be made",
};

static void
tell_failure(const struct name *name, const struct channel_answer *answer)
{
	int64_t answered_ms = (int64_t)stat_get(&name->lookup->answered_ms);
	uint64_t in_use = places_in_use(name);
	char asked[512], goes_on[512], age[64];
	struct text text;

	text_init(&text, asked, sizeof(asked));
	text_add_printable(&text, answer->asked, strlen(answer->asked));
	text_init(&text, age, sizeof(age));
	text_add_span_ms(&text, clock_monotonic_ms() - answered_ms);
	if (in_use == 0) {
		master_event(name->master, LOG_LEVEL_WARNING,
			"upstream %s: cannot look up %s: %s (asked: %s); it has no address yet and "
			"gets no clients; it is asked for again and again",
			name->upstream->name, name->text, failures[answer->failure], asked);
		return;
	}
	master_event(name->master, LOG_LEVEL_WARNING,
		"upstream %s: cannot look up %s: %s (asked: %s); in use stays %s, the answer of %s "
		"ago; "
		"it is asked for again and again",
		name->upstream->name, name->text, failures[answer->failure], asked,
		list_places(name->places, in_use, goes_on, sizeof(goes_on)), age);
}

/* --- an answer --- */

static void
put_in_place(struct name *name, const struct board_place *usable, size_t count)
{
	struct board *board = &name->master->board;
	struct board_place before[CONFIG_PLACES_MAX];
	uint64_t held[CONFIG_PLACES_MAX];
	struct placing placing;

	memcpy(before, name->places, sizeof(before));
	for (size_t i = 0; i < name->count; i++) {
		held[i] = board_server_held(board, name->rows[i]);
	}
	placing = placing_decide(name->places, held, name->count, usable, count);
	for (size_t i = 0; i < name->count; i++) {
		bool is_fresh = (placing.fresh >> i & 1) != 0;

		if ((placing.changed >> i & 1) != 0) {
			board_write_place(board, name->rows[i], &name->places[i], is_fresh);
		}
		if (is_fresh) {
			backends_forget(board, name->rows[i]);
			stat_add(&board->writable->stats[STAT_MASTER_addresses_changed], 1);
		}
	}
	tell_change(name, &placing, before);
}

/* A server that refuses to say whether there are IPv6 addresses does so each time: told once. */
static void
note_part(const struct name *name, const struct channel_answer *answer)
{
	char asked[512];
	struct text text;
	bool is_partial = answer->failure != LOOKUP_DONE;

	if (is_partial && atomic_load(&name->lookup->is_partial) == 0) {
		text_init(&text, asked, sizeof(asked));
		text_add_printable(&text, answer->asked, strlen(answer->asked));
		master_event(name->master, LOG_LEVEL_WARNING,
			"upstream %s: a part of the answer for %s is missing: %s (asked: %s); the "
			"addresses that came are used; if there are only IPv4 or only IPv6 ones, "
			"set dns.family",
			name->upstream->name, name->text, failures[answer->failure], asked);
	}
	atomic_store(&name->lookup->is_partial, is_partial ? 1 : 0);
}

static void
note_success(const struct name *name, const struct channel_answer *answer)
{
	if (atomic_load(&name->lookup->state) == BOARD_LOOKUP_FAILING) {
		master_event(name->master, LOG_LEVEL_NOTICE,
			"upstream %s: %s can be looked up again", name->upstream->name, name->text);
	}
	note_part(name, answer);
	stat_set(&name->lookup->answered_ms, (uint64_t)clock_monotonic_ms());
	stat_set(&name->lookup->failing_ms, 0);
	atomic_store(&name->lookup->state, BOARD_LOOKUP_ANSWERED);
}

/* Told when it begins. */
static void
note_failure(const struct name *name, const struct channel_answer *answer)
{
	stat_add(&name->master->board.writable->stats[STAT_MASTER_lookups_failed], 1);
	if (atomic_load(&name->lookup->state) == BOARD_LOOKUP_FAILING) {
		return;
	}
	tell_failure(name, answer);
	stat_set(&name->lookup->failing_ms, (uint64_t)clock_monotonic_ms());
	atomic_store(&name->lookup->state, BOARD_LOOKUP_FAILING);
}

int
names_take(struct master *master, const struct channel_answer *answer)
{
	const struct config *config = master->config;
	struct board_place usable[CHANNEL_PLACES_MAX];
	struct name name;
	size_t count;

	if (answer->generation != master->generation) {
		return 0; /* of a configuration that is no longer in force */
	}
	if (answer->server >= config->server_count ||
		!endpoint_is_name(&config->servers[answer->server].where) ||
		answer->count > config_server_rows(&config->servers[answer->server])) {
		return -EPROTO;
	}
	name_init(&name, master, answer->server);
	stat_add(&master->board.writable->stats[STAT_MASTER_lookups], 1);
	stat_set(&name.lookup->next_ms, (uint64_t)(clock_monotonic_ms() + answer->next_ms));
	count = take_usable(&name, answer, usable);
	if (count > 0) {
		put_in_place(&name, usable, count);
		tell_surplus(&name, answer->found, count);
		stat_set(&name.lookup->found, answer->found);
		stat_set(&name.lookup->taken, count);
		note_success(&name, answer);
	} else {
		note_failure(&name, answer);
	}
	return 0;
}

/* --- configuration --- */

static void
forget_name(struct board *board, int row)
{
	const struct board_place empty = {.state = BOARD_PLACE_EMPTY};

	board_write_place(board, row, &empty, true);
	board_forget_lookup(board, row);
	backends_forget(board, row);
}

void
names_use_row(
	struct board *board, int row, const struct upstream_server_config *config, size_t index)
{
	struct board_server_head *head = &board->writable->servers[row];
	char asked[ENDPOINT_TEXT_MAX] = "";

	if (endpoint_is_name(&config->where)) {
		(void)endpoint_format(&config->where, asked);
	}
	if (strcasecmp(asked, head->asked) != 0) {
		(void)snprintf(head->asked, sizeof(head->asked), "%s", asked);
		forget_name(board, row);
	}
	head->place = asked[0] != '\0' ? (int32_t)index + 1 : 0;
}
