/* Examinations of the machine: descriptors, memory, processes, connection tracking, stale advice.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/examination.h"

static void
examine_file_max(struct examination *exam)
{
	int64_t in_use = exam_knows(exam, SYSCTL_FILE_NR) ? exam_value(exam, SYSCTL_FILE_NR) : 0;

	exam_floor(exam, SYSCTL_FILE_MAX, in_use + exam->sockets + exam->sockets / 10,
		DOCTOR_WILL_NOT_HOLD, "the whole machine has descriptors for all connections",
		"the machine runs out of descriptors before max_connections (accept fails with "
		"ENFILE)");
}

static void
examine_nr_open(struct examination *exam)
{
	int64_t each = exam->sockets / exam->workers + DOCTOR_DESCRIPTORS_RESERVED;

	exam_floor(exam, SYSCTL_NR_OPEN, each, DOCTOR_WARNING,
		"the limit of open files can be raised as far as a worker needs",
		"RLIMIT_NOFILE cannot be raised to what a worker needs");
}

static void
examine_descriptors(struct examination *exam)
{
	struct doctor_row *row = exam_row(exam, "RLIMIT_NOFILE (hard, per process)");
	int64_t each =
		(exam->connections + exam->workers - 1) / exam->workers * exam->descriptors_each +
		DOCTOR_DESCRIPTORS_RESERVED;
	int64_t hard = exam->machine->descriptors_hard;

	row_numbers(row, hard, each);
	if (hard == INT64_MAX) {
		(void)snprintf(row->now, sizeof(row->now), "unlimited");
	}
	if (hard >= each) {
		row_judge(row, DOCTOR_FIT, "%" PRId64 " workers share %" PRId64 " connections",
			exam->workers, exam->connections);
		return;
	}
	row_judge(row, DOCTOR_WILL_NOT_HOLD,
		"%" PRId64 " workers can hold only %" PRId64
		" connections; set workers = \"auto\" or "
		"raise the limit (systemd: LimitNOFILE=%" PRId64 ")",
		exam->workers,
		exam->workers * ((hard - DOCTOR_DESCRIPTORS_RESERVED) / exam->descriptors_each),
		each);
	(void)snprintf(row->command, sizeof(row->command), "ulimit -Hn %" PRId64, each);
	(void)snprintf(
		row->docker_form, sizeof(row->docker_form), "--ulimit nofile=%" PRId64, each);
}

static void
examine_epoll_watches(struct examination *exam)
{
	exam_floor(exam, SYSCTL_EPOLL_WATCHES, exam->sockets + exam->workers * 16,
		DOCTOR_WILL_NOT_HOLD, "every connection can be watched",
		"epoll refuses connections past it (ENOSPC)");
}

static void
examine_conntrack(struct examination *exam)
{
	if (!exam_knows(exam, SYSCTL_CONNTRACK_MAX)) {
		return; /* not loaded: nothing is tracked */
	}
	exam_floor(exam, SYSCTL_CONNTRACK_MAX, exam->sockets + exam->sockets / 2,
		DOCTOR_WILL_NOT_HOLD, "connection tracking has room for all and for TIME_WAIT",
		"a full connection tracking table drops packets of new clients, seen in the kernel "
		"log "
		"alone");
}

static int64_t
memory_needed(const struct examination *exam)
{
	return exam->connections * exam_bytes_per_connection(exam) +
	       exam->workers * DOCTOR_BYTES_PER_WORKER;
}

static void
examine_memory(struct examination *exam)
{
	struct doctor_row *row = exam_row(exam, "memory for max_connections");
	int64_t needed = memory_needed(exam) / (1024 * 1024) + 1;
	int64_t usable = exam_memory_usable(exam) / (1024 * 1024);

	(void)snprintf(row->now, sizeof(row->now), "%" PRId64 " MiB free", usable);
	(void)snprintf(row->needed, sizeof(row->needed), "%" PRId64 " MiB", needed);
	if (exam->machine->memory_total_bytes == 0) {
		row_judge(row, DOCTOR_UNKNOWN, "/proc/meminfo cannot be read");
	} else if (usable >= needed) {
		row_judge(row, DOCTOR_FIT,
			"%d bytes in the kernel and %d in the worker for each idle connection%s",
			DOCTOR_KERNEL_BYTES_PER_CONNECTION, DOCTOR_USER_BYTES_PER_CONNECTION,
			exam->descriptors_each > 1 ? ", twice when it is proxied" : "");
	} else {
		row_judge(row, DOCTOR_WILL_NOT_HOLD,
			"idle connections alone need more than there is; lower max_connections or "
			"add "
			"memory%s",
			exam->machine->cgroup_memory_max_bytes == INT64_MAX
				? ""
				: " (cgroup memory.max)");
	}
}

static void
examine_overcommit(struct examination *exam)
{
	struct doctor_row *row = exam_sysctl(exam, SYSCTL_OVERCOMMIT, "0 or 1");

	if (row == NULL) {
		return;
	}
	if (exam_value(exam, SYSCTL_OVERCOMMIT) != 2) {
		row_judge(row, DOCTOR_FIT, "a crashed worker can be forked again under load");
		return;
	}
	row_judge(row, DOCTOR_WARNING,
		"strict accounting: a fork or an allocation may fail while memory is free");
	row_prescribe(row, SYSCTL_OVERCOMMIT, "0");
}

static void
examine_pids(struct examination *exam)
{
	int64_t needed = exam->workers * 2 + 4; /* a full replacement beside the old ones */
	struct doctor_row *row;

	if (exam->machine->cgroup_pids_max == INT64_MAX) {
		return;
	}
	row = exam_row(exam, "cgroup pids.max");
	row_numbers(row, exam->machine->cgroup_pids_max, needed);
	if (exam->machine->cgroup_pids_max >= needed) {
		row_judge(row, DOCTOR_FIT, "room for a replacement beside every worker");
		return;
	}
	row_judge(row, DOCTOR_WARNING, "a crashed worker may not be replaced: fork fails (EAGAIN)");
	(void)snprintf(row->docker_form, sizeof(row->docker_form), "--pids-limit %" PRId64, needed);
	(void)snprintf(row->command, sizeof(row->command), "systemd: TasksMax=%" PRId64, needed);
}

/* Settings that old guides recommend and this kernel does not have or does not want. */
static const struct {
	const char *name;
	const char *value; /* NULL: any */
	const char *reason;
} stale_advice[] = {
	{"net.ipv4.tcp_tw_recycle", NULL,
		"gone since Linux 4.12; it broke clients behind NAT; delete the line"},
	{"net.ipv4.tcp_tw_timeout", NULL, "never was in mainline Linux; delete the line"},
	{"net.ipv4.tcp_low_latency", NULL, "without effect since Linux 4.14; delete the line"},
	{"net.ipv4.tcp_fack", NULL, "without effect since Linux 4.15; delete the line"},
	{"net.ipv4.ip_conntrack_max", NULL, "renamed to net.netfilter.nf_conntrack_max"},
	{"net.ipv4.netfilter.ip_conntrack_max", NULL, "renamed to net.netfilter.nf_conntrack_max"},
	{"net.ipv4.tcp_abort_on_overflow", "1",
		"resets clients that would have been served a moment later; delete the line"},
	{"net.ipv4.tcp_timestamps", "0",
		"makes SYN cookies lose options and tcp_tw_reuse do nothing; delete the line"},
	{"net.ipv4.tcp_syncookies", "0", "lets a SYN flood lock clients out; delete the line"},
};

static void
examine_stale_advice(struct examination *exam)
{
	const struct machine_advice *advice;
	struct doctor_row *row;
	size_t i, n;

	for (i = 0; i < exam->machine->advice_count; i++) {
		advice = &exam->machine->advice[i];
		for (n = 0; n < ARRAY_LEN(stale_advice); n++) {
			if (strcmp(advice->name, stale_advice[n].name) != 0 ||
				(stale_advice[n].value != NULL &&
					strcmp(advice->value, stale_advice[n].value) != 0)) {
				continue;
			}
			row = exam_row(exam, advice->name);
			(void)snprintf(row->now, sizeof(row->now), "%.47s", advice->value);
			(void)snprintf(row->needed, sizeof(row->needed), "not set");
			row_judge(row, DOCTOR_WARNING, "stale advice at %.100s:%d: %s",
				advice->file, advice->line, stale_advice[n].reason);
		}
	}
}

void
examine_machine(struct examination *exam)
{
	static void (*const examinations[])(struct examination *) = {
		examine_descriptors,
		examine_file_max,
		examine_nr_open,
		examine_epoll_watches,
		examine_memory,
		examine_overcommit,
		examine_pids,
		examine_conntrack,
		examine_stale_advice,
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(examinations); i++) {
		examinations[i](exam);
	}
}
