/* The service of worker 0, which is serving, on a board of its own. */
#pragma once

#include "tests/unit/board_help.h"
#include "worker/service.h"

/** The service owns the board from here on. */
static inline void
help_open_service(struct service *service, struct board *board)
{
	struct fault why;

	help_create_board(board, 1);
	ck_assert_msg(service_init(service, board, 0, "worker 0", &why) == 0, "%s", why.text);
	atomic_store(&service->slot->state, BOARD_WORKER_SERVING);
	atomic_store(&service->slot->progress_ms, service->now_ms);
}
