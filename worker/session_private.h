/* What the files of a session know of it and nobody else does. */
#pragma once

#include "worker/conn.h"
#include "worker/session.h"
#include "worker/settings.h"

static inline struct session *
session_of(const struct conn *conn)
{
	return conn_state((struct conn *)(uintptr_t)conn);
}

static inline struct conn *
session_conn(struct session *session)
{
	return (struct conn *)(void *)session - 1;
}

static inline struct service *
session_service(const struct conn *conn)
{
	return conn->settings->service;
}

/* session.c */

/** The end of each step. @param was_taken  a side took of what was kept for it */
struct verdict session_settle(struct conn *conn, struct session *session, bool was_taken);
/** Send the back end what is kept for it. */
struct verdict session_flush_up(struct conn *conn, struct session *session);

/* session_connect.c */

/** Ask for a server; connects when one is granted, at once or later. */
struct verdict session_ask(struct conn *conn, struct session *session);
/** The back end's socket tells how the handshake went. */
struct verdict session_on_answer(struct conn *conn, struct session *session);
void session_close_back(const struct conn *conn, struct session *session);

/* session_patience.c */

/** Begin the time anew; one of the same kind goes on with its list. */
void session_patience_set(struct session *session, struct service *service,
	enum session_patience what, int64_t length_ms,
	void (*on_expiry)(struct deadline *deadline));
/** What an open session is given time for, if anything: the sides to take what is kept for them,
 *  or the other side to end. Only what is taken counts against a stall, not what comes the other
 *  way; a half closed session begins anew with each movement. */
void session_patience_for_open(struct conn *conn, struct session *session, bool was_taken);
void session_patience_end(struct session *session, struct service *service);
/** Whose time is over, now in hand. */
struct session *session_patience_owner(struct deadline *deadline);
