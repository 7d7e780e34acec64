/* The master is trusted, but its answers come when they come: a request that nobody waits for any
 * more is forgotten, and its answer dropped. */
#include "monitor/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/config.h"
#include "common/descriptor.h"
#include "monitor/monitor.h"

#define CONFIG_BYTES_MAX (64 * 1024 * 1024)

static struct monitor *
monitor_of(struct link *link)
{
	return container_of(link, struct monitor, link);
}

/* --- what the master tells --- */

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
link_commit(struct link *link, const struct channel_commit *commit)
{
	struct monitor *monitor = monitor_of(link);

	if (link->next_config == NULL) {
		child_end_refuse(&link->end, commit->generation, "cannot read it");
	} else {
		config_free(&monitor->config);
		monitor->config = link->next_config;
		monitor->generation = link->next_generation;
		link->next_config = NULL;
		monitor_use_names(monitor);
		child_end_say(&link->end, CHANNEL_APPLIED, commit);
	}
	if (link->has_doors) {
		monitor_use_doors(monitor, link->next_doors[0], link->next_doors[1]);
		link->next_doors[0] = link->next_doors[1] = -1;
		link->has_doors = false;
	}
	if (!link->is_committed) {
		link->is_committed = true;
		child_end_say(&link->end, CHANNEL_READY, NULL);
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

static void
link_drop_pieces(struct link_request *request)
{
	(void)fclose(request->pieces);
	free(request->text);
	request->pieces = NULL;
	request->text = NULL;
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
	request->pieces = open_memstream(&request->text, &request->len);
	if (request->pieces == NULL) {
		return -ENOMEM; /* what is asked for is done, so it must be possible to hear of it
				 */
	}
	status = channel_send(link->end.fd, CHANNEL_REQUEST, &payload, NULL, 0);
	if (status != 0) {
		link_drop_pieces(request);
		return status;
	}
	request->id = payload.id;
	link->requests[place] = request;
	return 0;
}

int
link_answer(const struct monitor *monitor, const struct channel_answer *answer)
{
	return channel_send(monitor->link.end.fd, CHANNEL_ANSWER, answer, NULL, 0);
}

void
link_forget(struct monitor *monitor, struct link_request *request)
{
	struct link_request **place = link_find(&monitor->link, request->id);

	if (place != NULL) {
		*place = NULL;
		link_drop_pieces(request);
		request->id = 0;
	}
}

/* --- the channel --- */

static bool
link_on_message(struct child_end *end, struct channel_message *message)
{
	struct link *link = container_of(end, struct link, end);

	switch (message->type) {
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
	case CHANNEL_NUDGE: /* that it was read is the answer */
		break;
	default: /* what is said to workers never comes this way */
		break;
	}
	return true;
}

static void
link_on_lost(struct child_end *end, int error)
{
	monitor_end(monitor_of(container_of(end, struct link, end)),
		error == -EPIPE ? "the master has closed the channel"
				: "the channel to the master is broken");
}

int
link_open(struct monitor *monitor, int fd, struct fault *why)
{
	struct link *link = &monitor->link;
	struct ucred master;
	socklen_t len = sizeof(master);

	link->end.fd = fd;
	link->next_doors[0] = link->next_doors[1] = -1;
	/* The credentials of a socket pair are those of who made it. */
	monitor->master_uid = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &master, &len) == 0) {
		monitor->master_uid = master.uid;
	}
	return child_end_meet(fd, -1, &monitor->board, why);
}

void
link_start(struct monitor *monitor)
{
	struct child_end *end = &monitor->link.end;

	end->on_message = link_on_message;
	end->on_lost = link_on_lost;
	child_end_start(end, monitor->loop, end->fd);
}

void
link_close(struct monitor *monitor)
{
	struct link *link = &monitor->link;

	child_end_stop(&link->end);
	link_drop_doors(link);
	config_free(&link->next_config);
}
