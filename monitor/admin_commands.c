/* The rows, and the few lines that each needs. Commands that read render a reading; those that
 * change something are passed on to the master, whose answer becomes theirs. */
#include "monitor/admin_commands.h"
#include "build.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/config.h"
#include "common/doctor.h"
#include "common/fault.h"
#include "common/json.h"
#include "common/log.h"
#include "common/machine.h"
#include "common/sock_diag.h"
#include "common/table.h"
#include "common/text.h"
#include "monitor/admin.h"
#include "monitor/connections.h"
#include "monitor/health.h"
#include "monitor/monitor.h"
#include "monitor/states.h"

#define LISTS_PENDING_MAX (32 * 1024 * 1024)

/* --- what all need --- */

static const char *
argument_of(const struct admin_call *call, int index)
{
	return index < call->word_count ? call->words[index] : NULL;
}

static void
check_rendered(struct admin_call *call, int error)
{
	if (error != 0) {
		admin_refuse(call, ADMIN_FAILED, "out of memory");
	}
}

static void
refuse_usage(struct admin_call *call)
{
	admin_refuse(call, ADMIN_USAGE, "usage: %s%s%s", call->command->word,
		call->command->arguments[0] != '\0' ? " " : "", call->command->arguments);
}

/* --- reading --- */

static void
run_status(struct admin_call *call)
{
	struct health health;

	health_judge(monitor_minute_ago(call->monitor), call->render.now, &health);
	call->status = health.level == HEALTH_BAD ? 1 : 0;
	check_rendered(call, render_status(&call->render, &health, call->out));
}

static void
run_listeners(struct admin_call *call)
{
	check_rendered(call, render_listeners(&call->render, call->out));
}

static void
run_upstreams(struct admin_call *call)
{
	check_rendered(call, render_upstreams(&call->render, call->out));
}

static void
run_workers(struct admin_call *call)
{
	check_rendered(call, render_workers(&call->render, call->out));
}

static void
run_queue(struct admin_call *call)
{
	check_rendered(call, render_queue(&call->render, call->out));
}

static void
run_kernel(struct admin_call *call)
{
	check_rendered(call, render_kernel(&call->render, call->out));
}

static void
run_stats(struct admin_call *call)
{
	check_rendered(call, render_stats(&call->render, argument_of(call, 1), call->out));
}

/* --new: what has happened since this session was last shown events; at first, nothing. */
static void
run_events(struct admin_call *call)
{
	const char *option = argument_of(call, 1);
	uint64_t last = call->render.now->last_event;
	uint64_t after = 0;

	if (option != NULL && strcmp(option, "--new") != 0) {
		refuse_usage(call);
		return;
	}
	if (option != NULL) {
		after = *call->seen_event == 0 ? last : *call->seen_event - 1;
	}
	*call->seen_event = last + 1;
	check_rendered(call, render_events(&call->render, &call->monitor->board, after, call->out));
}

static void
run_states(struct admin_call *call)
{
	const char *name = argument_of(call, 1);
	struct fault why;
	const struct states *states = monitor_states(call->monitor, &why);

	if (states == NULL) {
		admin_refuse(call, ADMIN_FAILED, "%s", why.text);
	} else if (name != NULL && config_listener(call->monitor->config, name) == NULL) {
		admin_refuse(call, ADMIN_FAILED,
			"there is no listener '%s'; acceptctl listeners shows them", name);
	} else {
		check_rendered(call, states_render(states, name, &call->render, call->out));
	}
}

/* As many as run: the configuration may say "auto", and TTIN and TTOU change it. */
static int64_t
count_workers(const struct reading *reading)
{
	int64_t count = 0;

	for (size_t i = 0; i < reading->worker_count; i++) {
		count += reading->workers[i].state != BOARD_WORKER_EMPTY;
	}
	return count > 0 ? count : 1;
}

static void
print_report(struct admin_call *call, const struct doctor_report *report, bool as_sysctl)
{
	if (as_sysctl) {
		doctor_print_sysctl(report, call->out);
	} else if (call->render.form == RENDER_JSON) {
		doctor_print_json(report, call->out);
	} else {
		check_rendered(call, doctor_print(report, call->out, call->render.with_colour));
	}
	call->status = doctor_status(report);
}

/* --sysctl: a file for sysctl.d. */
static void
run_doctor(struct admin_call *call)
{
	const char *option = argument_of(call, 1);
	struct machine *machine;
	struct doctor_report *report;

	if (option != NULL && strcmp(option, "--sysctl") != 0) {
		refuse_usage(call);
		return;
	}
	machine = calloc(1, sizeof(*machine));
	report = calloc(1, sizeof(*report));
	if (machine == NULL || report == NULL) {
		admin_refuse(call, ADMIN_FAILED, "out of memory");
	} else {
		machine_read("", machine);
		doctor_examine(
			machine, call->monitor->config, count_workers(call->render.now), report);
		print_report(call, report, option != NULL);
	}
	free(machine);
	free(report);
}

static void
run_version(struct admin_call *call)
{
	struct utsname system;
	struct json json;

	(void)uname(&system);
	if (call->render.form == RENDER_TEXT) {
		fprintf(call->out, "acceptd %s\nbuilt with: %s\nrunning on: %s %s\n",
			PACKAGE_VERSION, BUILT_WITH, system.sysname, system.release);
		return;
	}
	json_init(&json, call->out);
	json_object_begin(&json, NULL);
	json_string(&json, "version", PACKAGE_VERSION);
	json_string(&json, "built_with", BUILT_WITH);
	json_string(&json, "system", system.sysname);
	json_string(&json, "kernel", system.release);
	json_signed(&json, "protocol", 1);
	json_object_end(&json);
}

static void
json_help(struct admin_call *call)
{
	struct json json;

	json_init(&json, call->out);
	json_array_begin(&json, NULL);
	for (size_t i = 0; i < admin_command_count; i++) {
		const struct admin_command *command = &admin_commands[i];

		json_object_begin(&json, NULL);
		json_string(&json, "command", command->word);
		json_string(&json, "arguments", command->arguments);
		json_string(&json, "right", admin_right_name(command->right));
		json_string(&json, "help", command->help);
		json_object_end(&json);
	}
	json_array_end(&json);
}

static void
run_help(struct admin_call *call)
{
	static const struct table_column columns[] = {
		{"command", TABLE_LEFT}, {"right", TABLE_LEFT}, {"what it does", TABLE_LEFT}};
	struct table *table;

	if (call->render.form == RENDER_JSON) {
		json_help(call);
		return;
	}
	table = table_new(columns, ARRAY_LEN(columns));
	if (table == NULL) {
		check_rendered(call, -ENOMEM);
		return;
	}
	for (size_t i = 0; i < admin_command_count; i++) {
		const struct admin_command *command = &admin_commands[i];

		table_cell(table, "%s%s%s", command->word, command->arguments[0] != '\0' ? " " : "",
			command->arguments);
		table_cell(table, "%s", admin_right_name(command->right));
		table_cell(table, "%s", command->help);
	}
	check_rendered(call, table_print(table, call->out, call->render.with_colour));
	table_free(&table);
}

/* --- asking the master --- */

static void
answer_with(struct admin_call *call, int status, const char *text)
{
	size_t len = strlen(text);
	struct json json;

	if (status != 0) {
		admin_refuse(call, status == -EBUSY ? ADMIN_BUSY : ADMIN_FAILED, "%.*s",
			(int)(len > 0 && text[len - 1] == '\n' ? len - 1 : len), text);
	} else if (call->render.form == RENDER_JSON) {
		json_init(&json, call->out);
		json_object_begin(&json, NULL);
		json_string(&json, "result", text);
		json_object_end(&json);
	} else {
		fprintf(call->out, "%s%s", text, len > 0 && text[len - 1] == '\n' ? "" : "\n");
	}
}

static void
on_master_result(struct link_request *request, int status, const char *text)
{
	struct admin_call *call = container_of(request, struct admin_call, request);

	answer_with(call, status, text);
	admin_finish(call);
}

static void
ask_master(struct admin_call *call, enum channel_command command, const char *argument)
{
	char who[64];
	int error;

	(void)snprintf(
		who, sizeof(who), "uid %ld (pid %ld)", (long)call->peer.uid, (long)call->peer.pid);
	if (strlen(argument) >= sizeof(((struct channel_request *)NULL)->argument)) {
		refuse_usage(call);
		return;
	}
	if (call->request.on_result == NULL) {
		call->request.on_result = on_master_result;
	}
	error = link_ask(call->monitor, &call->request, command, argument, who);
	if (error != 0) {
		admin_refuse(call, error == -EBUSY ? ADMIN_BUSY : ADMIN_FAILED,
			"cannot ask the master: %s", strerror(-error));
		return;
	}
	call->is_later = true;
}

static void
run_reload(struct admin_call *call)
{
	ask_master(call, COMMAND_RELOAD, "");
}

static void
run_stop(struct admin_call *call)
{
	const char *how = argument_of(call, 1);

	if (how != NULL && strcmp(how, "now") != 0) {
		refuse_usage(call);
		return;
	}
	ask_master(call, COMMAND_STOP, how != NULL ? how : "");
}

static void
run_on_listener(struct admin_call *call, enum channel_command command)
{
	if (call->word_count != 2) {
		refuse_usage(call);
		return;
	}
	ask_master(call, command, call->words[1]);
}

static void
run_drain(struct admin_call *call)
{
	run_on_listener(call, COMMAND_DRAIN);
}

static void
run_resume(struct admin_call *call)
{
	run_on_listener(call, COMMAND_RESUME);
}

static void
run_server(struct admin_call *call)
{
	char order[128]; /* no name is as long; the master knows the servers and judges the words */
	struct text text;

	text_init(&text, order, sizeof(order));
	for (int i = 1; i < call->word_count; i++) {
		text_add(&text, "%s%s", i > 1 ? " " : "", call->words[i]);
	}
	ask_master(call, COMMAND_SERVER, order);
}

static void
run_kill(struct admin_call *call)
{
	uint32_t serial;
	int slot;

	if (call->word_count != 2 || !connections_parse_id(call->words[1], &slot, &serial)) {
		refuse_usage(call);
		return;
	}
	ask_master(call, COMMAND_KILL, call->words[1]);
}

/* --- connections --- */

/* @return false when the options make no sense; the call is refused then */
static bool
read_filter(struct admin_call *call, struct connections *wanted)
{
	for (int i = 1; i + 1 < call->word_count; i += 2) {
		const char *option = call->words[i], *value = call->words[i + 1];

		if (strcmp(option, "--listener") == 0) {
			wanted->listener = value;
		} else if (strcmp(option, "--older") == 0) {
			if (text_parse_duration_ms(value, &wanted->older_ms) != 0) {
				admin_refuse(call, ADMIN_USAGE,
					"--older: no duration; write 90s, 10m, 2h or 1d");
				return false;
			}
		} else if (strcmp(option, "--state") == 0) {
			wanted->state = sock_diag_state_by_name(value);
			if (wanted->state == 0) {
				admin_refuse(call, ADMIN_USAGE,
					"--state: no state of TCP; write ESTABLISHED, CLOSE_WAIT, "
					"FIN_WAIT1, FIN_WAIT2, LAST_ACK or CLOSING");
				return false;
			}
		} else {
			refuse_usage(call);
			return false;
		}
	}
	if (call->word_count % 2 == 0) {
		refuse_usage(call);
		return false;
	}
	if (wanted->listener != NULL &&
		config_listener(call->monitor->config, wanted->listener) == NULL) {
		admin_refuse(call, ADMIN_FAILED,
			"there is no listener '%s'; acceptctl listeners shows them",
			wanted->listener);
		return false;
	}
	return true;
}

static void
on_rows(struct link_request *request, int slot, uint64_t count, int fd)
{
	struct admin_call *call = container_of(request, struct admin_call, request);

	connections_take(call->connections, slot, count, fd);
}

static void
on_list_result(struct link_request *request, int status, const char *text)
{
	struct admin_call *call = container_of(request, struct admin_call, request);
	const struct connections *found = call->connections;

	if (status != 0) {
		answer_with(call, status, text);
	} else if (found->slot >= 0 && found->count == 0) {
		admin_refuse(call, ADMIN_FAILED, "there is no such connection (any more)");
	} else {
		connections_sort(call->connections);
		check_rendered(call, connections_render(found, &call->render, text, call->out));
	}
	admin_finish(call);
}

static void
ask_for_list(struct admin_call *call)
{
	if (admin_pending_bytes(call->monitor) > LISTS_PENDING_MAX) {
		admin_refuse(call, ADMIN_BUSY,
			"other sessions have not taken their lists yet; try again");
		return;
	}
	call->request.on_rows = on_rows;
	call->request.on_result = on_list_result;
	ask_master(call, COMMAND_LIST, "");
}

static void
run_connections(struct admin_call *call)
{
	call->connections = connections_new(&call->monitor->board);
	if (call->connections == NULL) {
		admin_refuse(call, ADMIN_FAILED, "out of memory");
	} else if (read_filter(call, call->connections)) {
		ask_for_list(call);
	}
}

static void
run_connection(struct admin_call *call)
{
	struct connections *wanted = connections_new(&call->monitor->board);

	call->connections = wanted;
	if (wanted == NULL) {
		admin_refuse(call, ADMIN_FAILED, "out of memory");
	} else if (call->word_count != 2 ||
		   !connections_parse_id(call->words[1], &wanted->slot, &wanted->serial)) {
		refuse_usage(call);
	} else {
		ask_for_list(call);
	}
}

void
admin_commands_clean(struct admin_call *call)
{
	connections_free(&call->connections);
}

/* --- the rows --- */

/* clang-format off */
const struct admin_command admin_commands[] = {
	{"status", "", 0, RIGHT_READ, run_status,
	 "Is it well, and if not, what to do; exit status 1 when it is ill."},
	{"listeners", "", 0, RIGHT_READ, run_listeners,
	 "Each listener: accept queue, dropped segments, connections, bytes."},
	{"upstreams", "", 0, RIGHT_READ, run_upstreams, "The back ends: state, places, who waits."},
	{"server", "NAME drain|ready|weight N|max N", 3, RIGHT_OPERATE, run_server,
	 "Give a server (NAME or UPSTREAM/NAME) no new sessions, some again, another weight or limit."},
	{"workers", "", 0, RIGHT_READ, run_workers,
	 "Each worker: connections, accepts, turns of its loop, why it pauses."},
	{"queue", "", 0, RIGHT_READ, run_queue,
	 "The accept queues as bars; on a terminal drawn again each second."},
	{"states", "[LISTENER]", 1, RIGHT_READ, run_states,
	 "TCP sockets of each listener by state, with the oldest CLOSE_WAIT."},
	{"kernel", "", 0, RIGHT_READ, run_kernel,
	 "The kernel's SNMP counters of this network namespace, since acceptd began."},
	{"events", "[--new]", 1, RIGHT_READ, run_events,
	 "What happened lately; with -f acceptctl goes on to show what happens."},
	{"stats", "[PATTERN]", 1, RIGHT_READ, run_stats,
	 "Every statistic as name, value, rate, in the form of nstat."},
	{"connections", "[--listener L] [--older D] [--state S]", 6, RIGHT_READ, run_connections,
	 "Every open connection, the oldest first."},
	{"connection", "ID", 1, RIGHT_READ, run_connection,
	 "One connection."},
	{"kill", "ID", 1, RIGHT_OPERATE, run_kill,
	 "Reset one connection."},
	{"drain", "LISTENER", 1, RIGHT_OPERATE, run_drain,
	 "Let no new clients in; those connected or in the queue are served on. New ones try again "
	 "for a while, so a short drain turns nobody away. Ends with resume or with the server."},
	{"resume", "LISTENER", 1, RIGHT_OPERATE, run_resume,
	 "Let new clients in again."},
	{"reload", "", 0, RIGHT_ADMINISTER, run_reload,
	 "Read the configuration again; says whether it took effect, and why not."},
	{"stop", "[now]", 1, RIGHT_ADMINISTER, run_stop,
	 "Finish the connections and end the server; now: cut them. Returns when it has ended."},
	{"doctor", "[--sysctl]", 1, RIGHT_READ, run_doctor,
	 "Will this machine carry this configuration: exit status 0 fit, 1 warnings, 2 it will not "
	 "hold; acceptctl doctor --write FILE makes a file for sysctl.d."},
	{"version", "", 0, RIGHT_READ, run_version,
	 "Version of the server that runs."},
	{"help", "", 0, RIGHT_READ, run_help,
	 "This list."},
};
/* clang-format on */
const size_t admin_command_count = ARRAY_LEN(admin_commands);

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
		refuse_usage(call);
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
