/* Asks the kernel itself: a socket with SO_REUSEADDR that is bound but does not listen disturbs
 * nobody, and bind(2) fails for the very reasons that would make the start fail. */
#include "master/world_address.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/address.h"
#include "common/config.h"
#include "common/net.h"
#include "master/activation.h"
#include "master/backends.h"
#include "master/listeners.h"
#include "master/world.h"

#define OWNER_MAX          128
#define PRIVILEGED_PORT_AT "net.ipv4.ip_unprivileged_port_start"

/* One address under examination. */
struct probe {
	const struct world *world;
	struct findings *findings;
	const struct address *address;
	char option[64]; /* "listeners[web].address" */
	struct config_origin origin;
	char where[ADDRESS_TEXT_MAX];
};

/* @return 0 or negative errno */
static int
probe_bind_one(const struct address *address)
{
	int on = 1, v6only = !address->is_dual, status = 0;
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		return -errno;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		(address->any.sa_family == AF_INET6 &&
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)) != 0) ||
		bind(fd, &address->any, address->len) != 0) {
		status = -errno;
	}
	(void)close(fd);
	return status;
}

/* Where the kernel has no IPv6, "every address" is every IPv4 address: net_listen(). */
static int
probe_bind(const struct address *address)
{
	int status = probe_bind_one(address);
	struct address every = {.len = sizeof(every.in4)};

	if (status != -EAFNOSUPPORT || !address->is_dual) {
		return status;
	}
	every.in4.sin_family = AF_INET;
	every.in4.sin_port = address->in6.sin6_port;
	return probe_bind_one(&every);
}

/* Binding would leave a path behind, so a unix socket is looked at. Connecting with the wrong type
 * tells whether somebody holds the path, without a connection (unix(7): EPROTOTYPE). */
static int
probe_unix(const struct address *address)
{
	const char *path = address->un.sun_path;
	struct stat found;
	char *copy;
	int fd, status;

	if (lstat(path, &found) == 0) {
		if (!S_ISSOCK(found.st_mode)) {
			return -EEXIST;
		}
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd < 0) {
			return -errno;
		}
		status = connect(fd, &address->any, address->len) != 0 ? errno : EISCONN;
		(void)close(fd);
		if (status ==
			EACCES) { /* who left it there, and whether he lives, is not ours to see */
			return -EACCES;
		}
		if (status != ECONNREFUSED) {
			return -EADDRINUSE;
		}
	}
	copy = strdup(path);
	if (copy == NULL) {
		return -ENOMEM;
	}
	status = access(dirname(copy), W_OK | X_OK) == 0 ? 0 : -errno;
	free(copy);
	return status;
}

/* The parent of a process: a listener's owner may be named by one of its workers. */
static pid_t
probe_parent_of(pid_t pid)
{
	char path[32], line[512];
	const char *end;
	FILE *file;
	int parent = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (file == NULL) {
		return 0;
	}
	end = fgets(line, sizeof(line), file) != NULL ? strrchr(line, ')') : NULL;
	if (end == NULL || sscanf(end, ") %*c %d", &parent) != 1) {
		parent = 0;
	}
	(void)fclose(file);
	return parent;
}

/* -t beside a running server: the ports that it holds are the ones that it will go on with. And a
 * second instance is told of the first by the pid file. */
static bool
probe_is_running_instance(const struct probe *probe, const char *owner)
{
	int pid;

	if (probe->world->running <= 0) {
		return false;
	}
	if (sscanf(owner, "pid %d", &pid) != 1) {
		return geteuid() != 0; /* we may not look; the running instance is the likely one */
	}
	return pid == probe->world->running || probe_parent_of(pid) == probe->world->running;
}

static bool
probe_is_activated(const struct probe *probe)
{
	const struct activation *activation = probe->world->activation;

	for (size_t i = 0; activation != NULL && i < activation->count; i++) {
		if (activation->sockets[i].fd >= 0 &&
			address_equal(&activation->sockets[i].address, probe->address)) {
			return true;
		}
	}
	return false;
}

/* At a reload, an address that overlaps a socket of our own which is about to go. */
static const struct listening_socket *
probe_find_own_overlap(const struct probe *probe)
{
	const struct listeners *listeners = probe->world->listeners;

	for (size_t i = 0; listeners != NULL && i < listeners->count; i++) {
		if (address_overlaps(&listeners->sockets[i].address, probe->address)) {
			return &listeners->sockets[i];
		}
	}
	return NULL;
}

static void
probe_say_in_use(const struct probe *probe)
{
	char owner[OWNER_MAX];
	char ours[ADDRESS_TEXT_MAX];
	const struct listening_socket *own = probe_find_own_overlap(probe);

	if (own != NULL) {
		findings_add(probe->findings, FINDING_WORLD, &probe->origin,
			"%s: %s overlaps %s, which this server still listens "
			"on; "
			"reload first with neither of them, then with the new one; or restart",
			probe->option, probe->where, address_format(&own->address, ours));
		return;
	}
	(void)net_port_owner(probe->address, owner, sizeof(owner));
	if (probe_is_running_instance(probe, owner)) {
		return;
	}
	findings_add(probe->findings, FINDING_WORLD, &probe->origin,
		"%s: %s is in use by %s; stop that program or choose another "
		"address",
		probe->option, probe->where, owner);
}

static void
probe_say(const struct probe *probe, int error)
{
	const char *consequence;

	switch (error) {
	case -EADDRINUSE:
		probe_say_in_use(probe);
		return;
	case -EACCES:
	case -EPERM:
		consequence = probe->address->any.sa_family == AF_UNIX
				      ? "its directory is not writable for us, or another user's "
					"socket is there; remove that as its owner, or choose "
					"another path"
				      : "ports below " PRIVILEGED_PORT_AT
					" need root or CAP_NET_BIND_SERVICE; start as root, run: "
					"setcap cap_net_bind_service=+ep on the program, or choose "
					"a higher port";
		break;
	case -EADDRNOTAVAIL:
		consequence = "no interface of this machine has this address; `ip address` lists "
			      "them, \"*:PORT\" means all of them";
		break;
	case -EAFNOSUPPORT:
		consequence = "this machine has no IPv6; write an IPv4 address";
		break;
	case -EEXIST:
		consequence = "the path exists and is no socket; remove it or choose another path";
		break;
	case -ENOENT:
		consequence = "its directory does not exist; make it or choose another path";
		break;
	default:
		consequence = "the kernel refuses it";
		break;
	}
	findings_add(probe->findings, FINDING_WORLD, &probe->origin,
		"%s: cannot listen on %s: %s: %s", probe->option, probe->where, strerror(-error),
		consequence);
}

static void
probe_address(struct probe *probe)
{
	int status;

	if ((probe->world->listeners != NULL &&
		    listeners_find(probe->world->listeners, probe->address) != NULL) ||
		probe_is_activated(probe)) {
		return;
	}
	(void)address_format(probe->address, probe->where);
	status = probe->address->any.sa_family == AF_UNIX ? probe_unix(probe->address)
							  : probe_bind(probe->address);
	if (status != 0) {
		probe_say(probe, status);
	}
}

void
world_check_addresses(const struct world *world, struct findings *findings)
{
	for (size_t i = 0; i < world->config->listener_count; i++) {
		const struct listener_config *listener = &world->config->listeners[i];
		struct probe probe = {
			.world = world,
			.findings = findings,
			.origin = config_origin_of(world->config, (int)i, "address"),
		};

		(void)snprintf(probe.option, sizeof(probe.option), "listeners[%s].address",
			listener->name);
		for (size_t j = 0; j < listener->addresses.count; j++) {
			probe.address = &listener->addresses.items[j];
			probe_address(&probe);
		}
	}
}

void
world_check_loops(const struct world *world, struct findings *findings)
{
	const struct config *config = world->config;
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < config->server_count; i++) {
		const struct upstream_server_config *server = &config->servers[i];
		const struct upstream_config *upstream = config_upstream_of(config, i);
		const struct listener_config *listener =
			server->where.kind != ENDPOINT_ADDRESS
				? NULL
				: backends_find_loop(config, upstream, &server->where.address);

		if (listener != NULL) {
			findings_add(findings, FINDING_WORLD, &server->origin,
				"upstreams[%s]: %s is an address of this machine, and so of "
				"listener %s, which would connect to itself without end; give the "
				"address of the back end, or let the listener have single "
				"addresses",
				upstream->name, address_format(&server->where.address, text),
				listener->name);
		}
	}
}

/* A directory that is missing below one that we may write is made when the door is opened. */
static bool
door_directory_can_be_made(const struct address *address)
{
	char copy[sizeof(address->un.sun_path) + 1];

	if (address->any.sa_family != AF_UNIX) {
		return false;
	}
	(void)snprintf(copy, sizeof(copy), "%s", address->un.sun_path);
	return access(dirname(dirname(copy)), W_OK | X_OK) == 0;
}

static void
world_check_door(const struct world *world, struct findings *findings, const char *option,
	const char *prefix, const char *is, const char *was)
{
	struct probe probe = {.world = world,
		.findings = findings,
		.origin = config_origin_of(world->config, -1, option)};
	char text[ADDRESS_TEXT_MAX];
	struct address address;
	int status;

	/* One that nobody asked for by name is done without where it cannot be had. */
	(void)snprintf(text, sizeof(text), "%s%s", prefix, is);
	if (is[0] == '\0' || probe.origin.file == NULL || (was != NULL && strcmp(is, was) == 0) ||
		address_parse(text, &address, NULL) != 0) {
		return;
	}
	probe.address = &address;
	(void)snprintf(probe.option, sizeof(probe.option), "%s", option);
	(void)address_format(&address, probe.where);
	status = address.any.sa_family == AF_UNIX ? probe_unix(&address) : probe_bind(&address);
	if (status != 0 && !(status == -ENOENT && door_directory_can_be_made(&address))) {
		probe_say(&probe, status);
	}
}

void
world_check_doors(const struct world *world, struct findings *findings)
{
	const struct config *is = world->config, *was = world->was;

	world_check_door(world, findings, "admin.socket", "unix:", is->admin.socket,
		was != NULL ? was->admin.socket : NULL);
	world_check_door(world, findings, "admin.web", "", is->admin.web,
		was != NULL ? was->admin.web : NULL);
}
