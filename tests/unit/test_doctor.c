#include "common/doctor.h"

#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/machine.h"
#include "tests/unit/run.h"

static struct machine machine;
static struct listener_config listener;
static struct config config;
static struct doctor_report report;

static void
know(enum machine_sysctl sysctl, const char *value)
{
	machine.sysctls[sysctl] = machine_parse_value(value);
}

/* A machine that fits 100 000 connections in every respect. */
static void
healthy(void)
{
	machine = (struct machine){.can_write_sysctls = true,
		.descriptors_hard = 65536,
		.memory_total_bytes = 16ll << 30,
		.memory_available_bytes = 8ll << 30,
		.cgroup_memory_max_bytes = INT64_MAX,
		.cgroup_pids_max = INT64_MAX};
	know(SYSCTL_SOMAXCONN, "4096");
	know(SYSCTL_MAX_SYN_BACKLOG, "2048");
	know(SYSCTL_SYNCOOKIES, "1");
	know(SYSCTL_ABORT_ON_OVERFLOW, "0");
	know(SYSCTL_SYNACK_RETRIES, "5");
	know(SYSCTL_PORT_RANGE, "32768\t60999");
	know(SYSCTL_TW_REUSE, "2");
	know(SYSCTL_TIMESTAMPS, "1");
	know(SYSCTL_MAX_TW_BUCKETS, "262144");
	know(SYSCTL_FIN_TIMEOUT, "60");
	know(SYSCTL_KEEPALIVE_TIME, "7200");
	know(SYSCTL_KEEPALIVE_INTVL, "75");
	know(SYSCTL_KEEPALIVE_PROBES, "9");
	know(SYSCTL_ORPHAN_RETRIES, "0");
	know(SYSCTL_MAX_ORPHANS, "65536");
	know(SYSCTL_TCP_MEM, "190000 260000 380000");
	know(SYSCTL_TCP_RMEM, "4096 131072 6291456");
	know(SYSCTL_TCP_WMEM, "4096 16384 4194304");
	know(SYSCTL_NETDEV_MAX_BACKLOG, "1000");
	know(SYSCTL_FILE_MAX, "9000000");
	know(SYSCTL_FILE_NR, "1000 0 9000000");
	know(SYSCTL_NR_OPEN, "1048576");
	know(SYSCTL_EPOLL_WATCHES, "5000000");
	know(SYSCTL_OVERCOMMIT, "0");
	listener = (struct listener_config){.name = (char *)"front", .backlog = 65535};
	config = (struct config){
		.max_connections = 100000, .listeners = &listener, .listener_count = 1};
	config.kernel.somaxconn = CONFIG_SOMAXCONN_AUTO;
}

static const struct doctor_row *
row_named(const char *name)
{
	size_t i;

	for (i = 0; i < report.count; i++) {
		if (strcmp(report.rows[i].name, name) == 0) {
			return &report.rows[i];
		}
	}
	ck_abort_msg("no row %s", name);
	return NULL;
}

START_TEST(a_healthy_machine_is_fit_and_the_configuration_is_the_first_limit)
{
	size_t i;

	healthy();
	doctor_examine(&machine, &config, 4, &report);
	for (i = 0; i < report.count; i++) {
		ck_assert_msg(report.rows[i].verdict == DOCTOR_FIT, "%s: %s", report.rows[i].name,
			report.rows[i].reason);
		ck_assert_str_eq(report.rows[i].command, "");
	}
	ck_assert_int_eq(doctor_status(&report), 0);
	ck_assert_int_eq(report.forecast_connections, 100000);
	ck_assert_str_eq(report.forecast_limit, "max_connections of the configuration");
}
END_TEST

static const struct {
	enum machine_sysctl sysctl;
	const char *value;
	enum doctor_verdict verdict;
	const char *command;
} ailments[] = {
	{SYSCTL_SYNCOOKIES, "0", DOCTOR_WARNING, "sysctl -w net.ipv4.tcp_syncookies=\"1\""},
	{SYSCTL_SYNCOOKIES, "2", DOCTOR_WARNING, "sysctl -w net.ipv4.tcp_syncookies=\"1\""},
	{SYSCTL_ABORT_ON_OVERFLOW, "1", DOCTOR_WARNING,
		"sysctl -w net.ipv4.tcp_abort_on_overflow=\"0\""},
	{SYSCTL_SYNACK_RETRIES, "1", DOCTOR_WARNING, "sysctl -w net.ipv4.tcp_synack_retries=\"5\""},
	{SYSCTL_SYNACK_RETRIES, "9", DOCTOR_WARNING, "sysctl -w net.ipv4.tcp_synack_retries=\"5\""},
	{SYSCTL_TIMESTAMPS, "0", DOCTOR_WARNING, "sysctl -w net.ipv4.tcp_timestamps=\"1\""},
	{SYSCTL_MAX_TW_BUCKETS, "4096", DOCTOR_WARNING,
		"sysctl -w net.ipv4.tcp_max_tw_buckets=\"100000\""},
	{SYSCTL_FIN_TIMEOUT, "5", DOCTOR_WARNING, "sysctl -w net.ipv4.tcp_fin_timeout=\"60\""},
	{SYSCTL_FIN_TIMEOUT, "600", DOCTOR_WARNING, "sysctl -w net.ipv4.tcp_fin_timeout=\"60\""},
	{SYSCTL_ORPHAN_RETRIES, "1", DOCTOR_WARNING, "sysctl -w net.ipv4.tcp_orphan_retries=\"0\""},
	{SYSCTL_MAX_ORPHANS, "1024", DOCTOR_WARNING,
		"sysctl -w net.ipv4.tcp_max_orphans=\"25000\""},
	{SYSCTL_TCP_MEM, "64 128 192", DOCTOR_WARNING,
		"sysctl -w net.ipv4.tcp_mem=\"75000 100000 150000\""},
	{SYSCTL_TCP_RMEM, "4096 8192 8192", DOCTOR_WARNING,
		"sysctl -w net.ipv4.tcp_rmem=\"4096 131072 6291456\""},
	{SYSCTL_TCP_WMEM, "4096 4194304 4194304", DOCTOR_WARNING,
		"sysctl -w net.ipv4.tcp_wmem=\"4096 16384 4194304\""},
	{SYSCTL_NETDEV_MAX_BACKLOG, "300", DOCTOR_WARNING,
		"sysctl -w net.core.netdev_max_backlog=\"1000\""},
	{SYSCTL_FILE_MAX, "50000", DOCTOR_WILL_NOT_HOLD, "sysctl -w fs.file-max=\"111000\""},
	{SYSCTL_NR_OPEN, "1024", DOCTOR_WARNING, "sysctl -w fs.nr_open=\"25064\""},
	{SYSCTL_EPOLL_WATCHES, "1000", DOCTOR_WILL_NOT_HOLD,
		"sysctl -w fs.epoll.max_user_watches=\"100064\""},
	{SYSCTL_CONNTRACK_MAX, "65536", DOCTOR_WILL_NOT_HOLD,
		"sysctl -w net.netfilter.nf_conntrack_max=\"150000\""},
	{SYSCTL_OVERCOMMIT, "2", DOCTOR_WARNING, "sysctl -w vm.overcommit_memory=\"0\""},
};

START_TEST(each_ailment_is_named_with_its_cure)
{
	const struct doctor_row *row;

	healthy();
	know(ailments[_i].sysctl, ailments[_i].value);
	doctor_examine(&machine, &config, 4, &report);
	row = row_named(machine_sysctl_name(ailments[_i].sysctl));
	ck_assert_int_eq(row->verdict, ailments[_i].verdict);
	ck_assert_str_eq(row->command, ailments[_i].command);
	ck_assert_int_eq(
		doctor_status(&report), ailments[_i].verdict == DOCTOR_WILL_NOT_HOLD ? 2 : 1);
}
END_TEST

START_TEST(a_low_somaxconn_is_fit_only_where_acceptd_may_raise_it)
{
	healthy();
	machine.can_write_sysctls = false;
	doctor_examine(&machine, &config, 4, &report);
	ck_assert_int_eq(row_named("net.core.somaxconn")->verdict, DOCTOR_WARNING);
	ck_assert_str_eq(row_named("net.core.somaxconn")->docker_form,
		"--sysctl net.core.somaxconn=\"65535\"");
	config.kernel.somaxconn = CONFIG_SOMAXCONN_KEEP;
	machine.can_write_sysctls = true;
	doctor_examine(&machine, &config, 4, &report);
	ck_assert_int_eq(row_named("net.core.somaxconn")->verdict, DOCTOR_WARNING);
}
END_TEST

START_TEST(the_syn_backlog_matters_only_without_cookies)
{
	healthy();
	doctor_examine(&machine, &config, 4, &report);
	ck_assert_int_eq(row_named("net.ipv4.tcp_max_syn_backlog")->verdict, DOCTOR_FIT);
	know(SYSCTL_SYNCOOKIES, "0");
	doctor_examine(&machine, &config, 4, &report);
	ck_assert_int_eq(row_named("net.ipv4.tcp_max_syn_backlog")->verdict, DOCTOR_WARNING);
}
END_TEST

START_TEST(too_few_descriptors_will_not_hold_and_limit_the_forecast)
{
	healthy();
	machine.descriptors_hard = 20000;
	doctor_examine(&machine, &config, 4, &report);
	ck_assert_int_eq(
		row_named("RLIMIT_NOFILE (hard, per process)")->verdict, DOCTOR_WILL_NOT_HOLD);
	ck_assert_int_eq(report.forecast_connections, 4 * (20000 - 64));
	ck_assert_str_eq(report.forecast_limit, "RLIMIT_NOFILE times the number of workers");
	doctor_examine(&machine, &config, 6, &report);
	ck_assert_int_eq(doctor_status(&report), 0);
}
END_TEST

static struct upstream_server_config server;
static struct upstream_config upstream;

static void
proxied(void)
{
	healthy();
	listener.protocol = PROTOCOL_proxy;
	server = (struct upstream_server_config){.max_connections = CONFIG_NONE};
	upstream = (struct upstream_config){.servers = &server, .server_count = 1};
	config.upstreams = &upstream;
	config.upstream_count = 1;
}

START_TEST(a_proxied_connection_counts_twice)
{
	proxied();
	doctor_examine(&machine, &config, 4, &report);
	ck_assert_str_eq(row_named("RLIMIT_NOFILE (hard, per process)")->needed, "50064");
	ck_assert_str_eq(row_named("fs.file-max")->needed, "221000");
	machine.descriptors_hard = 20000;
	doctor_examine(&machine, &config, 4, &report);
	ck_assert_int_eq(report.forecast_connections, 4 * (19936 / 2));
}
END_TEST

static const struct {
	int64_t max_connections;
	size_t sources;
	enum doctor_verdict verdict;
} ports[] = {
	{CONFIG_NONE, 0, DOCTOR_WILL_NOT_HOLD}, /* 100 000 over 28 232 ports */
	{28000, 0, DOCTOR_WARNING},
	{14000, 0, DOCTOR_FIT},
	{CONFIG_NONE, 4, DOCTOR_WARNING},
	{CONFIG_NONE, 8, DOCTOR_FIT},
};

START_TEST(local_ports_are_counted_per_back_end_and_source)
{
	proxied();
	server.max_connections = ports[_i].max_connections;
	upstream.sources.count = ports[_i].sources;
	doctor_examine(&machine, &config, 4, &report);
	ck_assert_int_eq(row_named("net.ipv4.ip_local_port_range")->verdict, ports[_i].verdict);
}
END_TEST

START_TEST(a_declared_backlog_is_held_against_the_real_one)
{
	proxied();
	machine.backlogs = (struct machine_backlogs){
		.known = 1, .worst = "java/a", .declared = 50, .limit = 50};
	doctor_examine(&machine, &config, 4, &report);
	ck_assert_int_eq(row_named("backlog of back ends here")->verdict, DOCTOR_FIT);
	machine.backlogs.declared = 100;
	doctor_examine(&machine, &config, 4, &report);
	ck_assert_int_eq(row_named("backlog of back ends here")->verdict, DOCTOR_WARNING);
	ck_assert_ptr_nonnull(strstr(row_named("backlog of back ends here")->reason,
		"java/a declares 100 and its accept queue holds 50"));
	ck_assert_ptr_nonnull(
		strstr(row_named("backlog of back ends here")->command, "backlog = 50"));
}
END_TEST

START_TEST(a_memory_cgroup_counts_as_the_machine)
{
	healthy();
	machine.cgroup_memory_max_bytes = 256ll << 20;
	machine.cgroup_memory_used_bytes = 56ll << 20;
	doctor_examine(&machine, &config, 4, &report);
	ck_assert_int_eq(row_named("memory for max_connections")->verdict, DOCTOR_WILL_NOT_HOLD);
	ck_assert_str_eq(report.forecast_limit, "memory");
	ck_assert_int_eq(report.forecast_connections, ((200ll << 20) - 4 * (3ll << 20)) / 4396);
}
END_TEST

START_TEST(stale_advice_is_named_with_its_line)
{
	healthy();
	machine_parse_advice(&machine, "/etc/sysctl.d/99-tuning.conf",
		"# from a guide\nnet.ipv4.tcp_tw_recycle = 1\n;off\n"
		"net/ipv4/tcp_timestamps=1\n-net.ipv4.tcp_tw_timeout = 3\n");
	doctor_examine(&machine, &config, 4, &report);
	ck_assert_ptr_nonnull(strstr(
		row_named("net.ipv4.tcp_tw_recycle")->reason, "/etc/sysctl.d/99-tuning.conf:2"));
	ck_assert_ptr_nonnull(strstr(
		row_named("net.ipv4.tcp_tw_timeout")->reason, "/etc/sysctl.d/99-tuning.conf:5"));
	ck_assert_int_eq(doctor_status(&report), 1);
}
END_TEST

START_TEST(an_unreadable_machine_is_unknown_not_sick)
{
	healthy();
	memset(machine.sysctls, 0, sizeof(machine.sysctls));
	machine.memory_total_bytes = 0;
	doctor_examine(&machine, &config, 4, &report);
	ck_assert_int_eq(doctor_status(&report), 0);
	ck_assert_int_eq(row_named("net.core.somaxconn")->verdict, DOCTOR_UNKNOWN);
}
END_TEST

START_TEST(the_forecast_does_not_hide_what_will_not_hold)
{
	char *printed = NULL;
	size_t len;
	FILE *stream = open_memstream(&printed, &len);

	healthy();
	machine.descriptors_hard = 1000;
	doctor_examine(&machine, &config, 4, &report);
	ck_assert_int_eq(doctor_status(&report), 2);
	ck_assert_int_eq(doctor_print(&report, stream, false), 0);
	fclose(stream);
	ck_assert_ptr_nonnull(strstr(printed, "; what will not hold beside that stands above\n"));
	free(printed);
}
END_TEST

START_TEST(the_three_forms_of_print_say_the_cure)
{
	char *printed = NULL;
	size_t len;
	FILE *stream;

	healthy();
	know(SYSCTL_SYNCOOKIES, "0");
	doctor_examine(&machine, &config, 4, &report);
	stream = open_memstream(&printed, &len);
	ck_assert_int_eq(doctor_print(&report, stream, false), 0);
	fclose(stream);
	ck_assert_ptr_nonnull(strstr(printed, "  sysctl -w net.ipv4.tcp_syncookies=\"1\"\n"));
	ck_assert_ptr_nonnull(strstr(printed, "can hold 100000 connections"));
	ck_assert_ptr_null(strstr(printed, "will not hold"));
	free(printed);
	stream = open_memstream(&printed, &len);
	doctor_print_json(&report, stream);
	fclose(stream);
	ck_assert_ptr_nonnull(strstr(printed, "\"status\":1,\"forecast_connections\":100000"));
	free(printed);
	stream = open_memstream(&printed, &len);
	doctor_print_sysctl(&report, stream);
	fclose(stream);
	ck_assert_ptr_nonnull(strstr(printed, "\nnet.ipv4.tcp_syncookies = 1\n"));
	free(printed);
}
END_TEST

UNIT_TESTS("doctor",
	   tcase_add_test(tests, a_healthy_machine_is_fit_and_the_configuration_is_the_first_limit);
	   tcase_add_loop_test(
		   tests, each_ailment_is_named_with_its_cure, 0, (int)ARRAY_LEN(ailments));
	   tcase_add_test(tests, a_low_somaxconn_is_fit_only_where_acceptd_may_raise_it);
	   tcase_add_test(tests, the_syn_backlog_matters_only_without_cookies);
	   tcase_add_test(tests, too_few_descriptors_will_not_hold_and_limit_the_forecast);
	   tcase_add_test(tests, a_proxied_connection_counts_twice); tcase_add_loop_test(tests,
		   local_ports_are_counted_per_back_end_and_source, 0, (int)ARRAY_LEN(ports));
	   tcase_add_test(tests, a_declared_backlog_is_held_against_the_real_one);
	   tcase_add_test(tests, a_memory_cgroup_counts_as_the_machine);
	   tcase_add_test(tests, stale_advice_is_named_with_its_line);
	   tcase_add_test(tests, an_unreadable_machine_is_unknown_not_sick);
	   tcase_add_test(tests, the_forecast_does_not_hide_what_will_not_hold);
	   tcase_add_test(tests, the_three_forms_of_print_say_the_cure);)
