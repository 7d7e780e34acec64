/* What connects say of the health of a server. Each worker writes its verdict in its own cell and
 * the latest of all workers holds, so all agree at once and a dead worker's findings stay. */
#include "common/clock.h"
#include "worker/service.h"
#include "worker/upstream_private.h"

void
upstream_decide(struct upstream_server *server, bool is_up, int cause)
{
	const struct board *board = &server->upstream->service->board;
	uint64_t before = board_server_verdict(board, server->row);
	int64_t now_ms = clock_monotonic_ms(), since_ms = BOARD_VERDICT_SINCE(before);

	if (before == 0 ? is_up : BOARD_VERDICT_IS_UP(before) == is_up) {
		return;
	}
	now_ms = now_ms > since_ms ? now_ms : since_ms + 1;
	stat_set(&server->cells->cause, (uint64_t)cause);
	atomic_store(&server->cells->verdict, BOARD_VERDICT(now_ms, is_up));
}

/* Connects that were under way when the server went down may still succeed: only a check brings it
 * up again. */
void
upstream_judge_connect(struct upstream_server *server, int error)
{
	board_cell *failures = &server->cells->failures;

	if (server->is_replaced) {
		return; /* it says nothing of the address that is there now */
	}
	if (error == 0) {
		stat_set(failures, 0);
		return;
	}
	stat_add(failures, 1);
	if (stat_get(failures) >= (uint64_t)server->upstream->plan->fall) {
		stat_set(failures, 0);
		upstream_decide(server, false, error);
	}
}
