/* How many clients a full accept queue has turned away at least. Each of them sends its SYN again
 * after a second (RFC 6298), so what was dropped within less than that are as many clients. Pure.
 */
#pragma once

#include <stdint.h>

#define BUSIEST_SPAN_MAX_MS 900 /* within it no client sends its SYN twice */

/* One look at the counter of drops. Whoever looks may be delayed: the counter was read at some
 * moment between the two. */
struct drop_look {
	int64_t before_ms;
	int64_t after_ms;
	uint64_t dropped;
};

struct busiest_span {
	struct drop_look first; /* of the span that is being counted */
	uint64_t most;          /* dropped in any span so far */
};

/** The first span begins with this look. */
void busiest_span_begin(struct busiest_span *span, const struct drop_look *look);
/** One more look. A span is never longer than it seems; a look that comes so late that it is no
 * span together with the one before says nothing.
 *  @param last  the look before this one */
void busiest_span_count(
	struct busiest_span *span, const struct drop_look *last, const struct drop_look *now);
