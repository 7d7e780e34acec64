/* Prepare everything that can fail (settings, new acceptors), then switch, which cannot. */
#include "worker/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/descriptor.h"
#include "common/log.h"
#include "worker/acceptor.h"
#include "worker/service.h"
#include "worker/settings.h"
#include "worker/source_gate.h"
#include "worker/upstream.h"

#define CONFIG_TEXT_MAX (16 << 20)

struct snapshot_socket {
	struct channel_socket row;
	int fd;                    /* -1: one that we have already */
	struct acceptor *acceptor; /* while applying: made for it */
};

/* --- taking --- */

void
snapshot_discard(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->socket_count; i++) {
		descriptor_close(&snapshot->sockets[i].fd);
	}
	free(snapshot->sockets);
	config_free(&snapshot->config);
	*snapshot = (struct snapshot){.cpu = -1};
}

static int
load_config(int fd, struct config **config, struct fault *why)
{
	struct findings *findings = calloc(1, sizeof(*findings));
	char *text = NULL;
	size_t len;
	int error = -ENOMEM;

	if (findings != NULL) {
		error = descriptor_read_all(fd, CONFIG_TEXT_MAX, &text, &len);
	}
	if (error != 0) {
		(void)fault_set(why, -error, "cannot read the configuration that the master sent");
	} else {
		error = config_load_text(text, "configuration", config, findings);
		if (error != 0) {
			(void)fault_say(why, -error, "%s",
				findings->count > 0 ? findings->items[0].text : "no memory");
		}
	}
	free(text);
	free(findings);
	return error;
}

void
snapshot_take_config(struct snapshot *snapshot, struct channel_message *message)
{
	snapshot->generation = message->config.generation;
	snapshot->cpu = message->config.cpu;
	config_free(&snapshot->config);
	(void)load_config(message->fds[0], &snapshot->config, &snapshot->why);
}

static bool
is_marked(const struct channel_listeners *listeners, uint32_t i)
{
	return (listeners->new_mask[i / 32] >> (i % 32) & 1) != 0;
}

void
snapshot_take_sockets(struct snapshot *snapshot, struct channel_message *message)
{
	const struct channel_listeners *listeners = &message->listeners;
	size_t count = snapshot->socket_count, next_fd = 0;
	struct snapshot_socket *grown =
		realloc(snapshot->sockets, (count + listeners->count) * sizeof(*grown));

	if (grown == NULL) {
		if (listeners->count > 0) {
			config_free(&snapshot->config);
			(void)fault_say(&snapshot->why, ENOMEM, "no memory for the sockets");
		}
		return;
	}
	snapshot->sockets = grown;
	for (uint32_t i = 0; i < listeners->count; i++) {
		struct snapshot_socket *socket = &grown[snapshot->socket_count++];

		*socket = (struct snapshot_socket){.row = listeners->sockets[i], .fd = -1};
		if (is_marked(listeners, i)) {
			socket->fd = message->fds[next_fd];
			message->fds[next_fd++] = -1;
		}
	}
}

/* --- applying --- */

/* The settings of one listener are shared by its sockets. */
struct draft {
	struct settings **settings; /* by index in the configuration */
	size_t count;
};

static void
draft_free(struct draft *draft)
{
	for (size_t i = 0; draft->settings != NULL && i < draft->count; i++) {
		settings_release(&draft->settings[i]);
	}
	free(draft->settings);
}

static int
draft_check(const struct snapshot *snapshot, const struct service *service, struct fault *why)
{
	for (size_t i = 0; i < snapshot->socket_count; i++) {
		const struct snapshot_socket *socket = &snapshot->sockets[i];
		const struct channel_socket *row = &socket->row;
		bool is_known = acceptor_find(service, row->number) != NULL;

		if (is_known == (socket->fd >= 0)) {
			return fault_say(why, EPROTO, "socket %" PRIu32 " came %s a descriptor",
				row->number, is_known ? "again with" : "without");
		}
		if (row->listener >= (int64_t)snapshot->config->listener_count ||
			row->board_listener < 0 || row->board_listener >= BOARD_LISTENERS) {
			return fault_say(
				why, EPROTO, "socket %" PRIu32 " is of no listener", row->number);
		}
	}
	return 0;
}

static int
draft_make(struct draft *draft, const struct snapshot *snapshot, struct service *service)
{
	draft->count = snapshot->config->listener_count;
	draft->settings = calloc(draft->count + 1, sizeof(struct settings *));
	if (draft->settings == NULL) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < snapshot->socket_count; i++) {
		const struct channel_socket *row = &snapshot->sockets[i].row;
		struct settings **settings;

		if (row->listener < 0) {
			continue;
		}
		settings = &draft->settings[row->listener];
		if (*settings == NULL) {
			const struct listener_config *listener =
				&snapshot->config->listeners[row->listener];

			*settings = settings_new(service, listener, row->board_listener,
				upstream_find(service, listener->upstream));
			if (*settings == NULL) {
				return -ENOMEM;
			}
		}
	}
	return 0;
}

/* A retiring socket that is new to us belongs to a listener we know nothing about: the workers that
 * had it before empty its queue. */
static int
open_new(struct snapshot *snapshot, const struct draft *draft, struct service *service)
{
	for (size_t i = 0; i < snapshot->socket_count; i++) {
		struct snapshot_socket *socket = &snapshot->sockets[i];
		int fd = socket->fd;

		if (fd < 0 || socket->row.listener < 0) {
			continue;
		}
		socket->fd = -1;
		if (acceptor_open(service, socket->row.number, fd,
			    draft->settings[socket->row.listener], &socket->acceptor) != 0) {
			return -ENOMEM;
		}
	}
	return 0;
}

static void
close_new(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->socket_count; i++) {
		if (snapshot->sockets[i].acceptor != NULL) {
			acceptor_close(snapshot->sockets[i].acceptor);
		}
	}
}

static void
switch_known(const struct snapshot *snapshot, const struct draft *draft, struct service *service)
{
	for (size_t i = 0; i < snapshot->socket_count; i++) {
		const struct snapshot_socket *socket = &snapshot->sockets[i];

		if (socket->acceptor == NULL && socket->row.listener >= 0) {
			acceptor_use(acceptor_find(service, socket->row.number),
				draft->settings[socket->row.listener]);
		}
	}
}

static void
count_sources(const struct draft *draft, struct service *service)
{
	for (size_t i = 0; i < draft->count; i++) {
		if (draft->settings[i] != NULL) {
			source_gate_count_open(service, draft->settings[i]);
		}
	}
}

static void
pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0) {
		return;
	}
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0) {
		log_warning("cannot be bound to CPU %d: %s; running on any", cpu, strerror(errno));
	}
}

static int
snapshot_commit(
	struct snapshot *snapshot, struct service *service, struct draft *draft, struct fault *why)
{
	int error = draft_check(snapshot, service, why);

	if (error != 0) {
		return error;
	}
	error = upstreams_prepare(service, snapshot->config);
	if (error == 0) {
		error = draft_make(draft, snapshot, service);
	}
	if (error == 0) {
		error = open_new(snapshot, draft, service);
	}
	if (error != 0) {
		close_new(snapshot);
		upstreams_roll_back(service);
		return fault_say(why, -error, "no memory for the settings of the listeners");
	}
	switch_known(snapshot, draft, service);
	count_sources(draft, service);
	upstreams_commit(service);
	service->max_connections = snapshot->config->max_connections;
	service->drain_timeout_ms = snapshot->config->drain_timeout_ms;
	atomic_store_explicit(
		&service->slot->generation, snapshot->generation, memory_order_relaxed);
	pin(snapshot->cpu);
	return 0;
}

int
snapshot_apply(struct snapshot *snapshot, struct service *service, struct fault *why)
{
	struct draft draft = {NULL, 0};
	int error;

	if (snapshot->config == NULL) {
		error = snapshot->why.code == 0
				? fault_say(why, EPROTO, "no configuration came before the commit")
				: fault_say(why, -snapshot->why.code, "%s", snapshot->why.text);
	} else {
		error = snapshot_commit(snapshot, service, &draft, why);
	}
	draft_free(&draft);
	snapshot_discard(snapshot);
	return error;
}
