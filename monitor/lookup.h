/* One lookup of a name through c-ares: /etc/hosts first, then DNS, over UDP and where an answer
 * does not fit over TCP. Each has a channel of its own: it reads /etc/resolv.conf as it is then and
 * asks from a fresh port, which makes answers hard to forge. */
#pragma once

#include <ev.h>

#include "common/defs.h"
#include "monitor/answer.h"

struct config;
struct endpoint;
struct lookup;

/** Begin. The answer comes later, never before this returns, within dns.timeout.
 *  @param endpoint  a name; borrowed for the call
 *  @param on_done   may end with lookup_free
 *  @return NULL for want of memory or descriptors */
struct lookup *lookup_new(struct ev_loop *loop, const struct config *config,
	const struct endpoint *endpoint, void (*on_done)(struct lookup *lookup, void *owner),
	void *owner);
/** Give it up, or forget it when it is done; NULL is accepted. */
void lookup_free(struct lookup **lookup);

/** When it is done. Lives as long as the lookup. */
struct answer *lookup_answer(struct lookup *lookup);
/** The DNS servers, "10.0.0.2:53, 10.0.0.3:53"; of more than these two how many. @return buffer */
const char *lookup_asked(const struct lookup *lookup, char *buffer, size_t size);
