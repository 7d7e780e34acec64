/* A configuration against the machine. Each check says what, where, why, with which consequence and
 * what to do; together they are what an administrator would otherwise learn one failure at a time.
 */
#include "master/world.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/board.h"
#include "common/config.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/privilege.h"
#include "master/kernel.h"
#include "master/pidfile.h"
#include "master/processors.h"
#include "master/world_address.h"

void
world_init(struct world *world, enum world_occasion occasion, const struct config *config)
{
	*world = (struct world){
		.occasion = occasion,
		.config = config,
		.kernel_root = KERNEL_ROOT,
	};
	if (occasion != WORLD_RELOAD && config->pid_file[0] != '\0') {
		world->running = pidfile_holder(config->pid_file);
	}
}

/* What the machine cuts: a warning, unless the operator wants it as written or not at all. */
static enum finding_kind
world_cut(const struct world *world)
{
	return world->config->strict ? FINDING_WORLD : FINDING_WARNING;
}

static bool
world_is_written(const struct config_origin *origin)
{
	return origin->file != NULL;
}

static void
world_check_user(const struct world *world, struct findings *findings)
{
	const struct config *config = world->config;
	struct config_origin origin = config_origin_of(config, -1, "user");
	struct privilege_identity identity;
	struct fault why;

	if (geteuid() != 0) {
		if (world_is_written(&origin) &&
			(privilege_find(config->user, config->group, &identity, &why) != 0 ||
				identity.uid != geteuid())) {
			findings_add(findings, FINDING_WARNING, &origin,
				"user: '%s' has no effect because acceptd was not started by root; "
				"workers run as uid %u like their master",
				config->user, (unsigned)geteuid());
		}
		return;
	}
	if (privilege_find(config->user, config->group, &identity, &why) != 0) {
		findings_add(findings, FINDING_WORLD, &origin,
			"user: %s; workers cannot run. Run: useradd --system --no-create-home "
			"--shell /usr/sbin/nologin %s, or name another user",
			why.text, config->user);
	} else if (identity.uid == 0) {
		findings_add(findings, FINDING_WORLD, &origin,
			"user: '%s' is root, and running workers as root is refused: whoever takes "
			"one over would own the machine; name an unprivileged user",
			config->user);
	}
}

/* The file itself if it exists, otherwise its directory. @return 0 or negative errno */
static int
world_check_writable(const char *path)
{
	struct stat found;
	char *copy;
	int status;

	if (lstat(path, &found) == 0) {
		if (S_ISLNK(found.st_mode)) {
			return -ELOOP;
		}
		if (!S_ISREG(found.st_mode)) {
			return S_ISDIR(found.st_mode) ? -EISDIR : -ENOTSUP;
		}
		return access(path, W_OK) == 0 ? 0 : -errno;
	}
	copy = strdup(path);
	if (copy == NULL) {
		return -ENOMEM;
	}
	status = access(dirname(copy), W_OK | X_OK) == 0 ? 0 : -errno;
	free(copy);
	return status;
}

static void
world_check_log_file(const struct config_origin *origin, const char *option, const char *path,
	struct findings *findings)
{
	int status = world_check_writable(path);

	if (status != 0) {
		findings_add(findings, FINDING_WORLD, origin,
			"%s: cannot write %s: %s; name a regular file in a directory that uid %u "
			"may write%s",
			option, path,
			status == -ELOOP ? "it is a symbolic link" : strerror(-status),
			(unsigned)geteuid(),
			strcmp(option, "log") == 0 ? ", or \"syslog\" or \"stderr\"" : "");
	}
}

static void
world_check_log(const struct world *world, struct findings *findings)
{
	struct config_origin origin = config_origin_of(world->config, -1, "log");
	enum log_sink sink;
	const char *path;
	struct fault why;

	if (log_parse_target(world->config->log, &sink, &path, &why) != 0) {
		findings_add(findings, FINDING_WORLD, &origin, "log: %s", why.text);
		return;
	}
	if (sink == LOG_FILE) {
		world_check_log_file(&origin, "log", path, findings);
	} else if (sink == LOG_SYSLOG && access(path, W_OK) != 0) {
		findings_add(findings, FINDING_WARNING, &origin,
			"log: cannot reach syslog at %s: %s; lines are lost, and counted, until a "
			"syslog daemon runs",
			path, strerror(errno));
	}
}

static void
world_check_session_log(const struct world *world, struct findings *findings)
{
	struct config_origin origin = config_origin_of(world->config, -1, "session_log");

	if (world->config->session_log[0] != '\0') {
		world_check_log_file(&origin, "session_log", world->config->session_log, findings);
	}
}

static void
world_check_pid_file(const struct world *world, struct findings *findings)
{
	const char *path = world->config->pid_file;
	struct config_origin origin = config_origin_of(world->config, -1, "pid_file");
	bool is_ours = world->was != NULL && strcmp(world->was->pid_file, path) == 0;
	struct fault why;
	pid_t holder;

	if (path[0] == '\0' || is_ours) {
		return;
	}
	if (pidfile_check(path, &why) != 0) {
		/* Not asked for and not to be had: no reason to keep an ordinary user out. */
		bool is_optional = geteuid() != 0 && !world_is_written(&origin);

		findings_add(findings, is_optional ? FINDING_WARNING : FINDING_WORLD, &origin,
			"pid_file: %s; %s", why.text,
			is_optional ? "running without one (pid_file = \"\" says so)"
				    : "name another path, or \"\" for none");
		return;
	}
	holder = pidfile_holder(path);
	if (world->occasion == WORLD_TEST || holder == 0) {
		return;
	}
	if (holder > 0) {
		findings_add(findings, FINDING_WORLD, &origin,
			"already running: pid %d holds %s; to let it read its configuration again "
			"run: "
			"kill -HUP %d",
			(int)holder, path, (int)holder);
	} else {
		findings_add(findings, FINDING_WORLD, &origin,
			"already running: another acceptd, which is just starting, holds %s", path);
	}
}

static void
world_check_descriptors(const struct world *world, struct findings *findings)
{
	const struct config *config = world->config;
	struct config_origin origin = config_origin_of(config, -1, "max_connections");
	enum finding_kind kind = world_is_written(&origin) ? FINDING_WORLD : FINDING_WARNING;
	int64_t each, workers = config->workers;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max > INT64_MAX) {
		return;
	}
	each = ((int64_t)limit.rlim_max - PROCESSORS_WORKER_RESERVE) /
	       config_descriptors_each(config);
	if (workers == CONFIG_WORKERS_AUTO) {
		workers = BOARD_SLOTS; /* "auto" makes as many as it takes */
	}
	if (each < 1) {
		findings_add(findings, FINDING_WORLD, NULL,
			"the hard limit of open files is %lld, and a worker needs %d for itself; "
			"run: "
			"ulimit -Hn 65536 (systemd: LimitNOFILE=65536)",
			(long long)limit.rlim_max, PROCESSORS_WORKER_RESERVE);
	} else if (config->max_connections > each * workers) {
		findings_add(findings, kind, &origin,
			"max_connections: %lld do not fit: %lld workers have %lld descriptors for "
			"connections each, because the hard limit of open files is %lld; clients "
			"beyond %lld would wait. Set workers = \"auto\" or max_connections = %lld, "
			"or run: ulimit -Hn %lld (systemd: LimitNOFILE=)",
			(long long)config->max_connections, (long long)workers, (long long)each,
			(long long)limit.rlim_max, (long long)(each * workers),
			(long long)(each * workers),
			(long long)((config->max_connections / workers + 1) *
					    config_descriptors_each(config) +
				    PROCESSORS_WORKER_RESERVE));
	}
}

static void
world_check_backlogs(const struct world *world, struct findings *findings)
{
	struct kernel_somaxconn somaxconn;
	char words[512];

	/* What is in force after a start or reload is said by listeners_report, with the numbers
	 * that the kernel gave. */
	if (world->occasion != WORLD_TEST && !world->config->strict) {
		return;
	}
	kernel_foresee_somaxconn(world->kernel_root, world->config, &somaxconn);
	if (somaxconn.before < 0) {
		findings_add(findings, FINDING_WARNING, NULL, "%s",
			kernel_explain_somaxconn(&somaxconn, words, sizeof(words)));
		return;
	}
	for (size_t i = 0; i < world->config->listener_count; i++) {
		const struct listener_config *listener = &world->config->listeners[i];
		struct config_origin origin = config_origin_of(world->config, (int)i, "backlog");

		/* One above the configuration's own number is a contradiction within the file. */
		if (listener->backlog > somaxconn.now &&
			(somaxconn.setting < 0 || listener->backlog <= somaxconn.setting)) {
			findings_add(findings, world_cut(world), &origin,
				"listeners[%s].backlog: the effective backlog will be %lld, not "
				"%lld: "
				"%s",
				listener->name, (long long)somaxconn.now,
				(long long)listener->backlog,
				kernel_explain_cut(
					&somaxconn, listener->backlog, words, sizeof(words)));
		}
	}
}

/* Settings that are not ours to change but decide what a flood of clients does. */
static void
world_check_kernel(const struct world *world, struct findings *findings)
{
	int64_t value;

	if (kernel_read(world->kernel_root, "net/ipv4/tcp_syncookies", &value) == 0 && value == 0) {
		findings_add(findings, FINDING_WARNING, NULL,
			"net.ipv4.tcp_syncookies is 0: a flood of connection requests can keep "
			"every "
			"client out; run: sysctl -w net.ipv4.tcp_syncookies=1");
	}
	if (kernel_read(world->kernel_root, "net/ipv4/tcp_abort_on_overflow", &value) == 0 &&
		value != 0) {
		findings_add(findings, FINDING_WARNING, NULL,
			"net.ipv4.tcp_abort_on_overflow is %lld: a client that meets a full queue "
			"is "
			"reset instead of being let in a moment later; run: sysctl -w "
			"net.ipv4.tcp_abort_on_overflow=0",
			(long long)value);
	}
}

void
world_check(const struct world *world, struct findings *findings)
{
	world_check_user(world, findings);
	world_check_pid_file(world, findings);
	world_check_log(world, findings);
	world_check_session_log(world, findings);
	world_check_addresses(world, findings);
	world_check_doors(world, findings);
	world_check_loops(world, findings);
	world_check_descriptors(world, findings);
	world_check_backlogs(world, findings);
	world_check_kernel(world, findings);
}
