/* The worker's end of its channel to the master: one named step per message. */
#pragma once

#include "common/child_end.h"
#include "worker/listing.h"
#include "worker/snapshot.h"

struct worker;

struct control {
	struct child_end end;
	struct worker *worker;
	struct snapshot snapshot; /* prepared, not in force */
	struct listing listing;   /* of the connections, for an operator */
};

/** Obey messages from here on.
 *  @param fd  taken over */
void control_start(struct control *control, struct worker *worker, int fd);
/** Stop, and close the channel. */
void control_stop(struct control *control);
