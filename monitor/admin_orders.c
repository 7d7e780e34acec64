/* Commands that change something: passed on to the master, whose answer becomes theirs. */
#include <errno.h>
#include <string.h>

#include "common/json.h"
#include "common/text.h"
#include "monitor/admin.h"
#include "monitor/admin_handlers.h"
#include "monitor/connections.h"
#include "monitor/monitor.h"

void
admin_answer(struct admin_call *call, int status, const char *text)
{
	size_t len = strlen(text);
	struct json json;

	if (status != 0) {
		admin_refuse(call, status == -EBUSY ? ADMIN_BUSY : ADMIN_FAILED, "%.*s",
			(int)(len > 0 && text[len - 1] == '\n' ? len - 1 : len), text);
	} else if (call->render.form == RENDER_JSON) {
		json_init(&json, call->out);
		json_object_begin(&json, NULL);
		json_string(&json, "result", text);
		json_object_end(&json);
	} else {
		fprintf(call->out, "%s%s", text, len > 0 && text[len - 1] == '\n' ? "" : "\n");
	}
}

static void
on_master_result(struct link_request *request, int status, const char *text)
{
	struct admin_call *call = container_of(request, struct admin_call, request);

	admin_answer(call, status, text);
	admin_finish(call);
}

void
admin_ask_master(struct admin_call *call, enum channel_command command, const char *argument)
{
	char who[64];
	int error;

	(void)snprintf(
		who, sizeof(who), "uid %ld (pid %ld)", (long)call->peer.uid, (long)call->peer.pid);
	if (strlen(argument) >= sizeof(((struct channel_request *)NULL)->argument)) {
		admin_refuse_usage(call);
		return;
	}
	if (call->request.on_result == NULL) {
		call->request.on_result = on_master_result;
	}
	error = link_ask(call->monitor, &call->request, command, argument, who);
	if (error != 0) {
		admin_refuse(call, error == -EBUSY ? ADMIN_BUSY : ADMIN_FAILED,
			"cannot ask the master: %s", strerror(-error));
		return;
	}
	call->is_later = true;
}

void
admin_order_reload(struct admin_call *call)
{
	admin_ask_master(call, COMMAND_RELOAD, "");
}

void
admin_order_upgrade(struct admin_call *call)
{
	admin_ask_master(call, COMMAND_UPGRADE, "");
}

void
admin_order_stop(struct admin_call *call)
{
	const char *how = admin_argument(call, 1);

	if (how != NULL && strcmp(how, "now") != 0) {
		admin_refuse_usage(call);
		return;
	}
	admin_ask_master(call, COMMAND_STOP, how != NULL ? how : "");
}

static void
order_on_listener(struct admin_call *call, enum channel_command command)
{
	if (call->word_count != 2) {
		admin_refuse_usage(call);
		return;
	}
	admin_ask_master(call, command, call->words[1]);
}

void
admin_order_drain(struct admin_call *call)
{
	order_on_listener(call, COMMAND_DRAIN);
}

void
admin_order_resume(struct admin_call *call)
{
	order_on_listener(call, COMMAND_RESUME);
}

void
admin_order_server(struct admin_call *call)
{
	char order[CHANNEL_ARGUMENT_MAX]; /* the master knows the servers and judges the words */
	struct text text;

	text_init(&text, order, sizeof(order));
	for (int i = 1; i < call->word_count; i++) {
		text_add(&text, "%s%s", i > 1 ? " " : "", call->words[i]);
	}
	if (text.is_cut) {
		admin_refuse(call, ADMIN_USAGE, "no server has a name as long as that");
		return;
	}
	admin_ask_master(call, COMMAND_SERVER, order);
}

void
admin_order_kill(struct admin_call *call)
{
	uint32_t serial;
	int slot;

	if (call->word_count != 2 || !channel_parse_connection(call->words[1], &slot, &serial)) {
		admin_refuse_usage(call);
		return;
	}
	admin_ask_master(call, COMMAND_KILL, call->words[1]);
}
