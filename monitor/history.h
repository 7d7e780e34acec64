/* The last five minutes of every listener, one point a second, for the page and /api/history. Some
 * 6 KB a listener. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "common/defs.h"

struct board;
struct history;
struct reading;

#define HISTORY_POINTS 300

/** @param board  borrowed @return NULL without memory */
struct history *history_new(const struct board *board) MUST_CHECK;
void history_free(struct history **history);
/** Look at the depths: the deepest of a second becomes its point. To be called as often as the
 *  master writes them, ten times a second; a load for each listener. */
void history_look(struct history *history);
/** A second is over: add a point for every listener. @param before  the reading a second ago */
void history_add(struct history *history, const struct reading *before, const struct reading *now);
/** As JSON: the points with a number above `after` that are still there; they are numbered 1, 2, ….
 * A listener that was not there yet has null for its points. */
void history_render(const struct history *history, uint64_t after, FILE *stream);
