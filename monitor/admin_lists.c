/* Commands that show connections: the master has the workers write theirs down, and what they wrote
 * is gathered, filtered and shown. */
#include <string.h>

#include "common/config.h"
#include "common/sock_diag.h"
#include "common/text.h"
#include "monitor/admin.h"
#include "monitor/admin_handlers.h"
#include "monitor/connections.h"
#include "monitor/monitor.h"

#define LISTS_PENDING_MAX (32 * 1024 * 1024)

/* @return false when the options make no sense; the call is refused then */
static bool
read_filter(struct admin_call *call, struct connections *wanted)
{
	for (int i = 1; i + 1 < call->word_count; i += 2) {
		const char *option = call->words[i], *value = call->words[i + 1];

		if (strcmp(option, "--listener") == 0) {
			wanted->listener = value;
		} else if (strcmp(option, "--older") == 0) {
			if (text_parse_duration_ms(value, &wanted->older_ms) != 0) {
				admin_refuse(call, ADMIN_USAGE,
					"--older: no duration; write 90s, 10m, 2h or 1d");
				return false;
			}
		} else if (strcmp(option, "--state") == 0) {
			wanted->state = sock_diag_state_by_name(value);
			if (wanted->state == 0) {
				admin_refuse(call, ADMIN_USAGE,
					"--state: no state of TCP; write ESTABLISHED, CLOSE_WAIT, "
					"FIN_WAIT1, FIN_WAIT2, LAST_ACK or CLOSING");
				return false;
			}
		} else {
			admin_refuse_usage(call);
			return false;
		}
	}
	if (call->word_count % 2 == 0) {
		admin_refuse_usage(call);
		return false;
	}
	if (wanted->listener != NULL &&
		config_listener(call->monitor->config, wanted->listener) == NULL) {
		admin_refuse(call, ADMIN_FAILED,
			"there is no listener '%s'; acceptctl listeners shows them",
			wanted->listener);
		return false;
	}
	return true;
}

static void
on_rows(struct link_request *request, int slot, uint64_t count, int fd)
{
	struct admin_call *call = container_of(request, struct admin_call, request);

	connections_take(call->connections, slot, count, fd);
}

static void
on_list_result(struct link_request *request, int status, const char *text)
{
	struct admin_call *call = container_of(request, struct admin_call, request);
	const struct connections *found = call->connections;

	if (status != 0) {
		admin_answer(call, status, text);
	} else if (found->slot >= 0 && found->count == 0) {
		admin_refuse(call, ADMIN_FAILED, "there is no such connection (any more)");
	} else {
		connections_sort(call->connections);
		admin_check(call, connections_render(found, &call->render, text, call->out));
	}
	admin_finish(call);
}

static void
ask_for_list(struct admin_call *call)
{
	if (admin_pending_bytes(call->monitor) > LISTS_PENDING_MAX) {
		admin_refuse(call, ADMIN_BUSY,
			"other sessions have not taken their lists yet; try again");
		return;
	}
	call->request.on_rows = on_rows;
	call->request.on_result = on_list_result;
	admin_ask_master(call, COMMAND_LIST, "");
}

void
admin_list_connections(struct admin_call *call)
{
	call->connections = connections_new(&call->monitor->board);
	if (call->connections == NULL) {
		admin_refuse(call, ADMIN_FAILED, "out of memory");
	} else if (read_filter(call, call->connections)) {
		ask_for_list(call);
	}
}

void
admin_list_connection(struct admin_call *call)
{
	struct connections *wanted = connections_new(&call->monitor->board);

	call->connections = wanted;
	if (wanted == NULL) {
		admin_refuse(call, ADMIN_FAILED, "out of memory");
	} else if (call->word_count != 2 ||
		   !channel_parse_connection(call->words[1], &wanted->slot, &wanted->serial)) {
		admin_refuse_usage(call);
	} else {
		ask_for_list(call);
	}
}
