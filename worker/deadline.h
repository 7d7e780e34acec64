/* Cheap timeouts for many connections. Timeouts of one length form one list, and a list to whose
 * end every new or refreshed deadline is put is always in order of expiry: setting, refreshing and
 * clearing are list moves, and only the heads are ever looked at. Pure: the caller says what time
 * it is and keeps the one timer. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/defs.h"

#define DEADLINE_NEVER 0 /* length of a list in which nothing expires */

/** Embed it in its owner and find the owner with container_of. Zeroed: not set. */
struct deadline {
	struct deadline *prev, *next;
	int64_t expires_ms;
};

struct deadline_list {
	struct deadline head;
	int64_t length_ms;
	void (*on_expiry)(struct deadline *deadline);
	unsigned references;
	struct deadline_list *next;
};

struct deadlines {
	struct deadline_list *lists;
	int64_t soonest_ms; /* nothing expires before; may be early, never late */
};

void deadlines_init(struct deadlines *deadlines);
/** Every list must have been closed. */
void deadlines_fini(struct deadlines *deadlines);

/** The list of one length and one purpose: the one that exists, or a new one.
 *  @param length_ms  DEADLINE_NEVER is allowed
 *  @param on_expiry  called with the deadline no longer set; may set it again, and may set, clear
 *                    or free any other
 *  @return the list, to be closed with deadlines_close_list; NULL for want of memory */
struct deadline_list *deadlines_open_list(struct deadlines *deadlines, int64_t length_ms,
	void (*on_expiry)(struct deadline *deadline)) MUST_CHECK;
/** Give one reference back; the last one frees the list, which must be empty. NULL is accepted. */
void deadlines_close_list(struct deadlines *deadlines, struct deadline_list **list);

/** Expire one length of `list` from now; a deadline that is set already is moved. */
void deadline_set(struct deadlines *deadlines, struct deadline *deadline,
	struct deadline_list *list, int64_t now_ms);
void deadline_clear(struct deadline *deadline);

/** Call the owners of at most `most` expired deadlines, each list in order of expiry.
 *  @return how many were called; `most` means that there may be more */
size_t deadlines_expire(struct deadlines *deadlines, int64_t now_ms, size_t most);
/** When to call deadlines_expire next; INT64_MAX when nothing is set. May be early. */
int64_t deadlines_next_ms(const struct deadlines *deadlines);
