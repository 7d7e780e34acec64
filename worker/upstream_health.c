/* What connects say of the health of a server. Each worker writes its verdict in its own cell and
 * the latest of all workers holds, so all agree at once and a dead worker's findings stay. */
#include "common/clock.h"
#include "worker/failures.h"
#include "worker/service.h"
#include "worker/upstream_private.h"

void
upstream_decide(struct upstream_server *server, bool is_up, int cause)
{
	const struct service *service = server->upstream->service;
	const struct board *board = &service->board;
	uint64_t before = board_server_verdict(board, server->row);
	int64_t now_ms = clock_monotonic_ms(), since_ms = BOARD_VERDICT_SINCE(before);

	if (before == 0 ? is_up : BOARD_VERDICT_IS_UP(before) == is_up) {
		return;
	}
	/* Before the verdict: what failed earlier may not count against a server that is up. */
	failures_end(board, service->slot_index, server->row);
	now_ms = now_ms > since_ms ? now_ms : since_ms + 1;
	stat_set(&server->cells->cause, (uint64_t)cause);
	atomic_store(&server->cells->verdict, BOARD_VERDICT(now_ms, is_up));
}

/* Connects that were under way when the server went down may still succeed: only a check brings it
 * up again. */
void
upstream_judge_connect(struct upstream_server *server, int error)
{
	const struct service *service = server->upstream->service;

	if (!upstream_place_is_current(server)) {
		return; /* it says nothing of the address that is there now */
	}
	if (error == 0) {
		failures_end(&service->board, service->slot_index, server->row);
	} else if (failures_count(&service->board, service->slot_index, server->row) >=
		   (uint64_t)server->upstream->plan->fall) {
		upstream_decide(server, false, error);
	}
}
