/* What one connection did, for its line of the session log: kept behind what its protocol and its
 * prelude have, and only where the listener logs. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "worker/conn.h"
#include "worker/prelude.h"
#include "worker/service.h"
#include "worker/settings.h"
#include "worker/upstream.h"

struct account {
	uint64_t received_bytes, sent_bytes;
	int64_t began_ms;
	int32_t queue_wait_ms; /* in the accept queue; -1: not measured */
	/* Of the proxy. */
	struct upstream_server *server;   /* the last one it got, with the address of then */
	int64_t granted_ms, connected_ms; /* the last time; 0: never */
	uint64_t to_server_bytes, from_server_bytes;
	uint32_t connects; /* tried */
};

/** Bytes from the beginning of a connection to where its account can lie. */
static inline size_t
account_place(const struct settings *settings)
{
	size_t taken =
		sizeof(struct conn) + settings->protocol->state_size + prelude_size(settings);

	return (taken + _Alignof(struct account) - 1) / _Alignof(struct account) *
	       _Alignof(struct account);
}

/** @return NULL when the listener does not log */
static inline struct account *
account_of(const struct conn *conn)
{
	size_t offset = conn->settings->account_offset;

	return offset > 0 ? (struct account *)(void *)((char *)(uintptr_t)conn + offset) : NULL;
}

static inline void
account_open(const struct conn *conn, int32_t queue_wait_ms)
{
	struct account *account = account_of(conn);

	if (account != NULL) {
		account->began_ms = conn->settings->service->now_ms;
		account->queue_wait_ms = queue_wait_ms;
	}
}

static inline void
account_close(const struct conn *conn)
{
	struct account *account = account_of(conn);

	if (account != NULL) {
		upstream_server_release(&account->server);
	}
}

/** Bytes read from the client and written to it, for the listener's statistics too. */
static inline void
account_received(const struct conn *conn, size_t bytes)
{
	struct account *account = account_of(conn);

	stat_add(&conn->settings->cells->stats[STAT_LISTENER_received_bytes], bytes);
	if (account != NULL) {
		account->received_bytes += bytes;
	}
}

static inline void
account_sent(const struct conn *conn, size_t bytes)
{
	struct account *account = account_of(conn);

	stat_add(&conn->settings->cells->stats[STAT_LISTENER_sent_bytes], bytes);
	if (account != NULL) {
		account->sent_bytes += bytes;
	}
}

/** The proxy got a place at a server and connects to it. */
static inline void
account_granted(const struct conn *conn, struct upstream_server *server)
{
	struct account *account = account_of(conn);

	if (account != NULL) {
		upstream_server_release(&account->server);
		account->server = upstream_server_hold(server);
		account->granted_ms = conn->settings->service->now_ms;
		account->connected_ms = 0;
		account->connects++;
	}
}

static inline void
account_connected(const struct conn *conn)
{
	struct account *account = account_of(conn);

	if (account != NULL) {
		account->connected_ms = conn->settings->service->now_ms;
	}
}

/** Bytes written to the server and read from it. */
static inline void
account_back(const struct conn *conn, size_t to_server, size_t from_server)
{
	struct account *account = account_of(conn);

	if (account != NULL) {
		account->to_server_bytes += to_server;
		account->from_server_bytes += from_server;
	}
}
