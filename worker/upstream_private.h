/* What the files of the upstreams know of them and nobody else does. */
#pragma once

#include "common/config.h"
#include "worker/balance.h"
#include "worker/upstream.h"

#define UPSTREAM_RETRY_MS  100 /* between two connects of a client to the same server */
#define UPSTREAM_SAMPLE_MS 100 /* between two looks for a new sample of an accept queue */

/* What one configuration says of an upstream. Who waits or settles holds the plan of that time,
 * whose list its deadline is in. */
struct upstream_plan {
	unsigned references;
	struct service *service;
	int balance; /* enum config_balance */
	int64_t connect_timeout_ms;
	int64_t slow_start_ms;
	int64_t queue_max;
	bool refuses_when_down;
	bool is_guarded; /* a server has a limit, or may get one by order */
	int send_proxy;
	int64_t rise, fall;
	struct {
		int when; /* enum config_check_when */
		int64_t interval_ms, timeout_ms;
		char *send, *expect;
	} check;
	struct deadline_list *queueing, *retrying, *settling, *sampling;
	struct in6_addr *sources;
	size_t source_count, source_turn;
	uint16_t *table; /* for client_hash, else NULL */
	struct balance_memory memory;
	struct upstream_server *servers[CONFIG_SERVERS_MAX];
	size_t server_count;
	uint32_t placings; /* what the board said when its places were read last */
};

struct upstream {
	struct upstream *next; /* of the service */
	struct service *service;
	unsigned references; /* by settings and requests */
	bool is_configured;  /* the configuration in force has it */
	bool is_pumping, must_pump_again;
	int row; /* on the board */
	char name[BOARD_NAME_MAX];
	struct upstream_plan *plan;  /* in force; the last one when it is not configured any more */
	struct upstream_plan *draft; /* until the commit */
	struct upstream_request *first, *last; /* who waits, by ticket */
	uint64_t last_ticket;
};

struct upstream_plan *upstream_plan_new(
	struct upstream *upstream, const struct upstream_config *config) MUST_CHECK;
/** It is not in force any more, though some may still hold it: no checks. */
void upstream_plan_retire(struct upstream_plan *plan);
/** Give a reference back and clear the pointer; NULL is accepted. */
void upstream_plan_release(struct upstream_plan **plan);

/** How often places of the upstream have changed. */
uint32_t upstream_placings(const struct upstream *upstream);
/** Take the addresses that DNS has given to the places meanwhile. Cheap when there is none. */
void upstream_places_refresh(struct upstream *upstream);
/** Read the place of a new server from the board, if it is a place. */
void upstream_place_read(struct upstream_server *server);
/** Whether the place of this server, if it is one, still has its address. */
bool upstream_place_is_current(const struct upstream_server *server);
/** Why nobody can be served, when it is not that servers are down: CLOSE_no_address when none of
 *  them has one; otherwise CLOSE_no_server. */
enum close_reason upstream_lack(const struct upstream *upstream);
/** Whether a name was not asked for yet, so that nothing can be said of it. */
bool upstream_is_asking(const struct upstream *upstream);
/** Fill the table for client_hash, if the plan has one. */
void upstream_plan_hash(struct upstream_plan *plan);

/** Choose a server that is able to take the request and take a place at it. */
enum upstream_choice { CHOICE_TAKEN, CHOICE_WAIT, CHOICE_NONE };
enum upstream_choice upstream_choose(
	struct upstream_request *request, struct upstream_server **server);
/** Whether any server in force seems to have a free place. */
bool upstream_has_room(const struct upstream *upstream);
/** Write down that it is up or down, if that is news.
 *  @param cause  positive errno of the connect or check that says so; 0 when it is up */
void upstream_decide(struct upstream_server *server, bool is_up, int cause);
/** What a client's connect says of a server's health: failures in a row count over all workers. */
void upstream_judge_connect(struct upstream_server *server, int error);
/** Grant what can be granted, and wake whose turn it is. */
void upstream_pump(struct upstream *upstream);

void upstream_on_queue_timeout(struct deadline *deadline);
void upstream_on_retry(struct deadline *deadline);
void upstream_on_settled(struct deadline *deadline);
