/* The admin socket: lines as an operator's program may send them, to the real sessions and the real
 * commands; the part of the master is played here. The first byte says how the lines are cut in
 * two; cutting changes nothing. */
#include "monitor/admin.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/config.h"
#include "common/fault.h"
#include "monitor/monitor.h"
#include "monitor/states.h"
#include "tests/fuzz/fuzz.h"

#define TURNS_MAX   100000
#define CODES_MAX   4096
#define ANSWERS_MAX (64 * 1024 * 1024)

static const char configuration[] =
	"listeners = ( { name = \"l\"; address = \"127.0.0.1:7000\"; protocol = \"echo\"; } );";

static struct monitor monitor;
static struct sockaddr_un address;
static socklen_t address_len = sizeof(address);
static int master; /* our end of the monitor's channel */

static void
open_door(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	address.sun_family = AF_UNIX;
	/* The kernel chooses an abstract name (unix(7), autobind). */
	PROMISE(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0);
	PROMISE(getsockname(fd, (struct sockaddr *)&address, &address_len) == 0);
	PROMISE(listen(fd, 1) == 0);
	admin_listen(monitor.admin, fd);
}

static void
open_monitor(void)
{
	struct findings *findings = calloc(1, sizeof(*findings));
	struct fault why;
	int memory;

	PROMISE(findings != NULL);
	PROMISE(board_create(&monitor.board, &memory, &why) == 0);
	(void)close(memory);
	PROMISE(board_listener_index(&monitor.board, "l") == 0);
	board_open_slot(&monitor.board, 0);
	PROMISE(config_load_text(configuration, "f.conf", &monitor.config, findings) == 0);
	free(findings);
	monitor.states = calloc(1, sizeof(*monitor.states));
	monitor.loop = loop_new();
	monitor.admin = admin_new(&monitor);
	PROMISE(monitor.states != NULL && monitor.loop != NULL && monitor.admin != NULL);
	PROMISE(channel_pair(&master, &monitor.link.end.fd) == 0);
	monitor.link.next_doors[0] = monitor.link.next_doors[1] = -1;
	reading_take(&monitor.board, &monitor.seconds[0]);
	reading_take(&monitor.board, &monitor.seconds[1]);
	link_start(&monitor);
	open_door();
}

/* The master answers each request, in two pieces. */
static void
play_master(void)
{
	struct channel_message message;
	struct channel_result result;

	while (channel_receive(master, CHANNEL_MASTER, &message) == 0) {
		PROMISE(message.type == CHANNEL_REQUEST);
		memset(&result, 0, sizeof(result));
		result.id = message.request.id;
		result.status = message.request.argument[0] == '\0' ? 0 : -ENOENT;
		result.len = (uint32_t)strlen(strcpy(result.text, "done"));
		PROMISE(channel_send(master, CHANNEL_RESULT, &result, NULL, 0) == 0);
		result.is_last = 1;
		PROMISE(channel_send(master, CHANNEL_RESULT, &result, NULL, 0) == 0);
	}
}

struct client {
	int fd;
	char *answers;
	size_t len;
	bool is_over;
};

static void
client_read(struct client *client)
{
	ssize_t len;

	do {
		PROMISE(client->len < ANSWERS_MAX);
		client->answers = realloc(client->answers, client->len + 65536);
		PROMISE(client->answers != NULL);
		len = recv(client->fd, client->answers + client->len, 65536, MSG_DONTWAIT);
		client->len += len > 0 ? (size_t)len : 0;
	} while (len > 0);
	/* A session that is closed with requests unread is reset. */
	client->is_over = len == 0 || errno == ECONNRESET;
}

static void
turn(struct client *client)
{
	(void)ev_run(monitor.loop, EVRUN_NOWAIT);
	play_master();
	client_read(client);
}

static void
client_send(struct client *client, const char *bytes, size_t len)
{
	for (int turns = 0; len > 0 && !client->is_over; turns++) {
		ssize_t sent = send(client->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		PROMISE(turns < TURNS_MAX);
		if (sent < 0 && errno != EAGAIN) {
			break; /* the session had enough: what it said is still to be read */
		}
		bytes += sent > 0 ? sent : 0;
		len -= sent > 0 ? (size_t)sent : 0;
		turn(client);
	}
}

/* One head and its body. @return its length; `code` 'o' for OK, otherwise the code's first letter
 */
static size_t
read_answer(const char *at, size_t left, char *code)
{
	static const char *const names[] = {"usage", "refused", "failed", "busy"};
	const char *end = memchr(at, '\n', left);
	char head[80], name[16] = "";
	size_t head_len, len;
	int status = 0;
	bool is_known = false;

	PROMISE(end != NULL);
	head_len = (size_t)(end - at) + 1;
	PROMISE(head_len < sizeof(head));
	memcpy(head, at, head_len - 1);
	head[head_len - 1] = '\0';
	if (sscanf(head, "OK %zu %d", &len, &status) == 2) {
		PROMISE(status >= 0 && status <= 2);
		*code = 'o';
	} else {
		PROMISE(sscanf(head, "ERROR %15s %zu", name, &len) == 2);
		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			is_known = is_known || strcmp(name, names[i]) == 0;
		}
		PROMISE(is_known && len > 0);
		*code = name[0];
	}
	PROMISE(len <= left - head_len);
	for (size_t i = head_len; i < head_len + len && *code != 'o'; i++) {
		PROMISE(((unsigned char)at[i] >= ' ' && at[i] != 0x7f) || at[i] == '\n');
	}
	return head_len + len;
}

/* @return how many answers; their codes, terminated */
static size_t
converse(const char *bytes, size_t len, size_t cut, char codes[CODES_MAX])
{
	struct client client = {0};
	size_t count = 0, at = 0;

	client.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	PROMISE(connect(client.fd, (struct sockaddr *)&address, address_len) == 0);
	turn(&client);
	client_send(&client, bytes, cut);
	turn(&client);
	client_send(&client, bytes + cut, len - cut);
	(void)shutdown(client.fd, SHUT_WR);
	for (int turns = 0; !client.is_over; turns++) {
		PROMISE(turns < TURNS_MAX);
		turn(&client);
	}
	while (at < client.len && count < CODES_MAX - 1) {
		at += read_answer(client.answers + at, client.len - at, &codes[count++]);
	}
	codes[count] = '\0';
	free(client.answers);
	(void)close(client.fd);
	PROMISE(admin_is_idle(monitor.admin));
	return count;
}

/* Whole lines, up to the first that is too long. */
static size_t
count_lines(const char *bytes, size_t len, bool *has_long)
{
	size_t lines = 0;
	const char *end;

	*has_long = false;
	while ((end = memchr(bytes, '\n', len)) != NULL && end - bytes <= ADMIN_LINE_MAX) {
		lines++;
		len -= (size_t)(end - bytes) + 1;
		bytes = end + 1;
	}
	*has_long = len > ADMIN_LINE_MAX;
	return lines;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char whole[CODES_MAX], pieces[CODES_MAX];
	const char *bytes = (const char *)data + 1;
	size_t lines, answers;
	bool has_long;

	if (monitor.loop == NULL) {
		open_monitor();
	}
	if (size == 0) {
		return 0;
	}
	size--;
	lines = count_lines(bytes, size, &has_long);
	answers = converse(bytes, size, 0, whole);
	if (has_long) {
		/* Its refusal may be lost with what came after it. */
		PROMISE(answers >= lines && answers <= lines + 1);
		return 0;
	}
	PROMISE(answers == lines || answers == CODES_MAX - 1);
	PROMISE(converse(bytes, size, size * data[0] / 255, pieces) == answers);
	PROMISE(strcmp(whole, pieces) == 0);
	return 0;
}
