/* Talking to the admin socket: one line out, one answer in. Blocks: it is for a command line. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "common/defs.h"

struct fault;

struct conversation {
	int fd;           /* -1: none */
	pid_t server_pid; /* the master's, who opened the socket */
};

struct conversation_answer {
	char code[16]; /* "ok", or one of enum admin_code */
	int status;    /* with "ok" */
	char *body;    /* ends with a zero byte */
	size_t len;
};

/** @return 0; or negative errno with a sentence that says what to do */
int conversation_open(
	struct conversation *conversation, const char *path, struct fault *why) MUST_CHECK;
/** @param line  with its line break
 *  @return 0 and an answer to be freed with conversation_answer_free; or negative errno */
int conversation_ask(struct conversation *conversation, const char *line,
	struct conversation_answer *answer, struct fault *why) MUST_CHECK;
void conversation_answer_free(struct conversation_answer *answer);
void conversation_close(struct conversation *conversation);
