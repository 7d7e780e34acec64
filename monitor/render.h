/* What acceptctl shows, as text for people and as JSON for scripts: the same numbers under the
 * names of the rows in stats.def. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/defs.h"

struct board;
struct config;
struct fullest;
struct health;
struct reading;

enum render_form { RENDER_TEXT, RENDER_JSON };

struct render {
	enum render_form form;
	bool with_colour;
	int width;                        /* columns of the terminal, 80 if unknown */
	const struct reading *before;     /* an earlier reading, for rates */
	const struct reading *minute_ago; /* for rates of what is published but once a second */
	const struct reading *now;
	const struct board *board; /* for the histograms; NULL: percentiles are left out */
};

#define RENDER_NAME_MAX 64
/** The name of a row of scope QUEUE where it stands beside others of the listener: "queue_depth",
 *  but "dropped_segments". @return buffer */
const char *render_queue_name(size_t index, char buffer[RENDER_NAME_MAX]);

/* Each writes a whole answer to the stream. @return 0 or -ENOMEM */
int render_status(
	const struct render *render, const struct health *health, FILE *stream) MUST_CHECK;
int render_listeners(const struct render *render, FILE *stream) MUST_CHECK;
/** The servers of the upstreams. */
int render_upstreams(const struct render *render, FILE *stream) MUST_CHECK;
/** The fullest sources of one listener, or of all (`name` NULL). */
int render_sources(const struct render *render, const struct fullest *fullest,
	const struct config *config, const char *name, FILE *stream) MUST_CHECK;
int render_workers(const struct render *render, FILE *stream) MUST_CHECK;
/** One line a listener with a bar of its accept queue; made to be redrawn each second. */
int render_queue(const struct render *render, FILE *stream) MUST_CHECK;
int render_kernel(const struct render *render, FILE *stream) MUST_CHECK;
/** Name, value, rate, in the form of nstat(8); only names that match `pattern` (fnmatch(3), NULL:
 * all). @return -ENOENT when none does, as text
 */
int render_stats(const struct render *render, const char *pattern, FILE *stream) MUST_CHECK;
/** Events of the ring with a number above `after`, oldest first. */
int render_events(const struct render *render, const struct board *board, uint64_t after,
	FILE *stream) MUST_CHECK;
