/* A worker in the wrong hands can name any source it likes, but only at the price of its life, and
 * lives are rationed by the back-off. */
#include "master/penalty.h"

#include <string.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/log.h"
#include "common/text.h"
#include "master/master.h"

static bool
is_loopback(const struct in6_addr *address)
{
	return IN6_IS_ADDR_V4MAPPED(address) ? address->s6_addr[12] == 127
					     : IN6_IS_ADDR_LOOPBACK(address);
}

static bool
is_in(const struct network_list *networks, const union peer *peer)
{
	for (size_t i = 0; i < networks->count; i++) {
		if (network_contains(&networks->items[i], peer)) {
			return true;
		}
	}
	return false;
}

bool
penalty_applies(
	const struct config *config, const struct listener_config *listener, const union peer *peer)
{
	struct in6_addr address;

	return config->crash_penalty_ms != CONFIG_NONE && network_address_of(peer, &address) &&
	       !is_loopback(&address) && !is_in(&config->crash_penalty_exempt, peer) &&
	       (listener == NULL || !is_in(&listener->trusted, peer));
}

static bool
networks_meet(const struct network *a, const struct network *b)
{
	union peer in_a = {.in6 = {.sin6_family = AF_INET6, .sin6_addr = a->prefix}};
	union peer in_b = {.in6 = {.sin6_family = AF_INET6, .sin6_addr = b->prefix}};

	return network_contains(a, &in_b) || network_contains(b, &in_a);
}

/* A /64 is spared together with one address of it. */
static bool
is_spared(const struct network_list *networks, const struct source *source)
{
	struct network network;

	source_network(source, &network);
	for (size_t i = 0; i < networks->count; i++) {
		if (networks_meet(&networks->items[i], &network)) {
			return true;
		}
	}
	return false;
}

void
penalty_review(struct master *master)
{
	const struct config *config = master->config;

	for (int row = 0; row < BOARD_PENALTIES; row++) {
		const struct listener_config *listener;
		struct source source;

		if (board_read_penalty(&master->board, row, 0, &source) == 0) {
			continue;
		}
		listener = config_listener(
			config, master->board.master->listeners[source.listener].name);
		if (config->crash_penalty_ms == CONFIG_NONE ||
			is_spared(&config->crash_penalty_exempt, &source) ||
			(listener != NULL && is_spared(&listener->trusted, &source))) {
			board_lift_penalty(&master->board, &source);
		}
	}
}

static void
penalty_tell(struct master *master, const struct source *source)
{
	char name[SOURCE_TEXT_MAX], span[32];
	struct text text;

	text_init(&text, span, sizeof(span));
	text_add_duration_ms(&text, master->config->crash_penalty_ms);
	master_event(master, LOG_LEVEL_WARNING,
		"listener %s: clients of %s are refused for %s (crash_penalty): a worker crashed "
		"while it served one of them; if many share that address, as behind a balancer, "
		"put it in crash_penalty_exempt and reload",
		master->board.master->listeners[source->listener].name, source_format(source, name),
		span);
}

void
penalty_impose(struct master *master, const struct board_crash *crash)
{
	const struct config *config = master->config;
	struct source source;
	const char *name;

	if (atomic_load_explicit(&crash->is_written, memory_order_relaxed) == 0 ||
		crash->listener < 0 || crash->listener >= BOARD_LISTENERS) {
		return;
	}
	name = master->board.master->listeners[crash->listener].name;
	if (name[0] == '\0' ||
		!penalty_applies(config, config_listener(config, name), &crash->peer) ||
		!source_of(&master->board.master->source_key, &crash->peer, crash->listener,
			&source)) {
		return;
	}
	board_penalise(&master->board, &source, clock_monotonic_ms() + config->crash_penalty_ms);
	penalty_tell(master, &source);
}
