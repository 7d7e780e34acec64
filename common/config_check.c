/* Contradictions between values that are good each for itself: what the kernel would refuse, what
 * would have no effect, what would mean something else than it says. Pure. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "common/config_private.h"
#include "common/config_value.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/text.h"

struct check {
	const struct config *config;
	struct findings *findings;
};

/* Where an option stands, or failing that its listener. */
static struct config_origin
place_of(const struct check *check, int listener, const char *path)
{
	struct config_origin origin = config_origin_of(check->config, listener, path);

	if (origin.file == NULL && listener >= 0) {
		return check->config->listeners[listener].origin;
	}
	return origin;
}

static const struct option *
find_listener_option(const char *path)
{
	size_t i = 0;

	while (config_schema[i].scope != OPTION_LISTENER ||
		strcmp(config_schema[i].path, path) != 0) {
		i++;
	}
	return &config_schema[i];
}

/* Whether somebody wanted a value for this option of a listener. The default, written out as -T
 * does, is no such wish. */
static bool
is_wanted(const struct check *check, int listener, const char *path)
{
	const struct option *option = find_listener_option(path);
	struct listener_config defaults = {0};
	bool is_default;

	if (config_value_set_default(option, config_field(option, &defaults)) < 0) {
		return false;
	}
	is_default = config_value_equal(option, config_field(option, &defaults),
		config_field(option, &check->config->listeners[listener]));
	config_value_clear(option, config_field(option, &defaults));
	return !is_default;
}

static void __attribute__((format(printf, 5, 6))) complain(const struct check *check,
	enum finding_kind kind, int listener, const char *path, const char *format, ...)
{
	const struct config_origin origin = place_of(check, listener, path);
	char full[CONFIG_PATH_MAX];
	char sentence[768];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	findings_add(check->findings, kind, &origin, "%s: %s",
		config_path_of(check->config, listener, path, full), sentence);
}

/* A duration as a person writes it, for a message. */
struct shown {
	char text[32];
};

static struct shown
show(int64_t duration_ms)
{
	struct shown shown;
	struct text text;

	text_init(&text, shown.text, sizeof(shown.text));
	text_add_duration_ms(&text, duration_ms);
	return shown;
}

bool
config_is_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	size_t len =
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-0123456789");

	return name[len] == '\0' && name[0] != '\0' && strchr(letters, name[0]) != NULL;
}

static void
check_name(const struct check *check, int listener)
{
	const struct listener_config *listeners = check->config->listeners;

	if (listeners[listener].name == NULL) {
		return;
	}
	if (!config_is_name(listeners[listener].name)) {
		complain(check, FINDING_FILE, listener, "name",
			"not a name; allowed: a letter or '_', then letters, digits, '_' and '-'");
	}
	for (int i = 0; i < listener; i++) {
		if (listeners[i].name != NULL &&
			strcmp(listeners[i].name, listeners[listener].name) == 0) {
			struct config_origin first = place_of(check, i, "name");

			complain(check, FINDING_FILE, listener, "name",
				"another listener at %s:%d has this name; hint: statistics and "
				"reload tell listeners apart by their names",
				first.file, first.line);
			return;
		}
	}
}

struct place {
	int listener;
	size_t index; /* among its addresses */
};

static const struct address *
address_at(const struct check *check, struct place place)
{
	return &check->config->listeners[place.listener].addresses.items[place.index];
}

static void
complain_address(const struct check *check, struct place place, struct place first)
{
	const struct address *address = address_at(check, place);
	const struct address *before = address_at(check, first);
	const struct config_origin *origin =
		config_address_origin(check->config, place.listener, place.index);
	const struct config_origin *first_origin =
		config_address_origin(check->config, first.listener, first.index);
	char path[CONFIG_PATH_MAX];
	char text[ADDRESS_TEXT_MAX];
	char before_text[ADDRESS_TEXT_MAX];

	(void)config_path_of(check->config, place.listener, "address", path);
	if (address_equal(address, before)) {
		findings_add(check->findings, FINDING_FILE, origin,
			"%s: %s is given twice; the first one is at %s:%d; hint: remove one of "
			"them",
			path, address_format(address, text), first_origin->file,
			first_origin->line);
		return;
	}
	findings_add(check->findings, FINDING_FILE, origin,
		"%s: %s overlaps %s at %s:%d; hint: the kernel binds only one of them, for the "
		"wildcard takes the port on every address",
		path, address_format(address, text), address_format(before, before_text),
		first_origin->file, first_origin->line);
}

/* Against every address before it; one message is enough. */
static void
check_address(const struct check *check, struct place place)
{
	struct place first = {0};

	for (; first.listener <= place.listener; first.listener++) {
		size_t count = first.listener == place.listener
				       ? place.index
				       : check->config->listeners[first.listener].addresses.count;

		for (first.index = 0; first.index < count; first.index++) {
			if (address_overlaps(address_at(check, place), address_at(check, first))) {
				complain_address(check, place, first);
				return;
			}
		}
	}
}

static void
check_addresses(const struct check *check, int listener)
{
	struct place place = {.listener = listener};

	for (; place.index < check->config->listeners[listener].addresses.count; place.index++) {
		check_address(check, place);
	}
}

/* The kernel counts keepalive in seconds; a part of one would be rounded without a word. */
static void
check_whole_seconds(const struct check *check, int listener, const char *path, int64_t duration_ms)
{
	if (duration_ms % 1000 != 0) {
		complain(check, FINDING_FILE, listener, path,
			"not whole seconds, in which the kernel counts; got \"%s\"",
			show(duration_ms).text);
	}
}

/* TCP_USER_TIMEOUT takes the place of the number of probes: measured, and in tcp_keepalive_timer()
 * of the kernel's net/ipv4/tcp_timer.c. */
static void
check_user_timeout(const struct check *check, int listener)
{
	const struct listener_config *config = &check->config->listeners[listener];
	int64_t first_ms = config->keepalive.idle_ms + config->keepalive.interval_ms;
	int64_t all_ms = config->keepalive.idle_ms +
			 config->keepalive.interval_ms * config->keepalive.probes;
	int64_t real_ms = config->user_timeout_ms > first_ms ? config->user_timeout_ms : first_ms;

	if (config->user_timeout_ms == CONFIG_NONE || config->keepalive.idle_ms == CONFIG_NONE ||
		config->user_timeout_ms == all_ms) {
		return;
	}
	complain(check, FINDING_WARNING, listener, "user_timeout",
		"%s is %s than keepalive.idle + keepalive.interval * keepalive.probes (%s), and "
		"the "
		"kernel lets it overrule the number of probes: a silent client that is gone is "
		"given up after about %s; hint: write user_timeout = \"%s\"",
		show(config->user_timeout_ms).text,
		config->user_timeout_ms < all_ms ? "shorter" : "longer", show(all_ms).text,
		show(real_ms).text, show(all_ms).text);
}

static void
check_keepalive(const struct check *check, int listener)
{
	static const char *const others[] = {"keepalive.interval", "keepalive.probes"};
	const struct listener_config *config = &check->config->listeners[listener];

	check_whole_seconds(check, listener, "keepalive.idle", config->keepalive.idle_ms);
	check_whole_seconds(check, listener, "keepalive.interval", config->keepalive.interval_ms);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		if (config->keepalive.idle_ms == CONFIG_NONE &&
			is_wanted(check, listener, others[i])) {
			complain(check, FINDING_WARNING, listener, others[i],
				"no effect while keepalive.idle is \"none\"");
		}
	}
	check_user_timeout(check, listener);
}

static void
check_limits(const struct check *check, int listener)
{
	const struct config *config = check->config;
	const struct listener_config *one = &config->listeners[listener];

	if (one->max_connections > config->max_connections) {
		complain(check, FINDING_WARNING, listener, "max_connections",
			"%" PRId64 " is above the server's max_connections, which is met first; "
			"allowed: 1..%" PRId64,
			one->max_connections, config->max_connections);
	}
	if (config->kernel.somaxconn > 0 && one->backlog > config->kernel.somaxconn) {
		complain(check, config->strict ? FINDING_FILE : FINDING_WARNING, listener,
			"backlog",
			"%" PRId64 " is above kernel.somaxconn, to which the kernel cuts it; "
			"allowed: 1..%" PRId64 "; hint: write kernel.somaxconn = \"auto\"",
			one->backlog, config->kernel.somaxconn);
	}
	if (one->lifetime_ms != CONFIG_NONE && one->idle_timeout_ms > one->lifetime_ms &&
		is_wanted(check, listener, "idle_timeout")) {
		complain(check, FINDING_WARNING, listener, "idle_timeout",
			"no effect: lifetime (%s) ends every connection before",
			show(one->lifetime_ms).text);
	}
}

static void
check_source_limits(const struct check *check, int listener)
{
	const struct listener_config *one = &check->config->listeners[listener];
	int64_t most = check->config->max_connections;

	if (one->max_connections != CONFIG_NONE && one->max_connections < most) {
		most = one->max_connections;
	}
	if (one->max_connections_per_source >= most) {
		complain(check, FINDING_WARNING, listener, "max_connections_per_source",
			"no effect: max_connections (%" PRId64 ") is met first, so one source can "
			"take every place; allowed: 1..%" PRId64,
			most, most > 1 ? most - 1 : 1);
	}
}

static size_t
count_unix(const struct address_list *list)
{
	size_t count = 0;

	for (size_t i = 0; i < list->count; i++) {
		count += list->items[i].any.sa_family == AF_UNIX ? 1 : 0;
	}
	return count;
}

/* Options of TCP on a listener that has none, and the other way round. A client of a unix socket
 * has an address only if a PROXY header gives it one. */
static void
check_family(const struct check *check, int listener)
{
	static const char *const of_tcp[] = {"no_delay", "user_timeout", "keepalive.idle",
		"keepalive.interval", "keepalive.probes", "trusted", "allow", "deny",
		"max_connections_per_source", "connection_rate_per_source"};
	const struct listener_config *config = &check->config->listeners[listener];
	size_t count = config->addresses.count, unix_count = count_unix(&config->addresses);
	size_t idle_count = ARRAY_LEN(of_tcp) - (config->accept_proxy ? 4 : 0);

	if (count > 0 && unix_count == 0 && is_wanted(check, listener, "unix_mode")) {
		complain(check, FINDING_WARNING, listener, "unix_mode",
			"no effect: no address of this listener is a unix socket");
	}
	for (size_t i = 0; count > 0 && unix_count == count && i < idle_count; i++) {
		if (is_wanted(check, listener, of_tcp[i])) {
			complain(check, FINDING_WARNING, listener, of_tcp[i],
				"no effect: every address of this listener is a unix socket");
		}
	}
}

/* One that could not be read has its default now, and has been complained about. */
static bool
may_be_broken(const struct check *check, int listener, const char *path)
{
	return check->findings->errors > 0 &&
	       config_origin_of(check->config, listener, path).file != NULL;
}

static void
check_trusted(const struct check *check, int listener)
{
	const struct network_list *trusted = &check->config->listeners[listener].trusted;
	const struct address_list *addresses = &check->config->listeners[listener].addresses;
	char text[NETWORK_TEXT_MAX];

	if (trusted->count == 0 && count_unix(addresses) < addresses->count &&
		!may_be_broken(check, listener, "trusted")) {
		complain(check, FINDING_FILE, listener, "trusted",
			"is required by accept_proxy; allowed: the networks of your load "
			"balancers; hint: without it every client could claim any address");
	}
	for (size_t i = 0; i < trusted->count; i++) {
		if (network_is_everything(&trusted->items[i])) {
			complain(check, FINDING_WARNING, listener, "trusted",
				"%s lets everybody who can connect claim any address",
				network_format(&trusted->items[i], text));
		}
	}
}

static void
check_accept_proxy(const struct check *check, int listener)
{
	const struct listener_config *config = &check->config->listeners[listener];

	if (config->accept_proxy) {
		check_trusted(check, listener);
		return;
	}
	if (config->trusted.count > 0 && !may_be_broken(check, listener, "accept_proxy")) {
		complain(check, FINDING_FILE, listener, "trusted",
			"no effect without accept_proxy; hint: write accept_proxy = true, or leave "
			"it out");
	}
	if (is_wanted(check, listener, "proxy_timeout")) {
		complain(check, FINDING_WARNING, listener, "proxy_timeout",
			"no effect without accept_proxy");
	}
}

/* In the background the working directory is /, so a relative path would mean another file. */
static void
check_paths(const struct check *check)
{
	const struct config *config = check->config;
	enum log_sink sink;
	const char *path;
	struct fault why;

	if (config->pid_file[0] != '\0' && config->pid_file[0] != '/') {
		complain(check, FINDING_FILE, -1, "pid_file",
			"not an absolute path; allowed: a path that begins with '/', or \"\" for "
			"none");
	}
	if (log_parse_target(config->log, &sink, &path, &why) < 0) {
		complain(check, FINDING_FILE, -1, "log", "%s", why.text);
	}
	if (strcmp(config->log, config->pid_file) == 0) {
		complain(check, FINDING_FILE, -1, "log", "the same file as pid_file");
	}
}

static void
check_session_log(const struct check *check)
{
	const struct config *config = check->config;
	const char *path = config->session_log;

	if (path[0] != '\0' && path[0] != '/') {
		complain(check, FINDING_FILE, -1, "session_log",
			"not an absolute path; allowed: the path of a file, which begins with "
			"'/', or \"\" for none");
	} else if (path[0] != '\0' &&
		   (strcmp(path, config->log) == 0 || strcmp(path, config->pid_file) == 0)) {
		complain(check, FINDING_FILE, -1, "session_log", "the same file as %s",
			strcmp(path, config->log) == 0 ? "log" : "pid_file");
	}
	for (int i = 0; path[0] == '\0' && i < (int)config->listener_count; i++) {
		if (is_wanted(check, i, "session_log")) {
			complain(check, FINDING_WARNING, i, "session_log",
				"no effect: the server has no session_log");
		}
	}
}

/* The doors of the monitor. */
static void
check_admin(const struct check *check)
{
	const struct config *config = check->config;
	struct address address;
	struct fault why;

	if (config->admin.socket[0] != '\0' && config->admin.socket[0] != '/') {
		complain(check, FINDING_FILE, -1, "admin.socket",
			"not an absolute path; allowed: a path that begins with '/', or \"\" for "
			"none");
	}
	if (config->admin.web[0] == '\0') {
		return;
	}
	if (address_parse(config->admin.web, &address, &why) < 0) {
		complain(check, FINDING_FILE, -1, "admin.web", "%s", why.text);
	} else if (address.any.sa_family == AF_UNIX) {
		complain(check, FINDING_FILE, -1, "admin.web",
			"a unix socket; allowed: an address with a port, as \"127.0.0.1:7080\"");
	}
}

static void
check_crash_penalty(const struct check *check)
{
	if (check->config->crash_penalty_ms == CONFIG_NONE &&
		check->config->crash_penalty_exempt.count > 0) {
		complain(check, FINDING_WARNING, -1, "crash_penalty_exempt",
			"no effect while crash_penalty is \"none\"");
	}
}

void
config_check(const struct config *config, struct findings *findings)
{
	const struct check check = {config, findings};

	check_paths(&check);
	check_session_log(&check);
	check_admin(&check);
	check_crash_penalty(&check);
	for (int i = 0; i < (int)config->listener_count; i++) {
		check_name(&check, i);
		check_addresses(&check, i);
		check_limits(&check, i);
		check_source_limits(&check, i);
		check_keepalive(&check, i);
		check_family(&check, i);
		check_accept_proxy(&check, i);
	}
	config_check_upstreams(config, findings);
}
