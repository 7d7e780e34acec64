/* Will this machine carry this configuration? One verdict per setting that decides it, each with
 * the value now, the value needed, the reason and the exact command; and the first limit that will
 * be met. Pure: facts come from common/machine. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/defs.h"

struct config;
struct machine;

/* Measured on Linux 6.18: kernel memory of an idle accepted TCP connection (socket, inode, dentry,
 * file, epoll item), and user memory of a worker's connection and of a worker itself. */
#define DOCTOR_KERNEL_BYTES_PER_CONNECTION 4096
#define DOCTOR_USER_BYTES_PER_CONNECTION   300
#define DOCTOR_BYTES_PER_WORKER            (3 * 1024 * 1024)
/* Descriptors of a worker that are not clients: channel, log, epoll, listeners, reserve. */
#define DOCTOR_DESCRIPTORS_RESERVED 64

enum doctor_verdict { DOCTOR_FIT, DOCTOR_WARNING, DOCTOR_WILL_NOT_HOLD, DOCTOR_UNKNOWN };

struct doctor_row {
	char name[48];
	char now[48];
	char needed[48];
	enum doctor_verdict verdict;
	char reason[256];
	char command[160];    /* "" when there is nothing to do */
	char sysctl_line[96]; /* "net.core.somaxconn = 65535", "" when it is no sysctl */
	char docker_form[96]; /* "--sysctl net.core.somaxconn=65535", "" when not settable there */
	char pod_form[160];   /* one line of securityContext */
};

#define DOCTOR_ROWS_MAX 72

struct doctor_report {
	struct doctor_row rows[DOCTOR_ROWS_MAX];
	size_t count;
	bool is_container;
	int64_t forecast_connections; /* what this machine can hold of this configuration */
	char forecast_limit[96];      /* the limit met first */
};

/** @param workers  as many as will run (config->workers may be "auto") */
void doctor_examine(const struct machine *machine, const struct config *config, int64_t workers,
	struct doctor_report *report);
/** Exit status: 0 fit, 1 warnings, 2 will not hold. */
int doctor_status(const struct doctor_report *report);
const char *doctor_verdict_name(enum doctor_verdict verdict);

/** The table and the forecast for people. @return 0 or -ENOMEM */
int doctor_print(const struct doctor_report *report, FILE *stream, bool with_colour) MUST_CHECK;
void doctor_print_json(const struct doctor_report *report, FILE *stream);
/** A sysctl.d file that sets what the report asks for. */
void doctor_print_sysctl(const struct doctor_report *report, FILE *stream);
