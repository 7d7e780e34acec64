/* The rows, who may, and from a line to the handler of its command. */
#include "monitor/admin_commands.h"

#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/text.h"
#include "monitor/admin.h"
#include "monitor/admin_handlers.h"
#include "monitor/connections.h"
#include "monitor/monitor.h"

/* clang-format off */
const struct admin_command admin_commands[] = {
	{"status", "", 0, RIGHT_READ, admin_show_status,
	 "Is it well, and if not, what to do; exit status 1 when it is ill."},
	{"listeners", "", 0, RIGHT_READ, admin_show_listeners,
	 "Each listener: accept queue, dropped segments, connections, bytes."},
	{"upstreams", "", 0, RIGHT_READ, admin_show_upstreams, "The back ends: state, places, who waits."},
	{"server", "NAME drain|ready|weight N|max N", 3, RIGHT_OPERATE, admin_order_server,
	 "Give a server (NAME or UPSTREAM/NAME) no new sessions, some again, another weight or limit."},
	{"workers", "", 0, RIGHT_READ, admin_show_workers,
	 "Each worker: connections, accepts, turns of its loop, why it pauses."},
	{"queue", "", 0, RIGHT_READ, admin_show_queue,
	 "The accept queues as bars; on a terminal drawn again each second."},
	{"states", "[LISTENER]", 1, RIGHT_READ, admin_show_states,
	 "TCP sockets of each listener by state, with the oldest CLOSE_WAIT."},
	{"sources", "[LISTENER]", 1, RIGHT_READ, admin_show_sources,
	 "Who has most connections, at listeners with limits by source, and who is penalised."},
	{"kernel", "", 0, RIGHT_READ, admin_show_kernel,
	 "The kernel's SNMP counters of this network namespace, since acceptd began."},
	{"events", "[--after MARK]", 2, RIGHT_READ, admin_show_events,
	 "What happened lately; with -f acceptctl goes on to show what happens."},
	{"stats", "[PATTERN]", 1, RIGHT_READ, admin_show_stats,
	 "Every statistic as name, value, rate, in the form of nstat."},
	{"connections", "[--listener L] [--older D] [--state S]", 6, RIGHT_READ, admin_list_connections,
	 "Every open connection, the oldest first."},
	{"connection", "ID", 1, RIGHT_READ, admin_list_connection,
	 "One connection."},
	{"kill", "ID", 1, RIGHT_OPERATE, admin_order_kill,
	 "Reset one connection."},
	{"drain", "LISTENER", 1, RIGHT_OPERATE, admin_order_drain,
	 "Let no new clients in; those connected or in the queue are served on. New ones try again "
	 "for a while, so a short drain turns nobody away. Ends with resume or with the server."},
	{"resume", "LISTENER", 1, RIGHT_OPERATE, admin_order_resume,
	 "Let new clients in again."},
	{"reload", "", 0, RIGHT_ADMINISTER, admin_order_reload,
	 "Read the configuration again; says whether it took effect, and why not."},
	{"upgrade", "", 0, RIGHT_ADMINISTER, admin_order_upgrade,
	 "Go on with the program that is installed now: it is checked, takes over, and its workers serve; "
	 "connections that are open stay. Says whether it did, and why not."},
	{"stop", "[now]", 1, RIGHT_ADMINISTER, admin_order_stop,
	 "Finish the connections and end the server; now: cut them. Returns when it has ended."},
	{"doctor", "[--sysctl]", 1, RIGHT_READ, admin_tell_doctor,
	 "Will this machine carry this configuration: exit status 0 fit, 1 warnings, 2 it will not "
	 "hold; acceptctl doctor --write FILE makes a file for sysctl.d."},
	{"version", "", 0, RIGHT_READ, admin_tell_version,
	 "Version of the server that runs."},
	{"help", "", 0, RIGHT_READ, admin_tell_help,
	 "This list."},
};
/* clang-format on */
const size_t admin_command_count = ARRAY_LEN(admin_commands);

/* --- what handlers share --- */

const char *
admin_argument(const struct admin_call *call, int index)
{
	return index < call->word_count ? call->words[index] : NULL;
}

void
admin_check(struct admin_call *call, int error)
{
	if (error != 0) {
		admin_refuse(call, ADMIN_FAILED, "out of memory");
	}
}

void
admin_refuse_usage(struct admin_call *call)
{
	admin_refuse(call, ADMIN_USAGE, "usage: %s%s%s", call->command->word,
		call->command->arguments[0] != '\0' ? " " : "", call->command->arguments);
}

/* --- judging --- */

bool
admin_may(enum admin_right right, const struct ucred *peer, uid_t worker_uid, uid_t master_uid)
{
	bool is_administrator = peer->uid == 0 || peer->uid == master_uid;

	switch (right) {
	case RIGHT_READ:
		return true;
	case RIGHT_OPERATE:
		return is_administrator || peer->uid == worker_uid;
	case RIGHT_ADMINISTER:
		return is_administrator;
	}
	return false;
}

const char *
admin_right_name(enum admin_right right)
{
	static const char *const names[] = {
		[RIGHT_READ] = "read",
		[RIGHT_OPERATE] = "operate",
		[RIGHT_ADMINISTER] = "administer",
	};

	return names[right];
}

static const struct admin_command *
find_command(const char *word)
{
	for (size_t i = 0; i < admin_command_count; i++) {
		if (strcmp(admin_commands[i].word, word) == 0) {
			return &admin_commands[i];
		}
	}
	return NULL;
}

static void
refuse_word(struct admin_call *call, const char *word)
{
	const char *names[ARRAY_LEN(admin_commands)];
	const char *meant;
	char shown[128];
	struct text text;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		names[i] = admin_commands[i].word;
	}
	meant = text_closest(word, names, ARRAY_LEN(names));
	text_init(&text, shown, sizeof(shown));
	text_add_escaped(&text, word, strnlen(word, 24));
	admin_refuse(call, ADMIN_USAGE, "there is no command '%s'; %s%s%s", shown,
		meant != NULL ? "did you mean '" : "help lists them", meant != NULL ? meant : "",
		meant != NULL ? "'?" : "");
}

static bool
take_option(struct admin_call *call, const char *word)
{
	int64_t width;

	if (strcmp(word, "--json") == 0) {
		call->render.form = RENDER_JSON;
	} else if (strcmp(word, "--colour") == 0) {
		call->render.with_colour = true;
	} else if (strncmp(word, "--width=", 8) == 0 && text_parse_number(word + 8, &width) == 0 &&
		   width > 0 && width <= 1000) {
		call->render.width = (int)width;
	} else {
		return false;
	}
	return true;
}

/* @return false when there are too many words */
static bool
split(struct admin_call *call, char *line)
{
	char *rest = line;
	char *word;

	while ((word = strsep(&rest, " \t")) != NULL) {
		if (word[0] == '\0' || take_option(call, word)) {
			continue;
		}
		if (call->word_count == ADMIN_WORDS_MAX) {
			return false;
		}
		call->words[call->word_count++] = word;
	}
	return true;
}

static void
log_denial(const struct admin_call *call)
{
	static struct log_limit limit;
	uint64_t suppressed;

	if (log_limit_allows(&limit, 1000, &suppressed)) {
		log_warning("admin socket: %s denied to uid %ld (pid %ld): it needs the right to "
			    "%s%s",
			call->command->word, (long)call->peer.uid, (long)call->peer.pid,
			admin_right_name(call->command->right),
			suppressed > 0 ? "; others were denied meanwhile" : "");
	}
}

static bool
is_allowed(struct admin_call *call)
{
	const struct admin_command *command = call->command;

	if (admin_may(command->right, &call->peer, geteuid(), call->monitor->master_uid)) {
		return true;
	}
	log_denial(call);
	admin_refuse(call, ADMIN_REFUSED, "user %ld may not %s; it takes %s", (long)call->peer.uid,
		command->word,
		command->right == RIGHT_OPERATE ? "the workers' user, root or who started acceptd"
						: "root or who started acceptd");
	return false;
}

void
admin_commands_run(struct admin_call *call, char *line)
{
	call->render.width = 80;
	if (!split(call, line) || call->word_count == 0) {
		admin_refuse(call, ADMIN_USAGE, "one command a line; help lists them");
		return;
	}
	call->command = find_command(call->words[0]);
	if (call->command == NULL) {
		refuse_word(call, call->words[0]);
		return;
	}
	if (!is_allowed(call)) {
		return;
	}
	if (call->word_count - 1 > call->command->most) {
		admin_refuse_usage(call);
		return;
	}
	if (call->monitor->config == NULL) {
		admin_refuse(call, ADMIN_BUSY, "the server is just starting; try again");
		return;
	}
	call->render.board = &call->monitor->board;
	call->render.now = monitor_now(call->monitor);
	call->render.before = monitor_second_ago(call->monitor);
	call->render.minute_ago = monitor_minute_ago(call->monitor);
	call->command->run(call);
}

void
admin_commands_clean(struct admin_call *call)
{
	connections_free(&call->connections);
}
