/* The list of connections has the newest first, so who comes meanwhile is not in the way; who goes
 * meanwhile moves the place where the next slice begins (conn_close). */
#include "worker/listing.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/descriptor.h"
#include "common/net.h"
#include "worker/conn.h"
#include "worker/output.h"
#include "worker/prelude.h"
#include "worker/service.h"
#include "worker/settings.h"

/* One getsockopt a connection: a slice takes about half a millisecond. */
#define SLICE 512

static void
describe(const struct conn *conn, struct channel_connection *facts)
{
	const struct service *service = conn->settings->service;
	const union peer *sender = prelude_sender(conn);
	struct net_connection look;

	memset(facts, 0, sizeof(*facts));
	facts->serial = conn->serial;
	facts->board_listener = (int16_t)conn->settings->board_listener;
	facts->phase = conn->phase;
	facts->peer = conn->peer;
	if (sender != NULL) {
		facts->via = *sender;
	}
	facts->age_ms = (uint64_t)conn_age_ms(conn, service->now_ms);
	facts->pending_bytes = output_pending(conn->pending);
	if (net_connection_look(conn_fd(conn), &look) == 0) {
		facts->state = look.state;
		facts->idle_ms = look.idle_ms;
		facts->received_bytes = look.received_bytes;
		facts->sent_bytes = look.sent_bytes;
		facts->unsent_bytes = look.unsent_bytes;
	}
}

/* @return false when nothing more fits */
static bool
write_slice(struct listing *listing)
{
	struct service *service = listing->service;
	struct channel_connection *facts = (struct channel_connection *)(void *)service->scratch;
	size_t most = SERVICE_SCRATCH_BYTES / sizeof(*facts), filled = 0;

	_Static_assert(SLICE * sizeof(*facts) <= SERVICE_SCRATCH_BYTES, "a slice fits");
	most = most < SLICE ? most : SLICE;
	while (service->next_listed != NULL && filled < most &&
		listing->count + filled < listing->room) {
		describe(service->next_listed, &facts[filled++]);
		service->next_listed = service->next_listed->next;
	}
	if (pwrite(listing->memory, facts, filled * sizeof(*facts),
		    (off_t)(listing->count * sizeof(*facts))) !=
		(ssize_t)(filled * sizeof(*facts))) {
		return false;
	}
	listing->count += filled;
	return filled > 0;
}

static void
on_slice(struct ev_loop *loop, struct loop_timer *timer)
{
	struct listing *listing = container_of(timer, struct listing, slice);

	if (write_slice(listing) && listing->service->next_listed != NULL) {
		loop_timer_start(loop, &listing->slice, 0);
		return;
	}
	listing->on_written(listing);
	listing_stop(listing);
}

void
listing_init(struct listing *listing, struct service *service,
	void (*on_written)(struct listing *listing))
{
	listing->service = service;
	listing->memory = -1;
	listing->on_written = on_written;
	loop_timer_init(&listing->slice, on_slice);
}

void
listing_start(struct listing *listing, uint32_t id, int memory)
{
	struct stat size;

	listing_stop(listing);
	listing->memory = memory;
	listing->id = id;
	listing->count = 0;
	listing->room = fstat(memory, &size) < 0
				? 0
				: (uint64_t)size.st_size / sizeof(struct channel_connection);
	listing->service->next_listed = listing->service->conns;
	loop_timer_start(listing->service->loop, &listing->slice, 0);
}

void
listing_stop(struct listing *listing)
{
	loop_timer_stop(listing->service->loop, &listing->slice);
	listing->service->next_listed = NULL;
	descriptor_close(&listing->memory);
}

int
listing_kill(struct service *service, uint32_t serial)
{
	for (struct conn *conn = service->conns; conn != NULL; conn = conn->next) {
		if (conn->serial == serial) {
			conn_close(conn, CLOSE_killed);
			return 0;
		}
	}
	return -ENOENT;
}
