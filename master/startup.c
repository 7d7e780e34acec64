/* The master's life, in the order that its parts need each other: board, sockets, workers. Only
 * here a failure ends the process. */
#include "master/startup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/board.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "common/inherit.h"
#include "common/log.h"
#include "common/loop.h"
#include "master/doors.h"
#include "master/fleet.h"
#include "master/heritage.h"
#include "master/lifecycle.h"
#include "master/listeners.h"
#include "master/master.h"
#include "master/monitor_child.h"
#include "master/reconfigure.h"
#include "master/reload.h"
#include "master/requests.h"
#include "master/title.h"
#include "master/upgrade.h"
#include "master/world.h"

int
startup_read(
	struct master *master, const char *path, struct config **config, struct findings *findings)
{
	struct world world;

	if (config_load(path, config, findings) != 0) {
		return EXIT_FILE;
	}
	world_init(&world, WORLD_START, *config);
	world.activation = &master->activation;
	world_check(&world, findings);
	if (findings->world_errors > 0) {
		config_free(config);
		return EXIT_WORLD;
	}
	return 0;
}

/* Whatever the log is: who started us sees it too. */
static void
startup_say(const struct master *master, const char *sentence)
{
	enum log_sink sink;

	log_error("%s", sentence);
	(void)log_descriptor(&sink);
	if (sink != LOG_STDERR) {
		(void)fprintf(stderr, "acceptd: %s\n", sentence);
	}
	daemon_say(&master->daemon, sentence);
}

static int
startup_open_binary(struct master *master, struct fault *why)
{
	master->binary = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (master->binary < 0) {
		return fault_set(why, errno, "cannot open our own program by /proc/self/exe");
	}
	return 0;
}

static int
startup_find_identity(struct master *master, const struct config *config, struct fault *why)
{
	master->drops_privileges = geteuid() == 0;
	if (!master->drops_privileges) {
		master->identity = (struct privilege_identity){geteuid(), getegid()};
		return 0;
	}
	return privilege_find(config->user, config->group, &master->identity, why);
}

/* A pid file that nobody asked for and that an ordinary user cannot have is done without; the world
 * check has said so. */
static int
startup_open_pidfile(struct master *master, const struct config *config, struct fault *why)
{
	struct config_origin origin = config_origin_of(config, -1, "pid_file");
	int status = pidfile_open(&master->pidfile, config->pid_file, why);

	if (status != 0 && status != -EEXIST && geteuid() != 0 && origin.file == NULL) {
		return 0;
	}
	return status;
}

static int
startup_open(struct master *master, const struct config *config, struct fault *why)
{
	int status;

	master->descriptor_limit = descriptor_raise_limit();
	master->config_path = strdup(config->path); /* reloads read it again */
	if (master->config_path == NULL) {
		return fault_set(why, ENOMEM, "cannot start");
	}
	status = startup_open_binary(master, why);
	if (status == 0) {
		status = startup_find_identity(master, config, why);
	}
	if (status == 0) {
		status = startup_open_pidfile(master, config, why);
	}
	if (status == 0) {
		status = board_create(&master->board, &master->board_memory, why);
	}
	if (status == 0) {
		board_set_source_table(&master->board, config->source_table);
		master->loop = loop_new();
		status = master->loop != NULL
				 ? 0
				 : fault_say(why, ENOMEM, "cannot make the event loop");
	}
	return status;
}

static void
startup_on_settled(struct master *master, const char *failure)
{
	struct fault why, said;

	if (failure == NULL && pidfile_write(&master->pidfile, &why) != 0) {
		failure = why.text;
	}
	if (failure != NULL) {
		(void)fault_say(&said, ECANCELED, "cannot start: %s", failure);
		startup_say(master, said.text);
		lifecycle_stop(master, EXIT_FAILURE, "start failed");
		return;
	}
	master_enter(master, MASTER_SERVING, "all workers serve");
	master_event(master, LOG_LEVEL_NOTICE, "serving: %u workers, configuration %s",
		fleet_serving(master->fleet), master->config->path);
	lifecycle_say_ready(master);
	daemon_report(&master->daemon, EXIT_SUCCESS);
	if (master->reload->is_wanted) {
		master->reload->is_wanted = false;
		reload_request(master);
	} else {
		upgrade_if_wanted(master);
	}
}

static void
startup_log_warnings(struct master *master, const struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		master_event(master, LOG_LEVEL_WARNING, "%s", findings->items[i].text);
	}
}

/* The service manager goes on listening on such a socket whatever we do. */
static void
startup_warn_unused(struct master *master)
{
	char where[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < master->activation.count; i++) {
		if (master->activation.sockets[i].fd >= 0) {
			master_event(master, LOG_LEVEL_WARNING,
				"the service manager passed a socket for %s, the address of no "
				"listener: its clients wait and are never served; add the address "
				"to a listener, or take it out of the .socket unit",
				address_format(&master->activation.sockets[i].address, where));
		}
	}
}

/* What is the same whether the workers are the first ones or there are some already.
 * @return 0 when the loop can run */
static int
startup_run_workers(
	struct master *master, const struct heritage *heritage, bool returned, struct fault *why)
{
	const struct upgrade_head *head = heritage != NULL ? &heritage->state.head : NULL;
	int status = fleet_start(
		master, head != NULL ? (unsigned)head->wanted : master->reload->workers, why);

	if (status == 0 && head == NULL) {
		status = monitor_child_start(master->monitor, master, why);
	} else if (status == 0) {
		status = monitor_child_take_over(master->monitor, master, (pid_t)head->monitor_pid,
			(int)head->monitor_channel, head->monitor_born_ms,
			head->monitor_is_leaving != 0, why);
	}
	if (status == 0 && heritage != NULL &&
		fleet_take_over(master->fleet, &heritage->state, !returned) != 0) {
		status = fault_set(why, ENOMEM, "cannot take over the workers");
	}
	return status;
}

static int
startup_begin(struct master *master, struct lifecycle *lifecycle, struct config *config,
	const struct findings *findings, struct fault *why)
{
	struct reconfigure *reconfigure;
	int status = reconfigure_prepare(master, config, &reconfigure, why);

	if (status != 0) {
		config_free(&config);
		return status;
	}
	master_event(master, LOG_LEVEL_NOTICE, "starting: acceptd, pid %d%s", (int)getpid(),
		master->drops_privileges ? "" : ", not as root: workers run as the same user");
	reconfigure_commit(master, &reconfigure);
	startup_log_warnings(master, findings);
	startup_warn_unused(master);
	listeners_report(master);
	stat_set(&master->board.writable->stats[STAT_MASTER_start_time_seconds],
		(uint64_t)clock_wall().tv_sec);
	lifecycle_start(lifecycle, master);
	master->reload->workers = reconfigure_count_workers(master);
	status = startup_run_workers(master, NULL, false, why);
	if (status == 0) {
		fleet_apply(master->fleet, startup_on_settled);
	}
	return status;
}

static void
startup_close(struct master *master)
{
	upgrade_close(master);
	monitor_child_close(master->monitor);
	requests_fini(master->requests);
	doors_close(master->doors);
	session_file_close(&master->session_file);
	fleet_free(&master->fleet);
	listeners_close_all(master->listeners);
	free(master->listeners->sockets);
	activation_close(&master->activation);
	pidfile_remove(&master->pidfile);
	if (master->lifecycle != NULL) {
		lifecycle_close(master->lifecycle);
	}
	if (master->loop != NULL) {
		ev_loop_destroy(master->loop);
	}
	board_detach(&master->board);
	descriptor_close(&master->board_memory);
	descriptor_close(&master->config_memory);
	descriptor_close(&master->binary);
	config_free(&master->config);
	free(master->config_path);
	free(master->program);
	notify_close(&master->notify);
}

/* The parts of the one master. */
struct parts {
	struct lifecycle lifecycle;
	struct listeners listeners;
	struct doors doors;
	struct monitor_child monitor;
	struct requests requests;
	struct reload reload;
	struct upgrade upgrade;
};

static int
startup_assemble(struct master *master, struct parts *parts, struct fault *why)
{
	int status = requests_init(&parts->requests, master);

	doors_init(&parts->doors);
	parts->listeners.activation = &master->activation;
	master->doors = &parts->doors;
	master->monitor = &parts->monitor;
	master->listeners = &parts->listeners;
	master->reload = &parts->reload;
	master->pidfile.fd = -1;
	upgrade_init(&parts->upgrade, master);
	log_set_identity("master");
	return status == 0 ? 0 : fault_set(why, -status, "cannot start");
}

/* Until nothing is left to do, or another program takes our place. */
static int
startup_live(struct master *master)
{
	do {
		(void)ev_run(master->loop, 0);
		upgrade_execute(master);
	} while (!master->lifecycle->has_ended);
	log_notice("stopped");
	return master->lifecycle->exit_status;
}

int
startup_serve(struct master *master, struct config *config, const struct findings *findings)
{
	static struct parts parts;
	struct fault why;
	int exit_status = EXIT_WORLD;
	int status;

	title_set("acceptd: master %s", config->path);
	status = startup_assemble(master, &parts, &why);
	if (status == 0) {
		status = startup_open(master, config, &why);
	}
	if (status == 0) {
		status = startup_begin(master, &parts.lifecycle, config, findings, &why);
	} else {
		config_free(&config);
	}
	if (status == 0) {
		exit_status = startup_live(master);
	} else {
		startup_say(master, why.text);
	}
	startup_close(master);
	daemon_report(&master->daemon, exit_status);
	return exit_status;
}

/* --- in the place of another program --- */

static int
startup_open_heritage(struct master *master, struct heritage *heritage, struct fault *why)
{
	const struct upgrade_head *head = &heritage->state.head;
	int status = startup_open_binary(master, why);

	if (status != 0) {
		return status;
	}
	master->descriptor_limit = descriptor_raise_limit();
	master->config_path = strdup(head->config_path);
	master->program = strdup(head->program);
	master->loop = loop_new();
	if (master->config_path == NULL || master->program == NULL || master->loop == NULL ||
		pidfile_adopt(&master->pidfile, head->pid_path, (int)head->pid_file,
			head->pid_was_created != 0) != 0) {
		return fault_set(why, ENOMEM, "cannot take over");
	}
	heritage_accept(heritage, master);
	return 0;
}

/* The signals that came since the program before was left are pending: they come as soon as
 * somebody listens. Nobody does before nothing can fail any more: who goes back finds them. */
static int
startup_begin_heritage(struct master *master, struct parts *parts, struct heritage *heritage,
	bool returned, struct fault *why)
{
	sigset_t none;
	int status;

	master_enter(master, MASTER_SERVING, "the program was upgraded");
	status = startup_run_workers(master, heritage, returned, why);
	if (status != 0) {
		return status;
	}
	lifecycle_start(&parts->lifecycle, master);
	requests_take_over(master, &heritage->state);
	upgrade_begin_life(master, heritage, returned);
	if (!returned) {
		fleet_apply(master->fleet, upgrade_on_settled);
	}
	fleet_reap(master->fleet);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	return 0;
}

int
startup_take_over(struct master *master, const struct inherit *inherit)
{
	static struct heritage heritage;
	static struct parts parts;
	bool returned = inherit->slot != 0;
	struct fault why;
	int exit_status = EXIT_WORLD;
	int status = heritage_read(inherit->channel, &heritage, &why);

	if (status == 0) {
		title_set("acceptd: master %s", heritage.config->path);
		status = startup_assemble(master, &parts, &why);
	}
	if (status == 0) {
		status = startup_open_heritage(master, &heritage, &why);
	}
	if (status == 0) {
		status = startup_begin_heritage(master, &parts, &heritage, returned, &why);
	}
	if (status != 0) {
		upgrade_go_back(inherit, &heritage, why.text);
		return exit_status; /* without a master the workers finish and go */
	}
	heritage_dispose(&heritage);
	exit_status = startup_live(master);
	startup_close(master);
	return exit_status;
}
