/* The doctor's bench: one examination adds rows to a report, with a verdict and a cure. Pure; used
 * by the doctor's own files alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/defs.h"
#include "common/doctor.h"
#include "common/machine.h"

struct examination {
	const struct machine *machine;
	const struct config *config;
	struct doctor_report *report;
	int64_t workers;
	int64_t connections;
	int64_t descriptors_each; /* of one connection: 2 when it is proxied */
	int64_t sockets;          /* of all connections */
	int64_t backlog;          /* the largest asked for */
};

/** First value of a sysctl; 0 when it is not known. */
int64_t exam_value(const struct examination *exam, enum machine_sysctl sysctl);
bool exam_knows(const struct examination *exam, enum machine_sysctl sysctl);
/** Kernel and user memory of an idle connection; a proxied one has two sockets. */
int64_t exam_bytes_per_connection(const struct examination *exam);
/** Memory that new connections may take: what is available, within the cgroup. */
int64_t exam_memory_usable(const struct examination *exam);

/** A new row; never NULL (past DOCTOR_ROWS_MAX it is one that nobody sees). */
struct doctor_row *exam_row(struct examination *exam, const char *name);
/** The row of a sysctl with its value now. One that is not known is judged so, and NULL returned.
 */
struct doctor_row *exam_sysctl(
	struct examination *exam, enum machine_sysctl sysctl, const char *needed);
/** The complete row of a sysctl that must be at least `floor`. */
void exam_floor(struct examination *exam, enum machine_sysctl sysctl, int64_t floor,
	enum doctor_verdict verdict_below, const char *what_it_is, const char *what_happens);

void row_numbers(struct doctor_row *row, int64_t now, int64_t needed);
void row_judge(struct doctor_row *row, enum doctor_verdict verdict, const char *reason, ...)
	PRINTF_LIKE(3, 4);
/** What to type to give a sysctl its wanted value, in every form a machine may need. */
void row_prescribe(struct doctor_row *row, enum machine_sysctl sysctl, const char *wanted);
void row_prescribe_number(struct doctor_row *row, enum machine_sysctl sysctl, int64_t wanted);

/* The two halves of the report. */
void examine_tcp(struct examination *exam);
void examine_machine(struct examination *exam);
