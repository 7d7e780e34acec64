/* What the commands do: the handlers of the rows in admin_commands.c, each in the file of its kind.
 * A handler writes its answer to call->out, refuses, or asks the master and is answered later. */
#pragma once

#include "common/channel.h"

struct admin_call;

/* admin_show.c: a reading. */
void admin_show_events(struct admin_call *call);
void admin_show_kernel(struct admin_call *call);
void admin_show_listeners(struct admin_call *call);
void admin_show_queue(struct admin_call *call);
void admin_show_sources(struct admin_call *call);
void admin_show_states(struct admin_call *call);
void admin_show_stats(struct admin_call *call);
void admin_show_status(struct admin_call *call);
void admin_show_upstreams(struct admin_call *call);
void admin_show_workers(struct admin_call *call);

/* admin_about.c: the machine, the program, the commands. */
void admin_tell_doctor(struct admin_call *call);
void admin_tell_help(struct admin_call *call);
void admin_tell_version(struct admin_call *call);

/* admin_orders.c: what the master is to do. */
void admin_order_drain(struct admin_call *call);
void admin_order_kill(struct admin_call *call);
void admin_order_reload(struct admin_call *call);
void admin_order_upgrade(struct admin_call *call);
void admin_order_resume(struct admin_call *call);
void admin_order_server(struct admin_call *call);
void admin_order_stop(struct admin_call *call);

/* admin_lists.c: connections, as the workers wrote them down. */
void admin_list_connection(struct admin_call *call);
void admin_list_connections(struct admin_call *call);

/* What handlers share. */

/** A word after the command. @param index  the first is 1 @return NULL when there are fewer */
const char *admin_argument(const struct admin_call *call, int index);
/** Refuse for want of memory unless rendering succeeded. */
void admin_check(struct admin_call *call, int error);
/** Refuse, and say how the command is written. */
void admin_refuse_usage(struct admin_call *call);
/** Have the master do it; its answer becomes the call's unless call->request says otherwise. */
void admin_ask_master(struct admin_call *call, enum channel_command command, const char *argument);
/** What the master said, as the answer. @param status  0 or a negative errno */
void admin_answer(struct admin_call *call, int status, const char *text);
