/* What every examination of the doctor needs: a row, its verdict, its cure. */
#include "common/examination.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

int64_t
exam_value(const struct examination *exam, enum machine_sysctl sysctl)
{
	return exam->machine->sysctls[sysctl].values[0];
}

bool
exam_knows(const struct examination *exam, enum machine_sysctl sysctl)
{
	return exam->machine->sysctls[sysctl].count > 0;
}

int64_t
exam_bytes_per_connection(const struct examination *exam)
{
	return exam->descriptors_each *
	       (DOCTOR_KERNEL_BYTES_PER_CONNECTION + DOCTOR_USER_BYTES_PER_CONNECTION);
}

struct doctor_row *
exam_row(struct examination *exam, const char *name)
{
	static struct doctor_row overflow;
	struct doctor_report *report = exam->report;
	struct doctor_row *row =
		report->count < DOCTOR_ROWS_MAX ? &report->rows[report->count++] : &overflow;

	*row = (struct doctor_row){0};
	(void)snprintf(row->name, sizeof(row->name), "%s", name);
	return row;
}

void
row_judge(struct doctor_row *row, enum doctor_verdict verdict, const char *reason, ...)
{
	va_list args;

	row->verdict = verdict;
	va_start(args, reason);
	(void)vsnprintf(row->reason, sizeof(row->reason), reason, args);
	va_end(args);
}

void
row_numbers(struct doctor_row *row, int64_t now, int64_t needed)
{
	(void)snprintf(row->now, sizeof(row->now), "%" PRId64, now);
	(void)snprintf(row->needed, sizeof(row->needed), "%" PRId64, needed);
}

/* What to type to give a sysctl its wanted value, in every form a machine may need. */
void
row_prescribe(struct doctor_row *row, enum machine_sysctl sysctl, const char *wanted)
{
	const char *name = machine_sysctl_name(sysctl);

	(void)snprintf(row->command, sizeof(row->command), "sysctl -w %s=\"%s\"", name, wanted);
	(void)snprintf(row->sysctl_line, sizeof(row->sysctl_line), "%s = %s", name, wanted);
	if (machine_sysctl_is_namespaced(sysctl)) {
		(void)snprintf(row->docker_form, sizeof(row->docker_form), "--sysctl %s=\"%s\"",
			name, wanted);
		(void)snprintf(row->pod_form, sizeof(row->pod_form),
			"sysctls: [{name: %s, value: \"%s\"}]", name, wanted);
	}
}

void
row_prescribe_number(struct doctor_row *row, enum machine_sysctl sysctl, int64_t wanted)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRId64, wanted);
	row_prescribe(row, sysctl, text);
}

/* The row of a sysctl with the value now; unknown ones are judged and NULL is returned. */
struct doctor_row *
exam_sysctl(struct examination *exam, enum machine_sysctl sysctl, const char *needed)
{
	struct doctor_row *row = exam_row(exam, machine_sysctl_name(sysctl));
	const struct machine_value *value = &exam->machine->sysctls[sysctl];
	size_t i, used = 0;

	(void)snprintf(row->needed, sizeof(row->needed), "%s", needed);
	if (value->count == 0) {
		(void)snprintf(row->now, sizeof(row->now), "-");
		row_judge(row, DOCTOR_UNKNOWN, "not readable here, or not in this kernel");
		return NULL;
	}
	for (i = 0; i < value->count && used < sizeof(row->now); i++) {
		used += (size_t)snprintf(row->now + used, sizeof(row->now) - used, "%s%" PRId64,
			i == 0 ? "" : " ", value->values[i]);
	}
	return row;
}

/* A sysctl that must be at least so large. */
void
exam_floor(struct examination *exam, enum machine_sysctl sysctl, int64_t floor,
	enum doctor_verdict verdict_below, const char *what_it_is, const char *what_happens)
{
	char needed[24];
	struct doctor_row *row;

	(void)snprintf(needed, sizeof(needed), "%" PRId64, floor);
	row = exam_sysctl(exam, sysctl, needed);
	if (row == NULL) {
		return;
	}
	if (exam_value(exam, sysctl) >= floor) {
		row_judge(row, DOCTOR_FIT, "%s", what_it_is);
		return;
	}
	row_judge(row, verdict_below, "%s", what_happens);
	row_prescribe_number(row, sysctl, floor);
}
