/* The doctor's report as a table, as JSON and as a sysctl.d file. */
#include <errno.h>
#include <inttypes.h>

#include "common/doctor.h"
#include "common/json.h"
#include "common/table.h"

static const struct {
	const char *name;
	enum table_colour colour;
} verdicts[] = {
	[DOCTOR_FIT] = {"fit", TABLE_GOOD},
	[DOCTOR_WARNING] = {"warning", TABLE_WARN},
	[DOCTOR_WILL_NOT_HOLD] = {"will not hold", TABLE_BAD},
	[DOCTOR_UNKNOWN] = {"unknown", TABLE_DIM},
};

const char *
doctor_verdict_name(enum doctor_verdict verdict)
{
	return verdicts[verdict].name;
}

static int
doctor_print_rows(const struct doctor_report *report, FILE *stream, bool with_colour)
{
	static const struct table_column columns[] = {
		{"setting", TABLE_LEFT},
		{"now", TABLE_RIGHT},
		{"needed", TABLE_RIGHT},
		{"verdict", TABLE_LEFT},
		{"why", TABLE_LEFT},
	};
	struct table *table = table_new(columns, ARRAY_LEN(columns));
	const struct doctor_row *row;
	size_t i;
	int error;

	if (table == NULL) {
		return -ENOMEM;
	}
	for (i = 0; i < report->count; i++) {
		row = &report->rows[i];
		table_cell(table, "%s", row->name);
		table_cell(table, "%s", row->now);
		table_cell(table, "%s", row->needed);
		table_cell_coloured(table, verdicts[row->verdict].colour, "%s",
			doctor_verdict_name(row->verdict));
		table_cell(table, "%s", row->reason);
	}
	error = table_print(table, stream, with_colour);
	table_free(&table);
	return error;
}

static void
doctor_print_cures(const struct doctor_report *report, FILE *stream)
{
	bool is_first = true;
	const struct doctor_row *row;
	size_t i;

	for (i = 0; i < report->count; i++) {
		row = &report->rows[i];
		if (row->command[0] == '\0') {
			continue;
		}
		fputs(is_first ? "\nwhat to do:\n" : "", stream);
		is_first = false;
		fprintf(stream, "  %s\n", row->command);
		if (report->is_container && row->docker_form[0] != '\0') {
			fprintf(stream, "    docker run %s\n", row->docker_form);
		}
		if (report->is_container && row->pod_form[0] != '\0') {
			fprintf(stream, "    pod securityContext: %s\n", row->pod_form);
		}
	}
	if (!is_first) {
		fputs("  (acceptctl doctor --write /etc/sysctl.d/60-acceptd.conf keeps the sysctls "
		      "over a "
		      "reboot)\n",
			stream);
	}
}

int
doctor_print(const struct doctor_report *report, FILE *stream, bool with_colour)
{
	int error = doctor_print_rows(report, stream, with_colour);

	doctor_print_cures(report, stream);
	fprintf(stream,
		"\nthis machine can hold %" PRId64
		" connections of this configuration; the first limit is %s%s\n",
		report->forecast_connections, report->forecast_limit,
		doctor_status(report) == 2 ? "; what will not hold beside that stands above" : "");
	return error;
}

void
doctor_print_json(const struct doctor_report *report, FILE *stream)
{
	const struct doctor_row *row;
	struct json json;
	size_t i;

	json_init(&json, stream);
	json_object_begin(&json, NULL);
	json_signed(&json, "status", doctor_status(report));
	json_signed(&json, "forecast_connections", report->forecast_connections);
	json_string(&json, "forecast_limit", report->forecast_limit);
	json_bool(&json, "is_container", report->is_container);
	json_array_begin(&json, "settings");
	for (i = 0; i < report->count; i++) {
		row = &report->rows[i];
		json_object_begin(&json, NULL);
		json_string(&json, "name", row->name);
		json_string(&json, "now", row->now);
		json_string(&json, "needed", row->needed);
		json_string(&json, "verdict", doctor_verdict_name(row->verdict));
		json_string(&json, "reason", row->reason);
		json_string(&json, "command", row->command);
		json_string(&json, "sysctl_line", row->sysctl_line);
		json_string(&json, "docker_form", row->docker_form);
		json_string(&json, "pod_form", row->pod_form);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_object_end(&json);
}

void
doctor_print_sysctl(const struct doctor_report *report, FILE *stream)
{
	size_t i;

	fputs("# Written by `acceptctl doctor --write`: what this machine lacks for the "
	      "configuration of "
	      "acceptd.\n# Apply with: sysctl --system\n",
		stream);
	for (i = 0; i < report->count; i++) {
		if (report->rows[i].sysctl_line[0] != '\0') {
			fprintf(stream, "# %s\n%s\n", report->rows[i].reason,
				report->rows[i].sysctl_line);
		}
	}
}
