/* Who is let in: the places, and who has to give up theirs. */
#include "monitor/web.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/descriptor.h"
#include "common/loop.h"
#include "monitor/history.h"
#include "monitor/waits.h"
#include "monitor/web_body.h"
#include "monitor/web_client.h"

#define ACCEPTS_PER_TURN 8
#define LOOK_MS          100

struct web {
	struct web_room room;
	struct web_bodies bodies;
	const struct board *board;
	void (*look)(void *owner, bool with_states, struct web_readings *readings);
	void *owner;
	int fd; /* -1: none */
	ev_io watcher;
	struct loop_timer looking;
	struct web_client *clients[WEB_CONNECTIONS_MAX]; /* NULL: free */
	struct history *history;
	struct waits *waits;
	char own_name[HTTP_HOST_MAX];
};

/* --- places --- */

static int
web_find_free(const struct web *web)
{
	for (int i = 0; i < WEB_CONNECTIONS_MAX; i++) {
		if (web->clients[i] == NULL) {
			return i;
		}
	}
	return -1;
}

/* The place of whoever has kept us waiting for longest, when none is free.
 * @return -1: nobody has for long */
static int
web_find_evictable(const struct web *web)
{
	int64_t since_ms = clock_monotonic_ms() - WEB_EVICTABLE_MS;
	int found = -1;

	for (int i = 0; i < WEB_CONNECTIONS_MAX; i++) {
		if (web_client_since_ms(web->clients[i]) <= since_ms) {
			found = i;
			since_ms = web_client_since_ms(web->clients[i]);
		}
	}
	return found;
}

static void
web_on_close(struct web_room *room, struct web_client *client)
{
	struct web *web = container_of(room, struct web, room);

	for (size_t i = 0; i < WEB_CONNECTIONS_MAX; i++) {
		if (web->clients[i] == client) {
			web->clients[i] = NULL;
		}
	}
	if (web->fd >= 0) {
		ev_io_start(room->loop, &web->watcher); /* there is room again */
	}
}

/* @return whether somebody came, and there may be more */
static bool
web_accept(struct web *web)
{
	int place = web_find_free(web);
	int evictable = place < 0 ? web_find_evictable(web) : -1;
	bool has_room = place >= 0 || evictable >= 0;
	int fd = has_room ? accept4(web->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;

	if (fd < 0) {
		if (!has_room || (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)) {
			ev_io_stop(web->room.loop, &web->watcher);
		}
		return false;
	}
	if (place < 0) { /* only now: nobody gives up a place for nobody */
		web_client_close(web->clients[evictable]);
		place = evictable;
	}
	web->clients[place] = web_client_open(&web->room, fd);
	return true;
}

/* Who finds no room waits in the accept queue: until a connection ends, or the next second. */
static void
web_on_client(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct web *web = container_of(watcher, struct web, watcher);

	(void)loop;
	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN && web_accept(web); i++) {
	}
}

/* --- what is to be seen --- */

static void
web_view(void *owner, const struct web_route *route, struct web_view *view)
{
	const struct web *web = owner;
	struct web_readings readings;

	web->look(web->owner, route->shows_states, &readings);
	*view = (struct web_view){.board = web->board,
		.now = readings.now,
		.second_ago = readings.second_ago,
		.minute_ago = readings.minute_ago,
		.states = readings.states,
		.states_age_ms = readings.states_age_ms,
		.history = web->history,
		.waits = web->waits};
}

static void
web_on_looking(struct ev_loop *loop, struct loop_timer *timer)
{
	(void)loop;
	history_look(container_of(timer, struct web, looking)->history);
}

/* --- all --- */

struct web *
web_new(struct ev_loop *loop, const struct board *board,
	void (*look)(void *owner, bool with_states, struct web_readings *readings), void *owner)
{
	struct web *web = calloc(1, sizeof(*web));

	if (web == NULL) {
		return NULL;
	}
	web->room = (struct web_room){loop, &web->bodies, web->own_name, web_on_close};
	web->bodies.view = web_view;
	web->bodies.owner = web;
	web->board = board;
	web->look = look;
	web->owner = owner;
	web->fd = -1;
	web->history = history_new(board);
	web->waits = waits_new(board);
	if (gethostname(web->own_name, sizeof(web->own_name) - 1) != 0) {
		web->own_name[0] = '\0';
	}
	loop_timer_init(&web->looking, web_on_looking);
	ev_io_init(&web->watcher, web_on_client, -1, EV_READ);
	if (web->history == NULL || web->waits == NULL) {
		web_free(&web);
	}
	return web;
}

void
web_free(struct web **web)
{
	struct web *gone = *web;

	if (gone == NULL) {
		return;
	}
	web_listen(gone, -1);
	for (size_t i = 0; i < WEB_CONNECTIONS_MAX; i++) {
		if (gone->clients[i] != NULL) {
			web_client_close(gone->clients[i]);
		}
	}
	web_bodies_forget(&gone->bodies);
	history_free(&gone->history);
	waits_free(&gone->waits);
	free(gone);
	*web = NULL;
}

void
web_listen(struct web *web, int fd)
{
	ev_io_stop(web->room.loop, &web->watcher);
	loop_timer_stop(web->room.loop, &web->looking);
	descriptor_close(&web->fd);
	web->fd = fd;
	if (fd >= 0) {
		ev_io_set(&web->watcher, fd, EV_READ);
		ev_io_start(web->room.loop, &web->watcher);
		loop_timer_repeat(web->room.loop, &web->looking, LOOK_MS);
	}
}

void
web_tick(struct web *web)
{
	struct web_readings readings;

	web_bodies_forget(&web->bodies);
	if (web->fd < 0) {
		return;
	}
	ev_io_start(web->room.loop, &web->watcher);
	web->look(web->owner, false, &readings);
	history_add(web->history, readings.second_ago, readings.now);
	waits_tend(web->waits, readings.now);
}
