/* Examinations of what TCP is set to. The wanted values follow from the configuration, the verdicts
 * from what the kernel does past them. */
#include <inttypes.h>
#include <stdio.h>

#include "common/examination.h"

static void
examine_somaxconn(struct examination *exam)
{
	char needed[24];
	struct doctor_row *row;
	int64_t now = exam_value(exam, SYSCTL_SOMAXCONN);
	bool raises = exam->config->kernel.somaxconn == CONFIG_SOMAXCONN_AUTO &&
		      exam->machine->can_write_sysctls;

	(void)snprintf(needed, sizeof(needed), "%" PRId64, exam->backlog);
	row = exam_sysctl(exam, SYSCTL_SOMAXCONN, needed);
	if (row == NULL) {
		return;
	}
	if (now >= exam->backlog) {
		row_judge(row, DOCTOR_FIT, "accept queues get the backlog they ask for");
	} else if (raises) {
		row_judge(row, DOCTOR_FIT,
			"acceptd raises it at start (kernel.somaxconn = \"auto\")");
	} else {
		row_judge(row, DOCTOR_WARNING,
			"the kernel cuts every accept queue to %" PRId64
			"; a burst beyond it waits a second or more",
			now);
		row_prescribe_number(row, SYSCTL_SOMAXCONN, exam->backlog);
	}
}

static void
examine_syn_backlog(struct examination *exam)
{
	struct doctor_row *row;

	if (exam_knows(exam, SYSCTL_SYNCOOKIES) && exam_value(exam, SYSCTL_SYNCOOKIES) == 0) {
		exam_floor(exam, SYSCTL_MAX_SYN_BACKLOG, exam->backlog, DOCTOR_WARNING,
			"half-open handshakes have room",
			"without SYN cookies, handshakes beyond it are dropped");
		return;
	}
	row = exam_sysctl(exam, SYSCTL_MAX_SYN_BACKLOG, "any");
	if (row != NULL) {
		row_judge(row, DOCTOR_FIT, "SYN cookies take over past it");
	}
}

static void
examine_syncookies(struct examination *exam)
{
	struct doctor_row *row = exam_sysctl(exam, SYSCTL_SYNCOOKIES, "1");
	int64_t now = exam_value(exam, SYSCTL_SYNCOOKIES);

	if (row == NULL) {
		return;
	}
	if (now == 1) {
		row_judge(row, DOCTOR_FIT, "a SYN flood cannot lock clients out");
		return;
	}
	row_judge(row, DOCTOR_WARNING, "%s",
		now == 0 ? "a SYN flood fills the SYN queue and locks clients out"
			 : "every handshake is a cookie: options such as window scaling get lost");
	row_prescribe(row, SYSCTL_SYNCOOKIES, "1");
}

static void
examine_abort_on_overflow(struct examination *exam)
{
	struct doctor_row *row = exam_sysctl(exam, SYSCTL_ABORT_ON_OVERFLOW, "0");

	if (row == NULL) {
		return;
	}
	if (exam_value(exam, SYSCTL_ABORT_ON_OVERFLOW) == 0) {
		row_judge(row, DOCTOR_FIT, "a client that meets a full queue tries again");
		return;
	}
	row_judge(row, DOCTOR_WARNING,
		"a client that meets a full queue is reset instead of trying again");
	row_prescribe(row, SYSCTL_ABORT_ON_OVERFLOW, "0");
}

static void
examine_synack_retries(struct examination *exam)
{
	struct doctor_row *row = exam_sysctl(exam, SYSCTL_SYNACK_RETRIES, "2 to 7");
	int64_t now = exam_value(exam, SYSCTL_SYNACK_RETRIES);

	if (row == NULL) {
		return;
	}
	if (now >= 2 && now <= 7) {
		row_judge(row, DOCTOR_FIT, "half-open handshakes end within about a minute");
		return;
	}
	row_judge(row, DOCTOR_WARNING, "%s",
		now < 2 ? "a single lost packet ends a handshake"
			: "half-open handshakes stay for minutes");
	row_prescribe(row, SYSCTL_SYNACK_RETRIES, "5");
}

/* The most connections that one address and port of a back end may get from one source address. */
static int64_t
connections_per_source(const struct examination *exam, const struct upstream_config *upstream)
{
	int64_t most = 0,
		sources = upstream->sources.count > 0 ? (int64_t)upstream->sources.count : 1;

	for (size_t i = 0; i < upstream->server_count; i++) {
		int64_t limit = upstream->servers[i].max_connections;

		if (limit == CONFIG_NONE || limit > exam->connections) {
			limit = exam->connections;
		}
		most = limit > most ? limit : most;
	}
	return (most + sources - 1) / sources;
}

/* Measured on Linux 6.18: connect(2) looks at ports of one parity first, so from half of the range
 * on it takes 70 times as long, and at the end it fails with EADDRNOTAVAIL. */
static void
judge_ports(struct doctor_row *row, int64_t ports, int64_t needed)
{
	if (needed <= ports / 2) {
		row_judge(row, DOCTOR_FIT, "%" PRId64 " local ports for each back end and source",
			ports);
	} else {
		row_judge(row, needed <= ports ? DOCTOR_WARNING : DOCTOR_WILL_NOT_HOLD,
			"%" PRId64 " ports for up to %" PRId64
			" connections to one back end: connects %s; add addresses to sources, "
			"servers to "
			"the upstream, or set their max_connections",
			ports, needed,
			needed <= ports ? "get slow past half of them" : "fail past them");
		row_prescribe(row, SYSCTL_PORT_RANGE, "1024 65535");
	}
}

static void
examine_port_range(struct examination *exam)
{
	const int64_t *range = exam->machine->sysctls[SYSCTL_PORT_RANGE].values;
	struct doctor_row *row = exam_sysctl(exam, SYSCTL_PORT_RANGE, "any");
	int64_t needed = 0;

	if (row == NULL) {
		return;
	}
	for (size_t i = 0; i < exam->config->upstream_count; i++) {
		int64_t most = connections_per_source(exam, &exam->config->upstreams[i]);

		needed = most > needed ? most : needed;
	}
	if (needed == 0) {
		row_judge(row, DOCTOR_FIT, "no listener of this configuration connects onwards");
		return;
	}
	(void)snprintf(row->needed, sizeof(row->needed), "%" PRId64 " ports", needed * 2);
	judge_ports(row, range[1] - range[0] + 1, needed);
}

static void
examine_tw_reuse(struct examination *exam)
{
	struct doctor_row *row = exam_sysctl(exam, SYSCTL_TW_REUSE, "0 or 2");
	bool without_timestamps =
		exam_knows(exam, SYSCTL_TIMESTAMPS) && exam_value(exam, SYSCTL_TIMESTAMPS) == 0;

	if (row == NULL) {
		return;
	}
	if (exam_value(exam, SYSCTL_TW_REUSE) == 1 && without_timestamps) {
		row_judge(row, DOCTOR_WARNING,
			"has no effect while net.ipv4.tcp_timestamps is 0, and concerns outgoing "
			"connections alone");
		row_prescribe(row, SYSCTL_TW_REUSE, "2");
		return;
	}
	row_judge(row, DOCTOR_FIT, "concerns outgoing connections alone; a server needs no change");
}

static void
examine_timestamps(struct examination *exam)
{
	struct doctor_row *row = exam_sysctl(exam, SYSCTL_TIMESTAMPS, "1");

	if (row == NULL) {
		return;
	}
	if (exam_value(exam, SYSCTL_TIMESTAMPS) != 0) {
		row_judge(row, DOCTOR_FIT, "old segments are told from new ones");
		return;
	}
	row_judge(row, DOCTOR_WARNING,
		"without timestamps SYN cookies lose window scaling and fast connections mix up "
		"old "
		"segments");
	row_prescribe(row, SYSCTL_TIMESTAMPS, "1");
}

static void
examine_tw_buckets(struct examination *exam)
{
	exam_floor(exam, SYSCTL_MAX_TW_BUCKETS, exam->connections, DOCTOR_WARNING,
		"every connection may end in TIME_WAIT at once",
		"past it sockets close without TIME_WAIT (TCPTimeWaitOverflow counts them)");
}

static void
examine_fin_timeout(struct examination *exam)
{
	struct doctor_row *row = exam_sysctl(exam, SYSCTL_FIN_TIMEOUT, "15 to 120");
	int64_t now = exam_value(exam, SYSCTL_FIN_TIMEOUT);

	if (row == NULL) {
		return;
	}
	if (now >= 15 && now <= 120) {
		row_judge(row, DOCTOR_FIT, "closed sockets wait long enough for the peer's FIN");
		return;
	}
	row_judge(row, DOCTOR_WARNING, "%s",
		now < 15 ? "too small: a slow peer's last data is answered with a reset; it does "
			   "not "
			   "shorten TIME_WAIT"
			 : "closed sockets of vanished peers stay for minutes");
	row_prescribe(row, SYSCTL_FIN_TIMEOUT, "60");
}

static void
examine_keepalive(struct examination *exam)
{
	static const enum machine_sysctl rows[] = {
		SYSCTL_KEEPALIVE_TIME, SYSCTL_KEEPALIVE_INTVL, SYSCTL_KEEPALIVE_PROBES};
	struct doctor_row *row;
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		row = exam_sysctl(exam, rows[i], "any");
		if (row != NULL) {
			row_judge(
				row, DOCTOR_FIT, "each listener sets its own (keepalive = { … })");
		}
	}
}

static void
examine_orphan_retries(struct examination *exam)
{
	struct doctor_row *row = exam_sysctl(exam, SYSCTL_ORPHAN_RETRIES, "0, or 2 and more");

	if (row == NULL) {
		return;
	}
	if (exam_value(exam, SYSCTL_ORPHAN_RETRIES) != 1) {
		row_judge(row, DOCTOR_FIT, "data sent before a close gets its retransmissions");
		return;
	}
	row_judge(row, DOCTOR_WARNING,
		"one lost packet after a close loses the last data sent to the client");
	row_prescribe(row, SYSCTL_ORPHAN_RETRIES, "0");
}

static void
examine_orphans(struct examination *exam)
{
	exam_floor(exam, SYSCTL_MAX_ORPHANS, exam->connections / 4, DOCTOR_WARNING,
		"a quarter of the connections may be closing with data still on its way",
		"past it the kernel resets closing connections whose data is on its way "
		"(TCPAbortOnMemory)");
}

static void
examine_tcp_mem(struct examination *exam)
{
	char needed[48], wanted[72];
	int64_t pages = exam->connections; /* one page in flight for each */
	const int64_t *now = exam->machine->sysctls[SYSCTL_TCP_MEM].values;
	struct doctor_row *row;

	(void)snprintf(needed, sizeof(needed), "pressure above %" PRId64, pages);
	row = exam_sysctl(exam, SYSCTL_TCP_MEM, needed);
	if (row == NULL) {
		return;
	}
	if (now[1] >= pages) {
		row_judge(row, DOCTOR_FIT, "every connection may have a page of data in flight");
		return;
	}
	row_judge(row, DOCTOR_WARNING,
		"TCP comes under memory pressure when every connection has a page in flight: "
		"windows "
		"shrink, then segments are dropped");
	(void)snprintf(wanted, sizeof(wanted), "%" PRId64 " %" PRId64 " %" PRId64, pages * 3 / 4,
		pages, pages * 3 / 2);
	row_prescribe(row, SYSCTL_TCP_MEM, wanted);
}

static void
examine_socket_buffer(struct examination *exam, enum machine_sysctl sysctl, const char *wanted)
{
	struct doctor_row *row = exam_sysctl(exam, sysctl, "default 16384 to 1048576");
	const int64_t *now = exam->machine->sysctls[sysctl].values;

	if (row == NULL) {
		return;
	}
	if (now[1] >= 16384 && now[1] <= 1048576) {
		row_judge(row, DOCTOR_FIT, "an idle connection has no buffer at all");
		return;
	}
	row_judge(row, DOCTOR_WARNING, "%s",
		now[1] < 16384 ? "small default: throughput suffers on every path that is not short"
			       : "large default: a slow reader can pin more than 1 MiB");
	row_prescribe(row, sysctl, wanted);
}

static void
examine_socket_buffers(struct examination *exam)
{
	examine_socket_buffer(exam, SYSCTL_TCP_RMEM, "4096 131072 6291456");
	examine_socket_buffer(exam, SYSCTL_TCP_WMEM, "4096 16384 4194304");
}

static void
examine_netdev_backlog(struct examination *exam)
{
	exam_floor(exam, SYSCTL_NETDEV_MAX_BACKLOG, 1000, DOCTOR_WARNING,
		"packets of a burst wait for the CPU",
		"bursts of packets are dropped before TCP sees them (second column of "
		"/proc/net/softnet_stat)");
}

/* Only what runs now can be asked, and only on this host. */
static void
examine_backlogs(struct examination *exam)
{
	const struct machine_backlogs *backlogs = &exam->machine->backlogs;
	struct doctor_row *row;

	if (backlogs->known == 0) {
		return;
	}
	row = exam_row(exam, "backlog of back ends here");
	row_numbers(row, backlogs->limit, backlogs->declared);
	if (backlogs->declared <= backlogs->limit) {
		row_judge(row, DOCTOR_FIT, "their accept queues hold what is declared of them");
		return;
	}
	row_judge(row, DOCTOR_WARNING,
		"%s declares %" PRId64 " and its accept queue holds %" PRId64
		": a burst overruns it, pacing cannot protect it",
		backlogs->worst, backlogs->declared, backlogs->limit);
	(void)snprintf(row->command, sizeof(row->command),
		"declare backlog = %" PRId64 ", or raise it in the back end", backlogs->limit);
}

void
examine_tcp(struct examination *exam)
{
	static void (*const examinations[])(struct examination *) = {
		examine_somaxconn,
		examine_syn_backlog,
		examine_syncookies,
		examine_abort_on_overflow,
		examine_synack_retries,
		examine_tcp_mem,
		examine_socket_buffers,
		examine_orphans,
		examine_orphan_retries,
		examine_tw_buckets,
		examine_fin_timeout,
		examine_tw_reuse,
		examine_timestamps,
		examine_port_range,
		examine_keepalive,
		examine_netdev_backlog,
		examine_backlogs,
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(examinations); i++) {
		examinations[i](exam);
	}
}
