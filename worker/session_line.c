/* What comes from outside is escaped; the rest is ours. */
#include "worker/session_line.h"

#include <inttypes.h>

#include "common/text.h"

static void
add_string(struct text *text, const char *key, const char *value)
{
	text_add(text, " %s=", key);
	text_add_value(text, value);
}

static void
add_time(struct text *text, const char *key, int64_t ms)
{
	if (ms < 0) {
		text_add(text, " %s=-", key);
	} else {
		text_add(text, " %s=%" PRId64, key, ms);
	}
}

static void
add_client(struct text *text, const struct session_facts *facts)
{
	char buffer[ADDRESS_TEXT_MAX];

	add_string(text, "client", peer_format(facts->client, buffer));
	add_string(text, "via", facts->sender == NULL ? "" : peer_format(facts->sender, buffer));
	text_add(text, " reason=%s", close_reason_name(facts->reason));
	if (facts->serial == 0) {
		text_add(text, " id=-");
	} else {
		text_add(text, " id=%d-%" PRIu32, facts->slot, facts->serial);
	}
	add_time(text, "duration_ms", facts->duration_ms);
	add_time(text, "queue_ms", facts->queue_wait_ms);
	text_add(text, " received_bytes=%" PRIu64 " sent_bytes=%" PRIu64, facts->received_bytes,
		facts->sent_bytes);
}

static void
add_server(struct text *text, const struct session_facts *facts)
{
	add_string(text, "upstream", facts->upstream);
	add_string(text, "server", facts->server);
	add_string(text, "server_address", facts->server_address);
	add_time(text, "place_ms", facts->place_wait_ms);
	add_time(text, "connect_ms", facts->connect_ms);
	text_add(text,
		" connects=%" PRIu32 " to_server_bytes=%" PRIu64 " from_server_bytes=%" PRIu64,
		facts->connects, facts->to_server_bytes, facts->from_server_bytes);
}

size_t
session_line_write(char line[SESSION_LINE_MAX], const struct session_facts *facts)
{
	struct text text;

	text_init(&text, line, SESSION_LINE_MAX);
	text_add(&text, "time=%s", facts->time);
	add_string(&text, "listener", facts->listener);
	add_client(&text, facts);
	if (facts->upstream != NULL) {
		add_server(&text, facts);
	}
	/* The longest names and addresses, every byte escaped, fit: the terminating zero's place is
	 * the line break's. */
	line[text.len] = '\n';
	return text.len + 1;
}
