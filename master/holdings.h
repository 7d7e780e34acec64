/* Which worker holds a copy of which listening socket: a retired socket may be closed only when
 * nobody has one. Pure but for memory, which grows when a configuration brings new sockets and
 * never when a worker is started. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/board.h"
#include "common/defs.h"

#define HOLDINGS_WORDS (BOARD_SLOTS / 64)

struct holding {
	uint32_t number;                 /* of the socket */
	bool is_recalled;                /* retired: RELEASE goes to whoever has it */
	uint64_t has[HOLDINGS_WORDS];    /* slots that have a copy, or will by what was sent */
	uint64_t leaves[HOLDINGS_WORDS]; /* slots that were told to release it and have not answered
					  */
};

struct holdings {
	struct holding *rows;
	size_t count;
	size_t room;
};

/** Make a row for a socket; nothing when it has one. @return 0 or -ENOMEM */
int holdings_add(struct holdings *holdings, uint32_t number) MUST_CHECK;
/** The same with what the program before knew of it. @return 0 or -ENOMEM */
int holdings_restore(struct holdings *holdings, const struct holding *row) MUST_CHECK;
/** The socket was sent to this slot. */
void holdings_give(struct holdings *holdings, uint32_t number, int slot);
/** A retired socket is wanted back from every slot that has or gets it; `is_wanted` false: a
 *  configuration took it up again. */
void holdings_recall(struct holdings *holdings, uint32_t number, bool is_wanted);
/** The next socket for which RELEASE must be sent to this slot; it counts as sent from then on.
 *  @return false when there is none */
bool holdings_next_release(struct holdings *holdings, int slot, uint32_t *number);
/** The slot's answer. @return 0; -EPROTO when it was not asked */
int holdings_released(struct holdings *holdings, uint32_t number, int slot) MUST_CHECK;
/** Nothing is held by a slot whose process has ended. */
void holdings_forget_slot(struct holdings *holdings, int slot);
/** Whether a slot has the socket and was not told to give it up. */
bool holdings_slot_has(const struct holdings *holdings, uint32_t number, int slot);
/** Whether any process may have a copy. */
bool holdings_anybody_has(const struct holdings *holdings, uint32_t number);
/** Drop rows that nobody has. */
void holdings_sweep(struct holdings *holdings);
void holdings_fini(struct holdings *holdings);
