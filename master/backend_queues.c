/* Only addresses that are in the configuration, or in the places of its names, are asked about;
 * what the kernel does not tell is not known, and never guessed. */
#include "master/backend_queues.h"

#include <inttypes.h>

#include "common/board.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/log.h"
#include "common/sock_diag.h"
#include "master/master.h"

/* The two numbers of the last warning, of the name that had the row in that life. */
static struct told {
	uint32_t life;
	uint64_t declared, limit;
} tolds[BOARD_SERVERS];

static void
compare(struct master *master, struct board_server_head *head, struct told *told, uint64_t limit)
{
	uint64_t declared = stat_get(&head->configured_backlog);
	uint32_t life = atomic_load(&head->lives);

	if (declared <= limit || told->life != life) {
		*told = (struct told){.life = life};
	}
	if (declared <= limit) {
		return;
	}
	if (told->declared == declared && told->limit == limit) {
		return;
	}
	*told = (struct told){life, declared, limit};
	master_event(master, LOG_LEVEL_WARNING,
		"back end %s/%s: backlog = %" PRIu64
		" is declared, but its accept queue holds %" PRIu64
		", as the kernel says: pacing cannot protect it; declare backlog = %" PRIu64
		", or raise it there (what it asks of listen(2), and net.core.somaxconn)",
		master->board.master->upstreams[head->upstream].name, head->name, declared, limit,
		limit);
}

static void
look_at(struct master *master, int row, const struct address *address)
{
	struct board_server_head *head = &master->board.writable->servers[row];
	uint64_t sampled_ms = (uint64_t)clock_monotonic_ms();
	struct sock_diag_queue queue;
	bool is_known = sock_diag_listener(address, &queue) == 0;

	if (is_known) {
		stat_set(&head->queue_depth, queue.depth);
		stat_set(&head->queue_dropped, queue.dropped_segments);
	}
	atomic_store(&head->queue_limit, is_known ? (uint64_t)queue.limit + 1 : 0);
	atomic_store(&head->queue_sampled_ms, sampled_ms);
	if (is_known) {
		compare(master, head, &tolds[row], queue.limit);
	}
}

/* Who is not asked about any more is not known any more. */
static void
forget_the_removed(struct board_master *board)
{
	for (int row = 0; row < BOARD_SERVERS; row++) {
		if (!atomic_load(&board->servers[row].is_configured)) {
			stat_set(&board->servers[row].queue_limit, 0);
		}
	}
}

/* A name has a row for each of its places. */
static void
look_at_server(struct master *master, int upstream_row, const struct upstream_server_config *server)
{
	size_t rows = config_server_rows(server);
	char name[CONFIG_ROW_NAME_MAX];

	for (size_t i = 0; i < rows; i++) {
		int row = board_find_server(
			&master->board, upstream_row, config_row_name(server, i, name));
		struct address address = server->where.address;
		struct board_place place;

		if (row < 0) {
			continue;
		}
		if (!board_server_is_open(&master->board, row)) {
			stat_set(&master->board.writable->servers[row].queue_limit, 0);
			continue;
		}
		board_read_place(&master->board, row, &place);
		if (place.state == BOARD_PLACE_HELD) {
			board_place_address(&place, &address);
		}
		look_at(master, row, &address);
	}
}

void
backend_queues_look(struct master *master)
{
	const struct config *config = master->config;

	forget_the_removed(master->board.writable);
	for (size_t i = 0; i < config->upstream_count; i++) {
		const struct upstream_config *upstream = &config->upstreams[i];
		int upstream_row = board_find_upstream(&master->board, upstream->name);

		for (size_t k = 0; k < upstream->server_count; k++) {
			look_at_server(master, upstream_row, &upstream->servers[k]);
		}
	}
}
