#include "monitor/web_body.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/web.h"

void
web_body_release(struct web_body **body)
{
	struct web_body *gone = *body;

	*body = NULL;
	if (gone == NULL || --gone->users > 0) {
		return;
	}
	if (gone->bodies != NULL) {
		gone->bodies->pending_bytes -= gone->len;
		free(gone->bytes);
	}
	free(gone);
}

static struct web_body *
body_new(struct web_bodies *bodies, enum http_status status, const char *type)
{
	struct web_body *body = calloc(1, sizeof(*body));

	if (body != NULL) {
		body->bodies = bodies;
		body->users = 1;
		body->status = status;
		body->type = type;
	}
	return body;
}

static struct web_body *
body_of_file(const struct web_route *route)
{
	struct web_body *body = body_new(NULL, HTTP_OK, route->type);

	if (body != NULL) {
		body->bytes = (char *)route->begin;
		body->len = (size_t)(route->end - route->begin);
	}
	return body;
}

/* @return 0 or negative errno */
static int
body_write(const struct web_route *route, const char *query, struct web_body *body)
{
	struct web_bodies *bodies = body->bodies;
	FILE *stream = open_memstream(&body->bytes, &body->len);
	struct web_view view;
	int error;

	if (stream == NULL) {
		return -errno;
	}
	bodies->view(bodies->owner, route, &view);
	error = route->write(&view, query, &body->status, stream);
	if (fclose(stream) != 0 && error == 0) {
		error = -ENOMEM;
	}
	bodies->pending_bytes += body->len;
	return error;
}

static struct web_body *
body_make(struct web_bodies *bodies, const struct web_route *route, const char *query)
{
	struct web_body *body;

	if (route->write == NULL) {
		return body_of_file(route);
	}
	if (bodies->pending_bytes > WEB_PENDING_MAX) {
		return NULL;
	}
	body = body_new(bodies, HTTP_OK, route->type);
	if (body != NULL && body_write(route, query, body) != 0) {
		web_body_release(&body);
	}
	return body;
}

/* With a query everybody asks for something else; who asks whether we are well acts on the answer.
 */
struct web_body *
web_bodies_get(struct web_bodies *bodies, const struct web_route *route, const char *query)
{
	struct web_body **cached = &bodies->of_second[route - web_routes];

	if (query[0] != '\0' || route->is_of_the_moment) {
		return body_make(bodies, route, query);
	}
	if (*cached == NULL) {
		*cached = body_make(bodies, route, query);
	}
	if (*cached != NULL) {
		(*cached)->users++;
	}
	return *cached;
}

struct web_body *
web_bodies_say(struct web_bodies *bodies, enum http_status status, const char *sentence)
{
	struct web_body *body = body_new(bodies, status, "text/plain; charset=utf-8");

	if (body != NULL && asprintf(&body->bytes, "%d %s: %s\n", status, http_status_text(status),
				    sentence) >= 0) {
		body->len = strlen(body->bytes);
		bodies->pending_bytes += body->len;
	} else if (body != NULL) {
		body->bytes = NULL;
	}
	return body;
}

void
web_bodies_forget(struct web_bodies *bodies)
{
	for (size_t i = 0; i < WEB_ROUTES; i++) {
		web_body_release(&bodies->of_second[i]);
	}
}
