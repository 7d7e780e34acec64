/* The master is trusted, but its answers come when they come: a request that nobody waits for any
 * more is forgotten, and its answer dropped. */
#include "monitor/link.h"
#include "build.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/config.h"
#include "common/descriptor.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/privilege.h"
#include "monitor/monitor.h"

#define CONFIG_BYTES_MAX (64 * 1024 * 1024)

static struct monitor *
monitor_of(struct link *link)
{
	return container_of(link, struct monitor, link);
}

/* --- what the master tells --- */

static void
link_use_log(struct channel_message *message)
{
	log_set_level((enum log_level)message->log.level);
	if (message->fd_count > 0) {
		log_use_descriptor((enum log_sink)message->log.sink, message->fds[0]);
		message->fds[0] = -1;
	} else {
		log_use_descriptor(LOG_STDERR, -1);
	}
}

static void
link_take_config(struct link *link, const struct channel_message *message)
{
	struct findings *findings = calloc(1, sizeof(*findings));
	char *text = NULL;
	size_t len;

	config_free(&link->next_config);
	link->next_generation = message->config.generation;
	if (findings != NULL &&
		descriptor_read_all(message->fds[0], CONFIG_BYTES_MAX, &text, &len) == 0 &&
		config_load_text(text, "the master", &link->next_config, findings) != 0) {
		link->next_config = NULL; /* the COMMIT is refused */
	}
	free(text);
	free(findings);
}

static void
link_drop_doors(struct link *link)
{
	descriptor_close(&link->next_doors[0]);
	descriptor_close(&link->next_doors[1]);
	link->has_doors = false;
}

static void
link_take_doors(struct link *link, struct channel_message *message)
{
	const uint8_t has[] = {message->doors.has_admin, message->doors.has_web};
	size_t next = 0;

	link_drop_doors(link);
	for (size_t i = 0; i < ARRAY_LEN(has); i++) {
		if (has[i] != 0) {
			link->next_doors[i] = message->fds[next];
			message->fds[next++] = -1;
		}
	}
	link->has_doors = true;
}

static void
link_send(struct link *link, enum channel_type type, const void *payload)
{
	int status = channel_send(link->fd, type, payload, NULL, 0);

	if (status != 0 && status != -EPIPE) {
		log_error("cannot send \"%s\" to the master: %s; it will replace the monitor",
			channel_type_name(type), strerror(-status));
	}
}

static void
link_refuse(struct link *link, uint64_t generation)
{
	struct channel_refused refused;

	memset(&refused, 0, sizeof(refused));
	refused.generation = generation;
	(void)snprintf(refused.why, sizeof(refused.why), "cannot read it");
	link_send(link, CHANNEL_REFUSED, &refused);
}

static void
link_commit(struct link *link, const struct channel_commit *commit)
{
	struct monitor *monitor = monitor_of(link);

	if (link->next_config == NULL) {
		link_refuse(link, commit->generation);
	} else {
		config_free(&monitor->config);
		monitor->config = link->next_config;
		monitor->generation = link->next_generation;
		link->next_config = NULL;
		monitor_use_names(monitor);
		link_send(link, CHANNEL_APPLIED, commit);
	}
	if (link->has_doors) {
		monitor_use_doors(monitor, link->next_doors[0], link->next_doors[1]);
		link->next_doors[0] = link->next_doors[1] = -1;
		link->has_doors = false;
	}
	if (!link->is_committed) {
		link->is_committed = true;
		link_send(link, CHANNEL_READY, NULL);
	}
}

/* --- answers --- */

static struct link_request **
link_find(struct link *link, uint32_t id)
{
	for (size_t i = 0; id != 0 && i < LINK_REQUESTS_MAX; i++) {
		if (link->requests[i] != NULL && link->requests[i]->id == id) {
			return &link->requests[i];
		}
	}
	return NULL;
}

static void
link_finish(struct link *link, struct link_request **place, int status)
{
	struct link_request *request = *place;
	char *text;

	monitor_forget_now(monitor_of(link));
	*place = NULL;
	request->id = 0;
	(void)fclose(request->pieces);
	request->pieces = NULL;
	text = request->text;
	request->text = NULL;
	request->on_result(request, status, text != NULL ? text : "");
	free(text);
}

static void
link_take_result(struct link *link, const struct channel_result *result)
{
	struct link_request **place = link_find(link, result->id);

	if (place == NULL) {
		return; /* who asked is gone */
	}
	(void)fwrite(result->text, 1, result->len, (*place)->pieces);
	if (result->is_last != 0) {
		link_finish(link, place, result->status);
	}
}

static void
link_take_rows(struct link *link, const struct channel_message *message)
{
	struct link_request **place = link_find(link, message->rows.id);

	if (place != NULL && (*place)->on_rows != NULL) {
		(*place)->on_rows(*place, message->rows.slot, message->rows.count, message->fds[0]);
	}
}

int
link_ask(struct monitor *monitor, struct link_request *request, enum channel_command command,
	const char *argument, const char *who)
{
	struct link *link = &monitor->link;
	struct channel_request payload;
	size_t place = 0;
	int status;

	while (place < LINK_REQUESTS_MAX && link->requests[place] != NULL) {
		place++;
	}
	if (place == LINK_REQUESTS_MAX) {
		return -EBUSY;
	}
	memset(&payload, 0, sizeof(payload));
	payload.id = ++link->last_id != 0 ? link->last_id : ++link->last_id;
	payload.command = command;
	(void)snprintf(payload.who, sizeof(payload.who), "%s", who);
	(void)snprintf(payload.argument, sizeof(payload.argument), "%s", argument);
	status = channel_send(link->fd, CHANNEL_REQUEST, &payload, NULL, 0);
	if (status != 0) {
		return status;
	}
	request->pieces = open_memstream(&request->text, &request->len);
	if (request->pieces == NULL) {
		return -ENOMEM;
	}
	request->id = payload.id;
	link->requests[place] = request;
	return 0;
}

int
link_answer(const struct monitor *monitor, const struct channel_answer *answer)
{
	return channel_send(monitor->link.fd, CHANNEL_ANSWER, answer, NULL, 0);
}

void
link_forget(struct monitor *monitor, struct link_request *request)
{
	struct link_request **place = link_find(&monitor->link, request->id);

	if (place != NULL) {
		*place = NULL;
		(void)fclose(request->pieces);
		free(request->text);
		request->pieces = NULL;
		request->text = NULL;
		request->id = 0;
	}
}

/* --- the channel --- */

static void
link_obey(struct link *link, struct channel_message *message)
{
	switch (message->type) {
	case CHANNEL_LOG:
		link_use_log(message);
		break;
	case CHANNEL_CONFIG:
		link_take_config(link, message);
		break;
	case CHANNEL_DOORS:
		link_take_doors(link, message);
		break;
	case CHANNEL_COMMIT:
		link_commit(link, &message->commit);
		break;
	case CHANNEL_RESULT:
		link_take_result(link, &message->result);
		break;
	case CHANNEL_ROWS:
		link_take_rows(link, message);
		break;
	default: /* what is said to workers never comes this way */
		break;
	}
}

static void
link_on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct link *link = container_of(watcher, struct link, watcher);
	struct channel_message message;
	int status;

	(void)events;
	do {
		status = channel_receive(link->fd, CHANNEL_CHILD, &message);
		if (status == 0) {
			link_obey(link, &message);
			channel_message_close(&message);
		}
	} while (status == 0);
	if (status != -EAGAIN) {
		ev_io_stop(loop, watcher);
		monitor_end(monitor_of(link), status == -EPIPE
						      ? "the master has closed the channel"
						      : "the channel to the master is broken");
	}
}

static int
link_wait_hello(struct link *link, struct channel_message *message)
{
	struct pollfd wait = {.fd = link->fd, .events = POLLIN};
	int status;

	while (poll(&wait, 1, -1) < 0) {
		if (errno != EINTR) {
			return -errno;
		}
	}
	status = channel_receive(link->fd, CHANNEL_CHILD, message);
	if (status == 0 && message->type != CHANNEL_HELLO) {
		channel_message_close(message);
		status = -EPROTO;
	}
	return status;
}

/* Sanitizers look for leaks with ptrace, which needs a dumpable process. */
static int
link_bind(pid_t master)
{
#ifdef WITH_SANITIZER
	return privilege_bind_to_parent(master, true);
#else
	return privilege_bind_to_parent(master, false);
#endif
}

int
link_open(struct monitor *monitor, int fd, struct fault *why)
{
	struct link *link = &monitor->link;
	struct channel_message message;
	struct ucred master;
	socklen_t len = sizeof(master);
	int status;

	link->fd = fd;
	link->next_doors[0] = link->next_doors[1] = -1;
	status = link_wait_hello(link, &message);
	if (status != 0) {
		return fault_set(why, -status, "no greeting from the master");
	}
	status = link_bind((pid_t)message.hello.master_pid);
	if (status != 0) {
		status = fault_set(why, -status, "cannot tie itself to the master");
	} else {
		status = board_attach(&monitor->board, message.fds[0], -1, why);
	}
	channel_message_close(&message);
	/* The credentials of a socket pair are those of who made it. */
	monitor->master_uid = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &master, &len) == 0) {
		monitor->master_uid = master.uid;
	}
	return status;
}

void
link_start(struct monitor *monitor)
{
	struct link *link = &monitor->link;

	ev_io_init(&link->watcher, link_on_readable, link->fd, EV_READ);
	ev_io_start(monitor->loop, &link->watcher);
}

void
link_close(struct monitor *monitor)
{
	struct link *link = &monitor->link;

	ev_io_stop(monitor->loop, &link->watcher);
	link_drop_doors(link);
	config_free(&link->next_config);
	descriptor_close(&link->fd);
}
