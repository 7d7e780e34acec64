#include "ctl/conversation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "common/fault.h"
#include "common/text.h"

#define BODY_MAX (1024 * 1024 * 1024)
#define HEAD_MAX 128

static int
explain(const char *path, int error, struct fault *why)
{
	switch (error) {
	case ENOENT:
		return fault_set(why, error,
			"no server at %s: it does not run, or its admin.socket is another, which "
			"-s or -f (its configuration) names",
			path);
	case ECONNREFUSED:
		return fault_set(why, error,
			"no server at %s: it does not run any more, or this is no admin socket",
			path);
	case EACCES:
		return fault_set(why, error,
			"not allowed to use %s: it is for root and the members of its group", path);
	default:
		return fault_set(why, error, "cannot reach the server at %s", path);
	}
}

int
conversation_open(struct conversation *conversation, const char *path, struct fault *why)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct ucred server;
	socklen_t len = sizeof(server);

	if (strlen(path) >= sizeof(address.sun_path)) {
		return fault_say(why, ENAMETOOLONG, "the path of the socket is too long: %s", path);
	}
	(void)strcpy(address.sun_path, path);
	conversation->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (conversation->fd < 0) {
		return fault_set(why, errno, "cannot make a socket");
	}
	if (connect(conversation->fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		int error = errno;

		descriptor_close(&conversation->fd);
		return explain(path, error, why);
	}
	/* Of a connected socket the kernel names who called listen(2). */
	conversation->server_pid = 0;
	if (getsockopt(conversation->fd, SOL_SOCKET, SO_PEERCRED, &server, &len) == 0) {
		conversation->server_pid = server.pid;
	}
	return 0;
}

void
conversation_close(struct conversation *conversation)
{
	descriptor_close(&conversation->fd);
}

static int
lost(int error, struct fault *why)
{
	return error == 0 ? fault_say(why, EPIPE, "the server has closed the connection")
			  : fault_set(why, error, "the connection to the server is broken");
}

/* @return 0; positive: not all was sent, but an answer may be there */
static int
send_line(int fd, const char *line)
{
	size_t left = strlen(line);

	while (left > 0) {
		ssize_t sent = send(fd, line, left, MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR) {
			return errno;
		}
		line += sent > 0 ? sent : 0;
		left -= sent > 0 ? (size_t)sent : 0;
	}
	return 0;
}

/* @return 0, or negative errno */
static int
receive(int fd, char *into, size_t len, struct fault *why)
{
	size_t got = 0;

	while (got < len) {
		ssize_t part = recv(fd, into + got, len - got, 0);

		if (part == 0 || (part < 0 && errno != EINTR)) {
			return lost(part == 0 ? 0 : errno, why);
		}
		got += part > 0 ? (size_t)part : 0;
	}
	return 0;
}

/* One byte at a time, so that nothing of the body is taken. */
static int
receive_head(int fd, char head[HEAD_MAX], struct fault *why)
{
	size_t len = 0;

	while (len + 1 < HEAD_MAX) {
		int status = receive(fd, head + len, 1, why);

		if (status != 0) {
			return status;
		}
		if (head[len] == '\n') {
			head[len] = '\0';
			return 0;
		}
		len++;
	}
	return fault_say(why, EPROTO, "the answer is none of acceptd: its head has no end");
}

static int
read_head(const char *head, struct conversation_answer *answer, struct fault *why)
{
	char shown_buffer[4 * 40 + 1];
	struct text shown;

	if (sscanf(head, "OK %zu %d", &answer->len, &answer->status) == 2 && answer->status >= 0) {
		(void)strcpy(answer->code, "ok");
	} else if (sscanf(head, "ERROR %15s %zu", answer->code, &answer->len) != 2) {
		text_init(&shown, shown_buffer, sizeof(shown_buffer));
		text_add_escaped(&shown, head, strnlen(head, 40));
		return fault_say(why, EPROTO, "the answer is none of acceptd: '%s'", shown_buffer);
	}
	return answer->len <= BODY_MAX
		       ? 0
		       : fault_say(why, EPROTO, "the answer is too long: %zu bytes", answer->len);
}

int
conversation_ask(struct conversation *conversation, const char *line,
	struct conversation_answer *answer, struct fault *why)
{
	char head[HEAD_MAX];
	int status;

	memset(answer, 0, sizeof(*answer));
	(void)send_line(conversation->fd, line); /* a refusal may be there all the same */
	status = receive_head(conversation->fd, head, why);
	if (status == 0) {
		status = read_head(head, answer, why);
	}
	if (status != 0) {
		return status;
	}
	answer->body = malloc(answer->len + 1);
	if (answer->body == NULL) {
		return fault_set(why, ENOMEM, "the answer has %zu bytes", answer->len);
	}
	answer->body[answer->len] = '\0';
	status = receive(conversation->fd, answer->body, answer->len, why);
	if (status != 0) {
		conversation_answer_free(answer);
	}
	return status;
}

void
conversation_answer_free(struct conversation_answer *answer)
{
	free(answer->body);
	memset(answer, 0, sizeof(*answer));
}
