/* Health checks: one worker of the machine, the serving one with the lowest slot, connects to the
 * servers that are down (or to all, as configured) and writes its verdict for everybody. */
#pragma once

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

struct service;
struct upstream_plan;
struct upstream_server;

/* Of one server, embedded in it. */
struct upstream_check {
	ev_io watcher; /* its fd is -1 while no check is under way */
	int64_t next_ms, deadline_ms;
	unsigned good, bad; /* in a row */
	size_t matched;     /* bytes of the expected answer */
};

void upstream_check_init(struct upstream_check *check);
/** Go on where the checks of the same server were under the configuration before: reloads that come
 *  faster than `rise` good checks must not keep it down. */
void upstream_checks_go_on(struct upstream_plan *plan, const struct upstream_plan *before);
/** Begin the checks that are due and end those that take too long. Called ten times a second. */
void upstream_checks_look(struct service *service);
/** Give up a check that is under way, without a verdict. */
void upstream_check_cancel(struct upstream_server *server);
