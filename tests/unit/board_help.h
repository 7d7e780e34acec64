/* A board of a test's own, written as by the master. */
#pragma once

#include <check.h>
#include <unistd.h>

#include "common/board.h"
#include "common/fault.h"

/** Make it, with its first `slots` slots open. The test detaches it. */
static inline void
help_create_board(struct board *board, int slots)
{
	struct fault why;
	int memory;

	ck_assert_msg(board_create(board, &memory, &why) == 0, "%s", why.text);
	close(memory);
	for (int slot = 0; slot < slots; slot++) {
		board_open_slot(board, slot);
	}
}
