/* A line that got in only in part, as at the end of a full disk, is counted as dropped; what
 * follows it is kept and begins on a line of its own. */
#include "worker/session_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "worker/account.h"
#include "worker/prelude.h"
#include "worker/service.h"
#include "worker/session_line.h"
#include "worker/settings.h"
#include "worker/upstream.h"

#define RETRY_MS  100
#define NS_PER_MS 1000000

bool
session_log_is_on(const struct service *service)
{
	return service->session_log.buffer != NULL;
}

/* --- what could not be written --- */

static void
count_dropped(struct service *service, uint64_t lines)
{
	service->session_log.dropped += lines;
	stat_add(&service->slot->stats[STAT_WORKER_session_lines_dropped], lines);
}

static void
note_failure(struct service *service, int error)
{
	struct session_log *log = &service->session_log;

	log->retry_ms = service->now_ms + RETRY_MS;
	if (log->failed_ms == 0) {
		log->failed_ms = service->now_ms;
		log_warning("session log: cannot write: %s; the sessions go on, lines wait while "
			    "there is room for them and are dropped and counted "
			    "(session_lines_dropped) after that; make room on its disk",
			strerror(-error));
	}
}

static void
note_success(struct service *service)
{
	struct session_log *log = &service->session_log;
	char span_buffer[64];
	struct text span;

	if (log->failed_ms != 0) {
		text_init(&span, span_buffer, sizeof(span_buffer));
		text_add_span_ms(&span, service->now_ms - log->failed_ms);
		log_notice("session log: written again after %s; %" PRIu64 " lines were dropped",
			span_buffer, log->dropped);
		log->failed_ms = 0;
		log->dropped = 0;
	}
}

static uint64_t
count_lines(const char *bytes, size_t len)
{
	uint64_t count = 0;

	for (size_t i = 0; i < len; i++) {
		count += bytes[i] == '\n';
	}
	return count;
}

/* --- writing --- */

/* Take away what was written, and the line in whose middle that ended. */
static void
consume(struct service *service, size_t done)
{
	struct session_log *log = &service->session_log;

	if (done > 0 && done < log->len && log->buffer[done - 1] != '\n') {
		const char *end = memchr(log->buffer + done, '\n', log->len - done);

		done = (size_t)(end - log->buffer) + 1;
		count_dropped(service, 1);
	}
	log->len -= done;
	memmove(log->buffer, log->buffer + done, log->len);
}

static void
write_out(struct service *service)
{
	struct session_log *log = &service->session_log;
	size_t done;
	int error = log_output_write_lines(&log->output, log->buffer, log->len, &done);

	consume(service, done);
	if (error != 0) {
		note_failure(service, error);
	} else {
		note_success(service);
	}
}

void
session_log_flush(struct service *service)
{
	const struct session_log *log = &service->session_log;

	if (log->len > 0 && service->now_ms >= log->retry_ms) {
		write_out(service);
	}
}

/* --- lines --- */

/* Of the turn, like every time here. RFC 3339 in UTC, as in the log. */
static const char *
stamp(struct service *service)
{
	struct session_log *log = &service->session_log;
	struct timespec now;
	struct tm time;

	if (log->stamp_ms != service->now_ms) {
		log->stamp_ms = service->now_ms;
		now = clock_wall();
		(void)gmtime_r(&now.tv_sec, &time);
		(void)strftime(log->stamp, sizeof(log->stamp), "%Y-%m-%dT%H:%M:%S", &time);
		(void)snprintf(log->stamp + strlen(log->stamp), 8, ".%03dZ",
			(int)(now.tv_nsec / NS_PER_MS));
	}
	return log->stamp;
}

static void
add_line(struct service *service, const struct session_facts *facts)
{
	struct session_log *log = &service->session_log;

	if (SESSION_LOG_BUFFER_BYTES - log->len < SESSION_LINE_MAX) {
		session_log_flush(service);
	}
	if (SESSION_LOG_BUFFER_BYTES - log->len < SESSION_LINE_MAX) {
		count_dropped(service, 1);
		return;
	}
	log->len += session_line_write(log->buffer + log->len, facts);
}

/* @param address  room that the facts need for as long as they live */
static void
add_proxy_facts(const struct conn *conn, const struct account *account, struct session_facts *facts,
	char address[ADDRESS_TEXT_MAX])
{
	facts->upstream = upstream_name(conn->settings->upstream);
	facts->server = facts->server_address = "";
	facts->place_wait_ms = facts->connect_ms = -1;
	facts->connects = account->connects;
	facts->to_server_bytes = account->to_server_bytes;
	facts->from_server_bytes = account->from_server_bytes;
	if (account->server != NULL) {
		facts->server = account->server->name;
		facts->server_address = address_format(&account->server->address, address);
		facts->place_wait_ms = account->granted_ms - account->began_ms;
	}
	if (account->connected_ms != 0) {
		facts->connect_ms = account->connected_ms - account->granted_ms;
	}
}

void
session_log_end(const struct conn *conn, enum close_reason reason)
{
	const struct account *account = account_of(conn);
	struct service *service = conn->settings->service;
	char address[ADDRESS_TEXT_MAX];
	struct session_facts facts;

	if (account == NULL || !session_log_is_on(service)) {
		return;
	}
	facts = (struct session_facts){
		.time = stamp(service),
		.listener = conn->settings->name,
		.client = &conn->peer,
		.sender = prelude_sender(conn),
		.reason = reason,
		.slot = service->slot_index,
		.serial = conn->serial,
		.duration_ms = service->now_ms - account->began_ms,
		.queue_wait_ms = account->queue_wait_ms,
		.received_bytes = account->received_bytes,
		.sent_bytes = account->sent_bytes,
	};
	if (conn->settings->upstream != NULL) {
		add_proxy_facts(conn, account, &facts, address);
	}
	add_line(service, &facts);
}

void
session_log_turn_away(
	const struct settings *settings, const union peer *client, enum close_reason reason)
{
	struct service *service = settings->service;
	struct session_facts facts;

	if (settings->account_offset == 0 || !session_log_is_on(service)) {
		return;
	}
	facts = (struct session_facts){
		.time = stamp(service),
		.listener = settings->name,
		.client = client,
		.reason = reason,
		.slot = service->slot_index,
		.queue_wait_ms = -1,
	};
	add_line(service, &facts);
}

/* --- where to --- */

/* What is gathered belongs to the file in use until now. */
static void
close_file(struct service *service)
{
	struct session_log *log = &service->session_log;

	if (log->len > 0) {
		write_out(service);
	}
	if (log->len > 0) {
		count_dropped(service, count_lines(log->buffer, log->len));
		log->len = 0;
	}
	log_output_close(&log->output);
}

void
session_log_use(struct service *service, int fd)
{
	struct session_log *log = &service->session_log;

	if (fd >= 0 && log->buffer == NULL) {
		log->buffer = malloc(SESSION_LOG_BUFFER_BYTES);
		if (log->buffer == NULL) {
			log_error("session log: no memory for its buffer; this worker writes none "
				  "until the next reload");
			(void)close(fd);
			return;
		}
	} else if (log->buffer != NULL) {
		close_file(service);
	}
	if (fd < 0) {
		session_log_fini(service);
		return;
	}
	log_output_adopt(LOG_FILE, fd, &log->output);
	log->retry_ms = 0;
}

void
session_log_fini(struct service *service)
{
	struct session_log *log = &service->session_log;

	if (log->buffer != NULL) {
		close_file(service);
		free(log->buffer);
		log->buffer = NULL;
	}
}
