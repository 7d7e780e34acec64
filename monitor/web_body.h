/* Bodies of answers: each written once for all who ask within a second, and kept for as long as
 * somebody has yet to take it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/defs.h"
#include "monitor/web_routes.h"

struct web_bodies;

struct web_body {
	struct web_bodies *bodies; /* where it is counted; NULL: a file, part of the program */
	unsigned users;
	enum http_status status;
	const char *type;
	char *bytes;
	size_t len;
};

/* Zeroed, but for the hook and its owner. */
struct web_bodies {
	/** What there is to be seen now. */
	void (*view)(void *owner, const struct web_route *route, struct web_view *view);
	void *owner;
	struct web_body *of_second[WEB_ROUTES]; /* NULL: not asked for yet */
	size_t pending_bytes;                   /* of all bodies that are no files */
};

/** The answer to a request, for the caller to release.
 *  @return NULL: not now, for want of memory or because too much is kept for clients that do not
 *          read */
struct web_body *web_bodies_get(
	struct web_bodies *bodies, const struct web_route *route, const char *query) MUST_CHECK;
/** A sentence instead, for the caller to release. @return NULL: no memory even for that */
struct web_body *web_bodies_say(
	struct web_bodies *bodies, enum http_status status, const char *sentence) MUST_CHECK;
/** A new second: who asks from now on gets new bodies. */
void web_bodies_forget(struct web_bodies *bodies);
/** Give it back and clear the pointer; NULL is accepted. */
void web_body_release(struct web_body **body);
