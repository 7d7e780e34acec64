/* The web address without a server behind it: a board full of made-up numbers that move each
 * second, for the tests of the page and of HTTP. Prints the port; obeys one word a line on its
 * standard input, and ends with it.
 *
 *   web_stage LISTENERS WORKERS [FIRST_NAME]
 *
 *   tick      a second goes by
 *   run       seconds go by themselves
 *   ill       no worker serves
 *   overflow  the first listener's queue is full, and an event says so */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/address.h"
#include "common/board.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/net.h"
#include "monitor/reading.h"
#include "monitor/states.h"
#include "monitor/web.h"

#define OVERFLOW 129

static struct {
	struct board board;
	struct ev_loop *loop;
	struct web *web;
	struct reading seconds[2], minute_ago;
	struct states states;
	unsigned tick;
	int listeners, workers;
	bool is_full;
	struct loop_timer second;
	ev_io words;
} stage;

static const char *const names[] = {"front", "api", "mail", "internal"};

static void
stage_check(int status, const struct fault *why)
{
	if (status < 0) {
		fprintf(stderr, "web_stage: %s\n", why->text);
		exit(EXIT_FAILURE);
	}
}

/* --- made-up numbers --- */

static double
wave(int listener)
{
	return 1 + sin((double)stage.tick / (7.0 + listener) + listener);
}

static void
stage_move_queue(int listener)
{
	board_cell *queue = stage.board.writable->listeners[listener].queue;
	uint64_t depth = (uint64_t)(30 * wave(listener) * wave(listener + 1));

	if (stage.is_full && listener == 0) {
		depth = OVERFLOW;
		stat_add(&queue[STAT_QUEUE_dropped_segments], 40);
	}
	stat_set(&queue[STAT_QUEUE_depth], depth);
	stat_set(&queue[STAT_QUEUE_limit], OVERFLOW - 1);
	stat_set(&queue[STAT_QUEUE_asked], OVERFLOW - 1);
	stat_set(&queue[STAT_QUEUE_peak_minute], depth + 20);
	if (depth > stat_get(&queue[STAT_QUEUE_peak])) {
		stat_set(&queue[STAT_QUEUE_peak], depth);
	}
}

static void
stage_move_worker(int worker)
{
	struct board_slot *slot = &stage.board.slots[worker];
	uint64_t open = 0;

	for (int i = 0; i < stage.listeners; i++) {
		struct board_listener_cells *cells = &slot->listeners[i];
		uint64_t come = (uint64_t)(100 * wave(i) / (i + 1));

		stat_add(&cells->stats[STAT_LISTENER_accepted], come);
		stat_add(&cells->closed[CLOSE_client], come / 2);
		stat_add(&cells->closed[CLOSE_idle],
			come - come / 2 - come / 8 * (uint64_t)(worker + 2) / 3);
		stat_add(&cells->stats[STAT_LISTENER_open], come / 8 * (uint64_t)(worker + 2) / 3);
		open += stat_get(&cells->stats[STAT_LISTENER_open]);
		for (uint64_t n = 0; n < come; n++) {
			histogram_add(&cells->queue_wait_ms, n % 40 * n / 40);
		}
	}
	histogram_add(&slot->turn_us, 50 + 13 * stage.tick % 900);
	stat_set(&slot->stats[STAT_WORKER_open], open);
	stat_add(&slot->stats[STAT_WORKER_turns], 1000);
	stat_add(&slot->stats[STAT_WORKER_cpu_us], (uint64_t)(100000 * wave(worker)));
	stat_set(&slot->stats[STAT_WORKER_resident_bytes], 5 << 20);
	stat_set(&slot->stats[STAT_WORKER_longest_turn_us], 50 + 13 * stage.tick % 900);
}

/* --- the second --- */

static void
stage_look(void *owner, bool with_states, struct web_readings *readings)
{
	(void)owner;
	(void)with_states;
	*readings = (struct web_readings){.now = &stage.seconds[stage.tick % 2],
		.second_ago = &stage.seconds[1 - stage.tick % 2],
		.minute_ago = &stage.minute_ago,
		.states = &stage.states};
}

static void
stage_tick(void)
{
	stage.tick++;
	for (int i = 0; i < stage.listeners; i++) {
		stage_move_queue(i);
	}
	for (int i = 0; i < stage.workers; i++) {
		stage_move_worker(i);
	}
	stage.states.taken_ms = 1;
	stage.states.count = (size_t)stage.listeners;
	for (int i = 0; i < stage.listeners; i++) {
		(void)strcpy(stage.states.rows[i].name, stage.board.master->listeners[i].name);
		stage.states.rows[i].counts[SOCK_DIAG_ESTABLISHED] = 1000;
		stage.states.rows[i].counts[SOCK_DIAG_TIME_WAIT] = stage.tick;
	}
	reading_take(&stage.board, &stage.seconds[stage.tick % 2]);
	stage.seconds[stage.tick % 2].taken_ms = stage.seconds[1 - stage.tick % 2].taken_ms + 1000;
	web_tick(stage.web);
}

static void
stage_on_second(struct ev_loop *loop, struct loop_timer *timer)
{
	(void)loop, (void)timer;
	stage_tick();
}

static void
stage_obey(const char *word)
{
	if (strcmp(word, "tick") == 0) {
		stage_tick();
	} else if (strcmp(word, "run") == 0) {
		loop_timer_repeat(stage.loop, &stage.second, 1000);
	} else if (strcmp(word, "ill") == 0) {
		for (int i = 0; i < stage.workers; i++) {
			stage.board.slots[i].state = BOARD_WORKER_EMPTY;
		}
		stage_tick();
	} else if (strcmp(word, "overflow") == 0) {
		stage.is_full = true;
		board_add_event(&stage.board, LOG_LEVEL_WARNING,
			"listener front: accept queue full for 1.2 s (limit 128 = "
			"net.core.somaxconn, 65535 asked for): 412 segments dropped, about 130 "
			"clients delayed by 1 s or more; run: sysctl -w "
			"net.core.somaxconn=65535, then acceptctl reload");
		stage_tick();
	} else {
		fprintf(stderr, "web_stage: no such word: %s\n", word);
		exit(EXIT_FAILURE);
	}
}

static void
stage_on_words(struct ev_loop *loop, ev_io *watcher, int events)
{
	static char line[64];

	(void)watcher, (void)events;
	if (fgets(line, sizeof(line), stdin) == NULL) {
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	line[strcspn(line, "\n")] = '\0';
	stage_obey(line);
	puts("done");
}

/* --- building --- */

/* One server, on this host: its accept queue is known. */
static void
stage_make_server(void)
{
	int upstream = board_upstream_index(&stage.board, "java");
	int row = board_server_index(&stage.board, upstream, "127.0.0.1:8080");
	struct board_server_head *head = &stage.board.writable->servers[row];

	(void)strcpy(head->address, "127.0.0.1:8080");
	stat_set(&head->configured_weight, 1);
	stat_set(&head->queue_limit, 50 + 1);
	atomic_store(&stage.board.writable->upstreams[upstream].is_configured, 1);
	atomic_store(&head->is_configured, 1);
}

static void
stage_build_board(const char *first_name)
{
	struct fault why;
	char name[BOARD_NAME_MAX];
	int fd = -1;

	stage_check(board_create(&stage.board, &fd, &why), &why);
	for (int i = 0; i < stage.listeners; i++) {
		(void)snprintf(name, sizeof(name), i < 4 ? "%s" : "%s-%d",
			i == 0 && first_name != NULL ? first_name : names[i % 4], i);
		if (board_listener_index(&stage.board, name) != i) {
			exit(EXIT_FAILURE);
		}
	}
	stage_make_server();
	stat_set(&stage.board.writable->stats[STAT_MASTER_start_time_seconds],
		(uint64_t)clock_wall().tv_sec - 5000);
	for (int i = 0; i < stage.workers; i++) {
		board_open_slot(&stage.board, i);
		stage.board.slots[i].pid = 1000 + i;
		stage.board.slots[i].state = BOARD_WORKER_SERVING;
		stage.board.slots[i].progress_ms = INT64_MAX / 2;
	}
	board_add_event(&stage.board, LOG_LEVEL_NOTICE, "<b>serving</b> & \"well\"");
}

static int
stage_listen(void)
{
	struct address address = {
		.len = sizeof(struct sockaddr_in), .in4 = {.sin_family = AF_INET}};
	struct net_options options = {.backlog = 64};
	socklen_t len = sizeof(address.in4);
	struct fault why;
	int fd;

	address.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = net_listen(&address, &options, &why);
	stage_check(fd, &why);
	(void)getsockname(fd, &address.any, &len);
	printf("%u\n", ntohs(address.in4.sin_port));
	return fd;
}

int
main(int count, char **arguments)
{
	if (count < 3) {
		fprintf(stderr, "usage: web_stage LISTENERS WORKERS [FIRST_NAME]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0); /* what is buffered would not wake the loop */
	stage.listeners = atoi(arguments[1]);
	stage.workers = atoi(arguments[2]);
	stage_build_board(count > 3 ? arguments[3] : NULL);
	stage.loop = loop_new();
	stage.web = web_new(stage.loop, &stage.board, stage_look, NULL);
	if (stage.loop == NULL || stage.web == NULL) {
		return EXIT_FAILURE;
	}
	reading_take(&stage.board, &stage.seconds[0]);
	reading_take(&stage.board, &stage.seconds[1]);
	reading_take(&stage.board, &stage.minute_ago);
	loop_timer_init(&stage.second, stage_on_second);
	ev_io_init(&stage.words, stage_on_words, STDIN_FILENO, EV_READ);
	ev_io_start(stage.loop, &stage.words);
	web_listen(stage.web, stage_listen());
	(void)ev_run(stage.loop, 0);
	web_free(&stage.web);
	ev_loop_destroy(stage.loop);
	board_detach(&stage.board);
	return EXIT_SUCCESS;
}
