/* Each entry is one update between board_write_begin and board_write_end, so a reader sees all of
 * it or nothing. */
#include "worker/ledger.h"

#include "worker/service.h"
#include "worker/settings.h"

static void
show_open(struct service *service)
{
	stat_set(&service->slot->stats[STAT_WORKER_open], service->open);
}

void
ledger_open(const struct settings *settings)
{
	struct service *service = settings->service;
	struct board_listener_cells *cells = settings->cells;

	service->open++;
	memory_note(&service->memory, service->open);
	board_write_begin(service->slot);
	stat_add(&cells->stats[STAT_LISTENER_accepted], 1);
	stat_add(&cells->stats[STAT_LISTENER_open], 1);
	show_open(service);
	board_write_end(service->slot);
}

static void
count_closed(struct board_listener_cells *cells, enum close_reason reason)
{
	stat_add(&cells->closed[reason], 1);
	if (reason == CLOSE_gone_in_queue) {
		stat_add(&cells->stats[STAT_LISTENER_gone_in_queue], 1);
	}
}

void
ledger_close(const struct settings *settings, enum close_reason reason)
{
	struct service *service = settings->service;
	struct board_listener_cells *cells = settings->cells;

	service->open--;
	service->closed++;
	board_write_begin(service->slot);
	count_closed(cells, reason);
	stat_set(
		&cells->stats[STAT_LISTENER_open], stat_get(&cells->stats[STAT_LISTENER_open]) - 1);
	show_open(service);
	board_write_end(service->slot);
}

void
ledger_turn_away(
	const struct settings *settings, const union peer *client, enum close_reason reason)
{
	struct board_slot *slot = settings->service->slot;

	session_log_turn_away(settings, client, reason);
	board_write_begin(slot);
	stat_add(&settings->cells->stats[STAT_LISTENER_accepted], 1);
	count_closed(settings->cells, reason);
	board_write_end(slot);
}
