/* What is behind each path of the web address: one row per route, and nothing else can be asked
 * for. Pure but for reading the board. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/defs.h"
#include "monitor/http.h"

struct board;
struct history;
struct reading;
struct states;
struct waits;

/* What is to be seen in one second; everything is borrowed. */
struct web_view {
	const struct board *board;
	const struct reading *now;
	const struct reading *second_ago; /* for rates */
	const struct reading *minute_ago; /* for what happened lately */
	const struct states *states;      /* the last count of sockets; taken_ms 0: never */
	int64_t states_age_ms;
	const struct history *history;
	const struct waits *waits;
};

struct web_route {
	const char *path;
	const char *type; /* of what is written */
	/** Write the body. @return 0, or negative errno: what was written is worth nothing */
	int (*write)(const struct web_view *view, const char *query, enum http_status *status,
		FILE *stream);
	const char *begin, *end; /* or this, a file that is part of the program */
	bool is_of_the_moment;   /* never an answer of up to a second ago */
	bool shows_states;
};

#define WEB_ROUTES 17

extern const struct web_route web_routes[WEB_ROUTES];

/** @return the row, or NULL: there is no such path */
const struct web_route *web_route_find(const char *path);
