/* The whole examination: both halves of the report, the forecast, the exit status. */
#include "common/doctor.h"

#include <stdio.h>

#include "common/examination.h"

int64_t
exam_memory_usable(const struct examination *exam)
{
	const struct machine *machine = exam->machine;
	int64_t in_cgroup =
		machine->cgroup_memory_max_bytes == INT64_MAX
			? INT64_MAX
			: machine->cgroup_memory_max_bytes - machine->cgroup_memory_used_bytes;

	return in_cgroup < machine->memory_available_bytes ? in_cgroup
							   : machine->memory_available_bytes;
}

static void
forecast_limit(struct doctor_report *report, int64_t connections, const char *limit)
{
	if (connections < 0) {
		connections = 0;
	}
	if (connections < report->forecast_connections) {
		report->forecast_connections = connections;
		(void)snprintf(report->forecast_limit, sizeof(report->forecast_limit), "%s", limit);
	}
}

static void
forecast(struct examination *exam)
{
	struct doctor_report *report = exam->report;
	int64_t per_connection = exam_bytes_per_connection(exam);
	int64_t each = exam->descriptors_each;

	report->forecast_connections = INT64_MAX;
	forecast_limit(report, exam->connections, "max_connections of the configuration");
	if (exam->machine->descriptors_hard != INT64_MAX) {
		forecast_limit(report,
			exam->workers *
				((exam->machine->descriptors_hard - DOCTOR_DESCRIPTORS_RESERVED) /
					each),
			"RLIMIT_NOFILE times the number of workers");
	}
	if (exam_knows(exam, SYSCTL_FILE_MAX) && exam_knows(exam, SYSCTL_FILE_NR)) {
		forecast_limit(report,
			(exam_value(exam, SYSCTL_FILE_MAX) - exam_value(exam, SYSCTL_FILE_NR)) /
				each,
			"fs.file-max");
	}
	if (exam_knows(exam, SYSCTL_EPOLL_WATCHES)) {
		forecast_limit(report,
			(exam_value(exam, SYSCTL_EPOLL_WATCHES) - exam->workers * 16) / each,
			"fs.epoll.max_user_watches");
	}
	if (exam_knows(exam, SYSCTL_CONNTRACK_MAX)) {
		forecast_limit(
			report, exam_value(exam, SYSCTL_CONNTRACK_MAX) / each, "nf_conntrack_max");
	}
	if (exam->machine->memory_total_bytes > 0) {
		forecast_limit(report,
			(exam_memory_usable(exam) - exam->workers * DOCTOR_BYTES_PER_WORKER) /
				per_connection,
			"memory");
	}
}

static int64_t
largest_backlog(const struct config *config)
{
	int64_t largest = 0;
	size_t i;

	for (i = 0; i < config->listener_count; i++) {
		if (config->listeners[i].backlog > largest) {
			largest = config->listeners[i].backlog;
		}
	}
	return largest;
}

void
doctor_examine(const struct machine *machine, const struct config *config, int64_t workers,
	struct doctor_report *report)
{
	struct examination exam = {
		.machine = machine,
		.config = config,
		.report = report,
		.workers = workers > 0 ? workers : 1,
		.connections = config->max_connections,
		.descriptors_each = config_descriptors_each(config),
		.sockets = config->max_connections * config_descriptors_each(config),
		.backlog = largest_backlog(config),
	};

	report->count = 0;
	report->is_container = machine->is_container;
	examine_tcp(&exam);
	examine_machine(&exam);
	forecast(&exam);
}

int
doctor_status(const struct doctor_report *report)
{
	int status = 0;
	size_t i;

	for (i = 0; i < report->count; i++) {
		if (report->rows[i].verdict == DOCTOR_WILL_NOT_HOLD) {
			return 2;
		}
		if (report->rows[i].verdict == DOCTOR_WARNING) {
			status = 1;
		}
	}
	return status;
}
