/* A refreshed deadline leaves `soonest_ms` behind its back: finding the new soonest would cost a
 * look at every list for each message. Instead the timer fires early once, finds nothing, and is
 * set to the truth; a busy list costs one such look per length. */
#include "worker/deadline.h"

#include <assert.h>
#include <stdlib.h>

void
deadlines_init(struct deadlines *deadlines)
{
	deadlines->lists = NULL;
	deadlines->soonest_ms = INT64_MAX;
}

void
deadlines_fini(struct deadlines *deadlines)
{
	assert(deadlines->lists == NULL);
	(void)deadlines;
}

static struct deadline_list *
deadline_list_new(int64_t length_ms, void (*on_expiry)(struct deadline *deadline))
{
	struct deadline_list *list = calloc(1, sizeof(*list));

	if (list != NULL) {
		list->head.prev = list->head.next = &list->head;
		list->length_ms = length_ms;
		list->on_expiry = on_expiry;
	}
	return list;
}

struct deadline_list *
deadlines_open_list(struct deadlines *deadlines, int64_t length_ms,
	void (*on_expiry)(struct deadline *deadline))
{
	struct deadline_list *list = deadlines->lists;

	while (list != NULL && (list->length_ms != length_ms || list->on_expiry != on_expiry)) {
		list = list->next;
	}
	if (list == NULL) {
		list = deadline_list_new(length_ms, on_expiry);
		if (list == NULL) {
			return NULL;
		}
		list->next = deadlines->lists;
		deadlines->lists = list;
	}
	list->references++;
	return list;
}

void
deadlines_close_list(struct deadlines *deadlines, struct deadline_list **list)
{
	struct deadline_list **link = &deadlines->lists;

	if (*list != NULL && --(*list)->references == 0) {
		assert((*list)->head.next == &(*list)->head);
		while (*link != *list) {
			link = &(*link)->next;
		}
		*link = (*list)->next;
		free(*list);
	}
	*list = NULL;
}

void
deadline_clear(struct deadline *deadline)
{
	if (deadline->next != NULL) {
		deadline->prev->next = deadline->next;
		deadline->next->prev = deadline->prev;
		deadline->prev = deadline->next = NULL;
	}
}

void
deadline_set(struct deadlines *deadlines, struct deadline *deadline, struct deadline_list *list,
	int64_t now_ms)
{
	deadline_clear(deadline);
	if (list->length_ms == DEADLINE_NEVER) {
		return;
	}
	deadline->expires_ms = now_ms + list->length_ms;
	deadline->next = &list->head;
	deadline->prev = list->head.prev;
	deadline->prev->next = deadline;
	list->head.prev = deadline;
	if (deadline->expires_ms < deadlines->soonest_ms) {
		deadlines->soonest_ms = deadline->expires_ms;
	}
}

static size_t
deadline_list_expire(struct deadline_list *list, int64_t now_ms, size_t most)
{
	size_t count = 0;

	while (count < most && list->head.next != &list->head &&
		list->head.next->expires_ms <= now_ms) {
		struct deadline *expired = list->head.next;

		deadline_clear(expired);
		count++;
		list->on_expiry(expired);
	}
	return count;
}

static int64_t
deadlines_find_soonest(const struct deadlines *deadlines)
{
	int64_t soonest_ms = INT64_MAX;

	for (const struct deadline_list *list = deadlines->lists; list != NULL; list = list->next) {
		if (list->head.next != &list->head && list->head.next->expires_ms < soonest_ms) {
			soonest_ms = list->head.next->expires_ms;
		}
	}
	return soonest_ms;
}

size_t
deadlines_expire(struct deadlines *deadlines, int64_t now_ms, size_t most)
{
	struct deadline_list *list = deadlines->lists;
	size_t count = 0;

	if (now_ms < deadlines->soonest_ms) {
		return 0;
	}
	while (list != NULL && count < most) {
		/* The owners may give up the last reference to this list, so hold one. */
		struct deadline_list *held = list;

		held->references++;
		count += deadline_list_expire(held, now_ms, most - count);
		list = held->next;
		deadlines_close_list(deadlines, &held);
	}
	deadlines->soonest_ms = deadlines_find_soonest(deadlines);
	return count;
}

int64_t
deadlines_next_ms(const struct deadlines *deadlines)
{
	return deadlines->soonest_ms;
}
