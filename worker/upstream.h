/* Back ends of the proxy: which server a session gets, and when. One struct upstream is one
 * worker's view of one configured upstream; it lives as long as the configuration or a session
 * knows it, and a reload changes it in place, so that who waits goes on waiting.
 *
 * A session asks, is granted a place at a server, connects, and gives the place back:
 *
 *   upstream_ask             on_granted or on_refused follows, at once or later
 *   upstream_connect_failed  the same once more, for the next server, for any after a pause, or
 *                            the last word
 *   upstream_connected       the handshake is done
 *   upstream_proven          the first byte came from the server: it has accepted
 *   upstream_done            the end, whatever the state was
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/board.h"
#include "common/defs.h"
#include "worker/deadline.h"
#include "worker/upstream_check.h"

struct config;
struct service;
struct upstream;
struct upstream_config;
struct upstream_plan;

/* One server as it was configured, or one place of a name with the address that it has now; a
 * session keeps the one it began with across reloads and answers of DNS. */
struct upstream_server {
	struct upstream *upstream;
	unsigned references; /* by the upstream, each request that has it, and who logs that */
	int row;             /* on the board */
	struct board_server_cells *cells; /* in our own slot */
	char name[BOARD_SERVER_MAX];
	bool is_place;            /* of a name */
	bool is_open;             /* it has an address, and takes new clients */
	struct board_place place; /* of a name: as it was read from the board */
	struct address address;
	int64_t weight;
	int64_t max_connections; /* 0: none */
	int64_t backlog;         /* 0: not paced */
	bool is_backup;
	struct upstream_check check;
};

enum upstream_request_state {
	UPSTREAM_IDLE, /* nothing was asked, or all is over */
	UPSTREAM_WAITING,
	UPSTREAM_PAUSING,    /* waits, too, but every server was tried just now: not in the queue */
	UPSTREAM_CONNECTING, /* it has a place: on_granted was called */
	UPSTREAM_UNPROVEN,   /* connected, no byte from the server yet */
	UPSTREAM_SETTLED,    /* still none after settle_time, only with a declared backlog */
	UPSTREAM_PROVEN
};

/* Embed it in the session, zeroed, and find the session with container_of. */
struct upstream_request {
	struct upstream *upstream;      /* held while the state is not IDLE */
	struct upstream_server *server; /* from on_granted until upstream_done, else NULL */
	uint8_t state;                  /* enum upstream_request_state */
	uint8_t failure;                /* enum close_reason of the last connect */
	/* A place was taken: connect to server->address, from upstream_source if it has one,
	 * within upstream_connect_timeout_ms. */
	void (*on_granted)(struct upstream_request *request);
	/* Never: CLOSE_no_server, CLOSE_queue_full, CLOSE_queue_timeout, or why the last server
	 * that was tried failed: CLOSE_connect_refused, CLOSE_connect_timeout,
	 * CLOSE_connect_failed, CLOSE_no_port. The request is IDLE again; the callback may free it.
	 * A failed connect is the last word when clients do not wait for servers (on_down), or
	 * when the queue_timeout is over by then. */
	void (*on_refused)(struct upstream_request *request, enum close_reason reason);

	struct upstream_request *prev, *next; /* who waits, in order of coming */
	struct upstream_plan *plan;           /* of the time when it asked */
	struct deadline patience;             /* waiting: queue_timeout; after a failed connect:
						 the next try; unproven: settle_time */
	uint64_t ticket;                      /* 0: it does not wait */
	uint64_t hash;                        /* of the client's address */
	int64_t connected_ms;                 /* monotonic; only with a declared backlog */
	uint64_t tried;                       /* bit i: server i failed since the last pause */
};

/** Ask for a place at a server. Both callbacks must be set, and may be called before this returns.
 *  @param request  IDLE; must stay where it is until it is IDLE again
 *  @param client   whose address client_hash goes by: the real one, as PROXY protocol told it */
void upstream_ask(
	struct upstream *upstream, struct upstream_request *request, const union peer *client);
/** The connect failed and nothing of the session was sent: give the place back, remember the
 *  failure against the server, and ask for another one. A callback may come before this returns.
 *  @param error  positive errno; ETIMEDOUT also for our own connect_timeout. EADDRNOTAVAIL (no
 *                local port left to it) is not held against the server, and when no other one
 *                is left to ask it is the last word */
void upstream_connect_failed(struct upstream_request *request, int error);
/** @param syn_retries  tcpi_total_retrans at this moment: SYNs the server did not answer */
void upstream_connected(struct upstream_request *request, unsigned syn_retries);
/** The first byte came. May be called again, which has no effect. */
static inline void upstream_proven(struct upstream_request *request);
/** The session is over, or does not want to wait any longer: the place is free. In every state;
 *  no callback comes any more. */
void upstream_done(struct upstream_request *request);
/** Count bytes of a session against its server, if it has one: what was written to it and read from
 *  it. */
static inline void
upstream_count(
	struct upstream_request *request, uint64_t to_server_bytes, uint64_t from_server_bytes)
{
	struct upstream_server *server = request->server;

	if (server != NULL) {
		stat_add(&server->cells->stats[STAT_SERVER_to_server_bytes], to_server_bytes);
		stat_add(&server->cells->stats[STAT_SERVER_from_server_bytes], from_server_bytes);
	}
}

/** One more reference to a server, and one back, which clears the pointer; NULL is accepted there.
 */
struct upstream_server *upstream_server_hold(struct upstream_server *server);
void upstream_server_release(struct upstream_server **server);

const char *upstream_name(const struct upstream *upstream);
int64_t upstream_connect_timeout_ms(const struct upstream *upstream);
/** enum config_send_proxy */
int upstream_send_proxy(const struct upstream *upstream);
/** The own address (port 0, its family that of the server) to bind before the next connect, with
 *  IP_BIND_ADDRESS_NO_PORT: the configured ones in turn.
 *  @return false: there is none of that family, do not bind */
bool upstream_source(const struct upstream_request *request, struct address *source);

/** By name; NULL when the service has none of it. */
struct upstream *upstream_find(const struct service *service, const char *name);
/** One more reference; NULL is accepted. @return `upstream` */
struct upstream *upstream_hold(struct upstream *upstream);
/** Give a reference back and clear the pointer; NULL is accepted. */
void upstream_release(struct upstream **upstream);

/** Make what the upstreams of a configuration need, without effect on who is served now. Followed
 *  by upstreams_commit, which cannot fail, or upstreams_roll_back. @return 0 or -ENOMEM */
int upstreams_prepare(struct service *service, const struct config *config) MUST_CHECK;
void upstreams_commit(struct service *service);
void upstreams_roll_back(struct service *service);
/** Somebody freed a place, or may have: grant what can be granted. */
void upstreams_look(struct service *service);
/** At the end of the worker, when no session is left. */
void upstreams_fini(struct service *service);

/* --- inline --- */

void upstream_prove(struct upstream_request *request);

static inline void
upstream_proven(struct upstream_request *request)
{
	if (request->state == UPSTREAM_UNPROVEN || request->state == UPSTREAM_SETTLED) {
		upstream_prove(request);
	}
}
