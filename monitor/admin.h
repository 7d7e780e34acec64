/* The admin socket: sessions, framing, limits. One request a line, words parted by blanks:
 *
 *   WORD ARGUMENT… [--json] [--colour] [--width=N]
 *
 * of at most 4096 bytes. Each is answered in its order, also when many come at once:
 *
 *   OK LENGTH STATUS           and then LENGTH bytes; STATUS 0, or 1 for bad news (2 of the doctor)
 *   ERROR CODE LENGTH          and then a sentence; CODE as in enum admin_code
 *
 * A client that says nothing whole for 10 s, or takes nothing for 10 s, is let go; so is one whose
 * line is too long. 32 at a time, the last two for root. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/defs.h"
#include "monitor/link.h"
#include "monitor/render.h"

struct admin;
struct admin_command;
struct connections;
struct monitor;

#define ADMIN_LINE_MAX     4096
#define ADMIN_WORDS_MAX    16
#define ADMIN_SESSIONS_MAX 32
#define ADMIN_FOR_ROOT     2
#define ADMIN_IDLE_MS      10000

enum admin_code {
	ADMIN_OK,
	ADMIN_USAGE,   /* "usage": the line is wrong */
	ADMIN_REFUSED, /* "refused": this user may not */
	ADMIN_FAILED,  /* "failed": it was tried, or cannot be had */
	ADMIN_BUSY,    /* "busy": too many sessions or requests */
};

/* One request while it is served. */
struct admin_call {
	struct monitor *monitor;
	const struct admin_command *command;
	struct ucred peer;            /* as the kernel says */
	char *words[ADMIN_WORDS_MAX]; /* the command, its arguments; without the options below */
	int word_count;
	struct render render; /* form, colour, width, readings */

	/* The answer. */
	FILE *out;
	enum admin_code code;
	int status;
	bool is_later; /* the master was asked; the answer comes by itself */

	struct link_request request;     /* to the master */
	struct connections *connections; /* gathered for this call */
};

struct admin *admin_new(struct monitor *monitor) MUST_CHECK;
void admin_free(struct admin **admin);
/** Accept on another listening socket from now on; the one before is closed.
 *  @param fd  taken over; -1: none */
void admin_listen(struct admin *admin, int fd);
/** Each second: accept again after a want of descriptors. */
void admin_tend(struct admin *admin);
/** No more requests; sessions go once they have what they are owed. */
void admin_end(struct admin *admin);
bool admin_is_idle(const struct admin *admin);

/* For commands. */

/** The answer is this sentence instead of what was written to call->out. */
void admin_refuse(struct admin_call *call, enum admin_code code, const char *format, ...)
	PRINTF_LIKE(3, 4);
/** The answer of a call with is_later is complete. The call may be gone afterwards. */
void admin_finish(struct admin_call *call);
/** Bytes that sessions have not taken yet, of all together. */
size_t admin_pending_bytes(const struct monitor *monitor);
