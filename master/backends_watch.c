/* What is told of the servers: who went down or came up, why, and what it means for the clients;
 * who drops our SYNs; for whom no port was left. Workers see it and count it, the master says it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/board.h"
#include "common/config.h"
#include "common/log.h"
#include "common/text.h"
#include "master/backends.h"
#include "master/master.h"

#define TELL_PERIOD_S 10 /* the same trouble with one server is told at most so often */

/* A counter whose growth is told. */
struct told {
	uint64_t count;
	unsigned span_s; /* since that was its value */
	unsigned hold_s; /* until it may be told again */
};

/* What was told last, of the name that had the row in that life. One master, one board. */
static struct watch {
	uint32_t life;
	uint64_t verdict;
	struct told syn_retries;
	struct told no_port;
} watches[BOARD_SERVERS];

void
backends_forget(struct board *board, int row)
{
	struct board_server_head *head = &board->writable->servers[row];

	watches[row].verdict = 0;
	if (head->is_ordered_alone != 0) {
		head->is_ordered_alone = 0;
		atomic_store(&head->is_drained, 0);
		stat_set(&head->weight, 0);
		stat_set(&head->max_connections, 0);
	}
}

/* What the kernel shows of the server's accept queue: " (51 of 50, …)"; "" when it shows nothing.
 */
static const char *
queue_words(const struct board_server_head *head, char *buffer, size_t size)
{
	uint64_t limit = stat_get(&head->queue_limit);

	buffer[0] = '\0';
	if (limit > 0) {
		(void)snprintf(buffer, size,
			" (%" PRIu64 " of %" PRIu64 " now, %" PRIu64
			" segments dropped since it listens)",
			stat_get(&head->queue_depth), limit - 1, stat_get(&head->queue_dropped));
	}
	return buffer;
}

static bool
is_queue_full(const struct board_server_head *head)
{
	uint64_t limit = stat_get(&head->queue_limit);

	return limit > 0 && stat_get(&head->queue_depth) >= limit - 1;
}

static unsigned
count_up(const struct board *board, int upstream)
{
	unsigned count = 0;

	for (int i = 0; i < BOARD_SERVERS; i++) {
		uint64_t verdict;

		if (board->master->servers[i].upstream == upstream &&
			board_server_is_open(board, i) &&
			atomic_load(&board->writable->servers[i].is_configured) != 0) {
			verdict = board_server_verdict(board, i);
			count += verdict == 0 || BOARD_VERDICT_IS_UP(verdict);
		}
	}
	return count;
}

/* Where the clients of a server that is down go. */
static void
add_consequence(const struct master *master, int upstream, struct text *text)
{
	const char *name = master->board.master->upstreams[upstream].name;
	const struct upstream_config *config = config_upstream(master->config, name);
	unsigned up = count_up(&master->board, upstream);

	if (up > 0) {
		text_add(text, "clients go to the other server%s (%u up)", up == 1 ? "" : "s", up);
	} else if (config == NULL || config->on_down == ON_DOWN_REFUSE) {
		text_add(text, "no server of %s is up: clients are refused", name);
	} else {
		text_add(text,
			"no server of %s is up: clients wait, at most for queue_timeout = ", name);
		text_add_duration_ms(text, config->queue_timeout_ms);
	}
}

static void
tell_down(struct master *master, int server)
{
	const struct board_server_head *head = &master->board.master->servers[server];
	char name[BACKENDS_NAME_MAX], words[256], queue[128];
	struct text text;

	text_init(&text, words, sizeof(words));
	add_consequence(master, head->upstream, &text);
	master_event(master, LOG_LEVEL_WARNING,
		"back end %s is down: %s%s%s; %s; it is checked until it is up again",
		backends_name(&master->board, server, name),
		board_cause_words(board_server_cause(&master->board, server)),
		is_queue_full(head) ? "; it runs but does not accept (stopped, or overloaded): its "
				      "accept queue "
				      "is full"
				    : "",
		is_queue_full(head) ? queue_words(head, queue, sizeof(queue)) : "", words);
}

static void
tell_up(struct master *master, int server, int64_t down_ms)
{
	char name[BACKENDS_NAME_MAX], span_buffer[64];
	struct text span;

	text_init(&span, span_buffer, sizeof(span_buffer));
	text_add_span_ms(&span, down_ms);
	master_event(master, LOG_LEVEL_NOTICE, "back end %s is up again after %s",
		backends_name(&master->board, server, name), span_buffer);
}

static void
tell_state(struct master *master, int server, struct watch *watch)
{
	uint64_t verdict = board_server_verdict(&master->board, server);
	bool was_up = watch->verdict == 0 || BOARD_VERDICT_IS_UP(watch->verdict);
	bool is_up = verdict == 0 || BOARD_VERDICT_IS_UP(verdict);

	if (was_up && !is_up) {
		tell_down(master, server);
	} else if (!was_up && is_up) {
		tell_up(master, server,
			BOARD_VERDICT_SINCE(verdict) - BOARD_VERDICT_SINCE(watch->verdict));
	}
	watch->verdict = verdict;
}

/* What to do about an accept queue that overflows. */
static void
add_advice(const struct board_server_head *head, struct text *text)
{
	uint64_t declared = stat_get(&head->configured_backlog);
	uint64_t limit = stat_get(&head->queue_limit);

	if (declared == 0 && limit > 0) {
		text_add(text,
			"raise its backlog there, or declare backlog = %" PRIu64
			" here, and connects are paced to it",
			limit - 1);
	} else if (declared == 0) {
		text_add(text, "declare its length as backlog here, and connects are paced to it");
	} else if (limit > 0 && declared > limit - 1) {
		text_add(text,
			"backlog = %" PRIu64
			" is declared here, which is too much: declare %" PRIu64
			", or raise it there",
			declared, limit - 1);
	} else {
		text_add(text,
			"connects are paced to backlog = %" PRIu64
			", so others connect to it too; raise the queue there, or declare less",
			declared);
	}
}

/* Once a second. @return how much is to be told now, of the last *span_s seconds */
static uint64_t
growth_to_tell(struct told *told, uint64_t count, unsigned *span_s)
{
	uint64_t growth = count - told->count;

	told->span_s++;
	if (told->hold_s > 0) {
		told->hold_s--;
		return 0;
	}
	*span_s = told->span_s;
	told->span_s = 0;
	if (growth > 0) {
		told->count = count;
		told->hold_s = TELL_PERIOD_S - 1;
	}
	return growth;
}

static void
tell_syns(struct master *master, int server, struct told *told)
{
	const struct board *board = &master->board;
	const struct board_server_head *head = &board->master->servers[server];
	unsigned span_s;
	uint64_t retries = growth_to_tell(
		told, board_server_stat(board, server, STAT_SERVER_syn_retries), &span_s);
	char name[BACKENDS_NAME_MAX], queue[128], advice[256];
	struct text text;

	if (retries == 0) {
		return;
	}
	text_init(&text, advice, sizeof(advice));
	add_advice(head, &text);
	master_event(master, LOG_LEVEL_WARNING,
		"back end %s dropped our SYN %" PRIu64
		" times in %u s: its accept queue%s overflows, and each drop costs a client a "
		"second or more; %s",
		backends_name(board, server, name), retries, span_s,
		queue_words(head, queue, sizeof(queue)), advice);
}

static void
tell_ports(struct master *master, int server, struct told *told)
{
	const struct board *board = &master->board;
	unsigned span_s;
	uint64_t failures = growth_to_tell(
		told, board_server_stat(board, server, STAT_SERVER_no_port), &span_s);
	char name[BACKENDS_NAME_MAX];

	if (failures == 0) {
		return;
	}
	master_event(master, LOG_LEVEL_WARNING,
		"no local port was left for connections to back end %s, %" PRIu64
		" times in %u s: those clients were reset, the server is not to blame; add own "
		"addresses to sources of its upstream, widen net.ipv4.ip_local_port_range, or set "
		"max_connections of the server, so that clients wait",
		backends_name(board, server, name), failures, span_s);
}

void
backends_watch_start(const struct board *board)
{
	for (int i = 0; i < BOARD_SERVERS; i++) {
		watches[i] = (struct watch){
			.life = board_server_life(board, i),
			.verdict = board_server_verdict(board, i),
			.syn_retries.count = board_server_stat(board, i, STAT_SERVER_syn_retries),
			.no_port.count = board_server_stat(board, i, STAT_SERVER_no_port),
		};
	}
}

void
backends_watch(struct master *master)
{
	for (int i = 0; i < BOARD_SERVERS; i++) {
		struct watch *watch = &watches[i];
		uint32_t life = board_server_life(&master->board, i);

		if (life == 0) {
			continue;
		}
		if (watch->life != life) {
			*watch = (struct watch){.life = life};
		}
		tell_state(master, i, watch);
		tell_syns(master, i, &watch->syn_retries);
		tell_ports(master, i, &watch->no_port);
	}
}
