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
/** The verdict on an error (positive errno) of the back end's socket, from which nothing more can
 *  be read, or into which nothing more can be written. */
struct verdict session_judge_back(int error);
struct verdict session_back_takes_no_more(struct conn *conn, struct session *session, int error);

/* session_connect.c */

/** Ask for a server; connects when one is granted, at once or later. */
struct verdict session_ask(struct conn *conn, struct session *session);
/** The back end's socket tells how the handshake went. */
struct verdict session_on_answer(struct conn *conn, struct session *session);
void session_close_back(const struct conn *conn, struct session *session);

/* session_patience.c */

/** The handshake has so long. */
void session_patience_connect(struct session *session, struct service *service, int64_t length_ms,
	void (*on_expiry)(struct deadline *deadline));
/** The handshake is over. */
void session_patience_connected(struct session *session, struct service *service);
/** Follow what happens: the sides are given time to take what is kept for them, or the other one to
 *  end. Only what is taken counts against a stall, not what comes the other way; a half closed
 *  session begins anew with each movement. */
void session_patience_follow(struct conn *conn, struct session *session, bool was_taken);
void session_patience_end(struct session *session, struct service *service);
/** Whose deadline it is, now in hand. */
struct session *session_patience_owner(struct deadline *deadline);
