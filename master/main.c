/* Command line and start-up order, nothing else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/descriptor.h"
#include "common/doctor.h"
#include "common/fault.h"
#include "common/inherit.h"
#include "common/machine.h"
#include "master/daemon.h"
#include "master/master.h"
#include "master/options.h"
#include "master/processors.h"
#include "master/program.h"
#include "master/signals.h"
#include "master/startup.h"
#include "master/title.h"
#include "master/upgrade_check.h"
#include "master/world.h"

static int
main_fail(const char *sentence, int exit_status)
{
	(void)fprintf(stderr, "acceptd: %s\n", sentence);
	return exit_status;
}

/* -t: everything in one run. What is wrong goes to the standard error, the verdict to the output.
 */
static int
main_test(const char *path)
{
	struct findings findings = {0};
	struct config *config = NULL;
	struct world world;
	int status = config_load(path, &config, &findings) == 0 ? EXIT_SUCCESS : EXIT_FILE;

	if (status == EXIT_SUCCESS) {
		world_init(&world, WORLD_TEST, config);
		world_check(&world, &findings);
		status = findings.world_errors > 0 ? EXIT_WORLD : EXIT_SUCCESS;
	}
	findings_print(&findings, stderr);
	if (status == EXIT_SUCCESS) {
		(void)printf("%s: configuration is fine\n", path);
	}
	config_free(&config);
	return status;
}

/* -t --doctor: will it hold, before anything runs. */
static int
main_doctor(const char *path)
{
	static struct machine machine;
	static struct doctor_report report;
	struct findings findings = {0};
	struct processors processors;
	struct config *config = NULL;
	char why[256];
	unsigned workers;
	int status;

	if (config_load(path, &config, &findings) != 0) {
		findings_print(&findings, stderr);
		return EXIT_FILE;
	}
	machine_read("", &machine);
	machine_read_backlogs(config, &machine);
	processors_look(&processors);
	workers = processors_choose_workers(&processors, config->workers, config->max_connections,
		config_descriptors_each(config), machine.descriptors_hard, why, sizeof(why));
	doctor_examine(&machine, config, workers, &report);
	status = doctor_status(&report);
	if (doctor_print(&report, stdout, isatty(STDOUT_FILENO) == 1) != 0) {
		status = main_fail("out of memory", EXIT_FAILURE);
	}
	config_free(&config);
	return status;
}

static int
main_dump(const char *path)
{
	struct findings findings = {0};
	struct config *config = NULL;
	int status = config_load(path, &config, &findings) == 0 ? EXIT_SUCCESS : EXIT_FILE;

	findings_print(&findings, stderr);
	if (status == EXIT_SUCCESS &&
		(config_dump(config, stdout, true) != 0 || fflush(stdout) != 0)) {
		status = main_fail(
			"cannot write the configuration to the standard output", EXIT_FAILURE);
	}
	config_free(&config);
	return status;
}

static struct master the_master = {.config_memory = -1,
	.board_memory = -1,
	.binary = -1,
	.notify = {.fd = -1},
	.daemon = {.report = -1, .terminal = -1}};

static int
main_serve(const struct options *options, struct master *master)
{
	struct findings findings = {0};
	struct config *config = NULL;
	struct fault why;
	int status;

	signals_hold();
	/* First of all, before other descriptors get the numbers of those that were passed. */
	if (activation_open(&master->activation, ACTIVATION_FIRST_FD, &why) != 0) {
		return main_fail(why.text, EXIT_WORLD);
	}
	/* What else our caller left open is none of ours: a pipe that we hold might keep it
	 * waiting. */
	descriptor_close_from(activation_next_fd(&master->activation));
	if (notify_open(&master->notify, &why) != 0) {
		(void)main_fail(why.text, EXIT_WORLD); /* we can serve without being heard */
	}
	status = startup_read(master, options->path, &config, &findings);
	if (status != 0) {
		findings_print(&findings, stderr);
		return status;
	}
	master->is_daemon = options->is_daemon;
	if (options->is_daemon) {
		findings_print(&findings, stderr); /* warnings; from now on they go to the log */
		if (daemon_start(&master->daemon, &why) != 0) {
			config_free(&config);
			daemon_report(&master->daemon, main_fail(why.text, EXIT_WORLD));
			return EXIT_WORLD;
		}
	}
	return startup_serve(master, config, &findings);
}

int
main(int argc, char **argv)
{
	struct inherit inherit;
	struct options options;
	struct fault why;

	title_init(argc, argv);
	if (daemon_open_standard_streams() != 0 || inherit_read(&inherit) != 0) {
		return main_fail("cannot tell what this process was started as", EXIT_FAILURE);
	}
	if (inherit.role == ROLE_WORKER) {
		return worker_main(&inherit);
	}
	if (inherit.role == ROLE_MONITOR) {
		return monitor_main(&inherit);
	}
	if (inherit.role == ROLE_CANDIDATE) {
		return upgrade_check_main(&inherit);
	}
	if (inherit.role == ROLE_HEIR) {
		return startup_take_over(&the_master, &inherit);
	}
	if (options_parse(argc, argv, &options, &why) != 0) {
		return main_fail(why.text, EXIT_FILE);
	}
	switch (options.action) {
	case OPTIONS_TEST:
		return main_test(options.path);
	case OPTIONS_DOCTOR:
		return main_doctor(options.path);
	case OPTIONS_DUMP:
		return main_dump(options.path);
	case OPTIONS_VERSION:
		options_print_version(stdout);
		return EXIT_SUCCESS;
	case OPTIONS_HELP:
		options_print_help(stdout);
		return EXIT_SUCCESS;
	case OPTIONS_SERVE:
		break;
	}
	the_master.program = program_path(argv[0]);
	return main_serve(&options, &the_master);
}
