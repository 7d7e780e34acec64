/* What acceptctl reads from the admin socket: a head, and as many bytes as it says. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/fault.h"
#include "ctl/conversation.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conversation_answer answer;
	struct conversation conversation;
	struct fault why = {0};
	int ends[2];
	int result;

	PROMISE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	PROMISE(size == 0 ||
		send(ends[1], data, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size);
	PROMISE(shutdown(ends[1], SHUT_WR) == 0);
	conversation = (struct conversation){.fd = ends[0]};
	result = conversation_ask(&conversation, "status\n", &answer, &why);
	if (result == 0) {
		PROMISE(answer.len <= size && answer.body[answer.len] == '\0');
		PROMISE(memmem(data, size, answer.body, answer.len) != NULL || answer.len == 0);
		PROMISE(answer.code[0] != '\0' && strlen(answer.code) < sizeof(answer.code));
		PROMISE(strcmp(answer.code, "ok") != 0 || answer.status >= 0);
		conversation_answer_free(&answer);
	} else {
		PROMISE(why.text[0] != '\0' && answer.body == NULL);
		for (const char *at = why.text; *at != '\0'; at++) {
			PROMISE(*at >= ' ' && *at <= '~');
		}
	}
	conversation_close(&conversation);
	(void)close(ends[1]);
	return 0;
}
