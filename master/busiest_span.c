/* From before the first look to after the last one: at least as long as what lies between the two
 * readings, however long the process stood still in the middle of either. */
#include "master/busiest_span.h"

void
busiest_span_begin(struct busiest_span *span, const struct drop_look *look)
{
	*span = (struct busiest_span){.first = *look};
}

void
busiest_span_count(
	struct busiest_span *span, const struct drop_look *last, const struct drop_look *now)
{
	uint64_t dropped;

	if (now->after_ms - span->first.before_ms > BUSIEST_SPAN_MAX_MS) {
		span->first = *last;
	}
	dropped = now->dropped - span->first.dropped;
	if (now->after_ms - span->first.before_ms <= BUSIEST_SPAN_MAX_MS && dropped > span->most) {
		span->most = dropped;
	}
}
