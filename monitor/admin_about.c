/* Commands that tell about the machine, the program and the commands themselves. */
#include "build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "common/doctor.h"
#include "common/json.h"
#include "common/machine.h"
#include "common/table.h"
#include "monitor/admin.h"
#include "monitor/admin_commands.h"
#include "monitor/admin_handlers.h"
#include "monitor/monitor.h"

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
		admin_check(call, doctor_print(report, call->out, call->render.with_colour));
	}
	call->status = doctor_status(report);
}

/* --sysctl: a file for sysctl.d. */
void
admin_tell_doctor(struct admin_call *call)
{
	const char *option = admin_argument(call, 1);
	struct machine *machine;
	struct doctor_report *report;

	if (option != NULL && strcmp(option, "--sysctl") != 0) {
		admin_refuse_usage(call);
		return;
	}
	machine = calloc(1, sizeof(*machine));
	report = calloc(1, sizeof(*report));
	if (machine == NULL || report == NULL) {
		admin_refuse(call, ADMIN_FAILED, "out of memory");
	} else {
		machine_read("", machine);
		machine_read_backlogs(call->monitor->config, machine);
		doctor_examine(
			machine, call->monitor->config, count_workers(call->render.now), report);
		print_report(call, report, option != NULL);
	}
	free(machine);
	free(report);
}

void
admin_tell_version(struct admin_call *call)
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

void
admin_tell_help(struct admin_call *call)
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
		admin_check(call, -ENOMEM);
		return;
	}
	for (size_t i = 0; i < admin_command_count; i++) {
		const struct admin_command *command = &admin_commands[i];

		table_cell(table, "%s%s%s", command->word, command->arguments[0] != '\0' ? " " : "",
			command->arguments);
		table_cell(table, "%s", admin_right_name(command->right));
		table_cell(table, "%s", command->help);
	}
	admin_check(call, table_print(table, call->out, call->render.with_colour));
	table_free(&table);
}
