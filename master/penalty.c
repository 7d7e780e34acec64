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
		"put it in crash_penalty_exempt",
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
