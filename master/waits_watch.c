/* A wait of some seconds is what a front door is for; one that is long is somebody's trouble. */
#include "master/waits_watch.h"

#include <inttypes.h>

#include "common/board_wait.h"
#include "common/config.h"
#include "common/text.h"
#include "master/backends.h"
#include "master/master.h"

#define OVER_MS 1000 /* who waits no longer than this has an upstream that goes on again */

/* The server whose reason says most. @return -1: none of them is to be given clients */
static int
find_reason(const struct board *board, int upstream, struct board_load *load)
{
	int found = -1;

	for (int i = 0; i < BOARD_SERVERS; i++) {
		struct board_load one;

		if (board->master->servers[i].upstream != upstream) {
			continue;
		}
		board_read_load(board, i, &one);
		if (one.is_serving &&
			(found < 0 || board_wait_reason(&one) > board_wait_reason(load))) {
			found = i;
			*load = one;
		}
	}
	return found;
}

static void
tell_begin(struct master *master, int upstream, int server, const struct board_load *load,
	int64_t oldest_ms)
{
	const char *name = master->board.master->upstreams[upstream].name;
	const struct upstream_config *config = config_upstream(master->config, name);
	uint64_t waiting = board_waiting(&master->board, upstream);
	char words[400], server_name[BACKENDS_NAME_MAX];
	struct text text;

	text_init(&text, words, sizeof(words));
	text_add_span_ms(&text, oldest_ms);
	text_add(&text, ": ");
	board_wait_write(backends_name(&master->board, server, server_name), load, &text);
	if (config != NULL) {
		text_add(&text, "; who waits for queue_timeout = ");
		text_add_duration_ms(&text, config->queue_timeout_ms);
		text_add(&text, " is turned away");
	}
	master_event(master, LOG_LEVEL_WARNING,
		"upstream %s: %" PRIu64 " client%s wait%s for a place, the first for %s", name,
		waiting, waiting == 1 ? "" : "s", waiting == 1 ? "s" : "", words);
}

static void
tell_end(struct master *master, int upstream, int64_t lasted_ms)
{
	char span_buffer[64];
	struct text span;

	text_init(&span, span_buffer, sizeof(span_buffer));
	text_add_span_ms(&span, lasted_ms);
	master_event(master, LOG_LEVEL_NOTICE,
		"upstream %s: nobody waits long for a place any more; it lasted %s",
		master->board.master->upstreams[upstream].name, span_buffer);
}

static void
look_at(struct waits_watch *watch, struct master *master, int upstream, int64_t now_ms)
{
	int64_t oldest_ms = board_oldest_wait_ms(&master->board, upstream, now_ms);
	uint32_t life = board_upstream_life(&master->board, upstream);
	bool is_on = watch->upstreams[upstream].is_on && watch->upstreams[upstream].life == life;
	struct board_load load = {0};
	int server;

	if (is_on && oldest_ms < OVER_MS) {
		tell_end(master, upstream, now_ms - watch->upstreams[upstream].began_ms);
		watch->upstreams[upstream].is_on = false;
	} else if (!is_on && oldest_ms >= BOARD_WAIT_LONG_MS) {
		server = find_reason(&master->board, upstream, &load);
		if (server >= 0) {
			tell_begin(master, upstream, server, &load, oldest_ms);
			watch->upstreams[upstream].is_on = true;
			watch->upstreams[upstream].life = life;
			watch->upstreams[upstream].began_ms = now_ms - oldest_ms;
		}
	}
}

void
waits_watch_second(struct waits_watch *watch, struct master *master, int64_t now_ms)
{
	for (int i = 0; i < BOARD_UPSTREAMS; i++) {
		if (board_upstream_life(&master->board, i) > 0) {
			look_at(watch, master, i, now_ms);
		}
	}
}
