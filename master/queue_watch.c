/* sk_drops also moves for scanners and stray segments; only together with the kernel's
 * ListenOverflows, or with a queue seen full, is it an overflow. */
#include "master/queue_watch.h"

#include <string.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/text.h"
#include "master/diagnosis.h"
#include "master/kernel.h"
#include "master/kernel_counters.h"
#include "master/master.h"

#define FIRST_WORD_MS 500 /* enough evidence, and still within the second */
#define QUIET_MS      1500 /* ends it; who was dropped comes again after 1 s, which is the same one */
#define SAY_AGAIN_MS  10000 /* a listener that overflows again and again */
#define STUCK_MS      400   /* a worker turns ten times a second, idle or not */
#define SLOW_TURN_US  100000
#define SENTENCE_MAX  900

static void
read_kernel(struct master *master)
{
	static struct log_limit limit;
	uint64_t suppressed;
	struct fault why;

	if (kernel_counters_read(&master->board, "", &why) != 0 &&
		log_limit_allows(&limit, 60000, &suppressed)) {
		log_warning("%s; the kernel's counters on the board stand still", why.text);
	}
}

static void
look_at_workers(const struct master *master, int64_t now_ms, struct overflow_evidence *evidence)
{
	uint32_t slots =
		atomic_load_explicit(&master->board.writable->slots_used, memory_order_relaxed);

	for (uint32_t i = 0; i < slots; i++) {
		struct board_slot *slot = &master->board.slots[i];
		uint32_t pause = atomic_load_explicit(&slot->pause, memory_order_relaxed);
		int64_t silent_ms =
			now_ms - atomic_load_explicit(&slot->progress_ms, memory_order_relaxed);
		uint64_t turn_us = stat_get(&slot->stats[STAT_WORKER_longest_turn_us]);

		if (atomic_load_explicit(&slot->state, memory_order_relaxed) !=
			BOARD_WORKER_SERVING) {
			continue;
		}
		evidence->serving++;
		evidence->paused_limit += (pause & BOARD_PAUSE_LIMIT) != 0;
		evidence->paused_descriptors += (pause & BOARD_PAUSE_DESCRIPTORS) != 0;
		evidence->paused_trouble += (pause & BOARD_PAUSE_TROUBLE) != 0;
		if (silent_ms >= STUCK_MS && silent_ms > evidence->stuck_ms) {
			evidence->stuck_worker = (int)i;
			evidence->stuck_ms = silent_ms;
			evidence->stuck_pid =
				atomic_load_explicit(&slot->pid, memory_order_relaxed);
		}
		if (turn_us >= SLOW_TURN_US && turn_us > evidence->slow_us) {
			evidence->slow_worker = (int)i;
			evidence->slow_us = turn_us;
		}
	}
}

static uint64_t
accepted_by_all(const struct master *master, int listener)
{
	struct board_listener_copy sum;

	board_sum_listener(&master->board, listener, &sum);
	return sum.stats[STAT_LISTENER_accepted];
}

static void
episode_say(struct master *master, int listener, int64_t now_ms, bool is_over)
{
	const struct board_listener_head *head = &master->board.master->listeners[listener];
	struct queue_episode *episode = &master->queue_watch->episodes[listener];
	int64_t somaxconn = 0;
	struct overflow_evidence evidence = {
		.listener = head->name,
		.is_over = is_over,
		.duration_ms = (is_over ? episode->last_bad_ms + 100 : now_ms) - episode->began_ms,
		.limit = stat_get(&head->queue[STAT_QUEUE_limit]),
		.asked = stat_get(&head->queue[STAT_QUEUE_asked]),
		.dropped_segments = stat_get(&head->queue[STAT_QUEUE_dropped_segments]) -
				    episode->dropped_before,
		.busiest_second = episode->busiest.most,
		.accepted = accepted_by_all(master, listener) - episode->accepted_before,
		.max_connections = (uint64_t)master->config->max_connections,
		.stuck_worker = -1,
		.slow_worker = -1,
	};
	char buffer[SENTENCE_MAX];
	struct text sentence;

	if (kernel_read(KERNEL_ROOT, "net/core/somaxconn", &somaxconn) == 0) {
		evidence.somaxconn = (uint64_t)somaxconn;
	}
	look_at_workers(master, now_ms, &evidence);
	text_init(&sentence, buffer, sizeof(buffer));
	diagnosis_of_overflow(&evidence, &sentence);
	master_event(master, LOG_LEVEL_WARNING, "%s", buffer);
	master->queue_watch->said_ms[listener] = now_ms;
	episode->is_said = true;
}

static bool
may_say(const struct master *master, int listener, int64_t now_ms)
{
	int64_t said_ms = master->queue_watch->said_ms[listener];

	return said_ms == 0 || now_ms - said_ms >= SAY_AGAIN_MS;
}

static void
episode_begin(struct master *master, int listener, int64_t now_ms)
{
	struct board_listener_head *head = &master->board.writable->listeners[listener];
	struct queue_episode *episode = &master->queue_watch->episodes[listener];
	const struct drop_look *last = &master->queue_watch->looks[listener];

	stat_add(&head->queue[STAT_QUEUE_overflows], 1);
	*episode = (struct queue_episode){
		.is_on = true,
		.began_ms = now_ms - 100, /* somewhere since the last look */
		.last_bad_ms = now_ms,
		.dropped_before = last->dropped,
		.accepted_before = accepted_by_all(master, listener),
	};
	busiest_span_begin(&episode->busiest, last);
}

/* Its end is said when its beginning was, or when it was too short for that. */
static void
episode_tend(struct master *master, int listener, int64_t now_ms)
{
	struct queue_episode *episode = &master->queue_watch->episodes[listener];
	bool is_over = now_ms - episode->last_bad_ms >= QUIET_MS;

	if (is_over) {
		if (episode->is_said || may_say(master, listener, now_ms)) {
			episode_say(master, listener, now_ms, true);
		}
		episode->is_on = false;
	} else if (!episode->is_said && now_ms - episode->began_ms >= FIRST_WORD_MS &&
		   may_say(master, listener, now_ms)) {
		episode_say(master, listener, now_ms, false);
	}
}

static void
look_at_listener(struct master *master, int listener, bool kernel_saw_overflow, int64_t before_ms,
	int64_t now_ms)
{
	struct queue_watch *watch = master->queue_watch;
	struct board_listener_head *head = &master->board.writable->listeners[listener];
	struct queue_episode *episode = &watch->episodes[listener];
	uint64_t depth = stat_get(&head->queue[STAT_QUEUE_depth]);
	uint64_t limit = stat_get(&head->queue[STAT_QUEUE_limit]);
	struct drop_look *last = &watch->looks[listener];
	struct drop_look look = {
		before_ms, now_ms, stat_get(&head->queue[STAT_QUEUE_dropped_segments])};
	bool has_dropped = look.dropped != last->dropped;
	uint32_t *peak = &watch->peaks[listener][watch->second];

	if (depth > *peak) {
		*peak = depth > UINT32_MAX ? UINT32_MAX : (uint32_t)depth;
	}
	if (has_dropped && (kernel_saw_overflow || (limit > 0 && depth > limit))) {
		if (!episode->is_on) {
			episode_begin(master, listener, now_ms);
		}
		episode->last_bad_ms = now_ms;
	}
	if (episode->is_on) {
		busiest_span_count(&episode->busiest, last, &look);
		episode_tend(master, listener, now_ms);
	}
	*last = look;
}

static bool
is_used(const struct master *master, int listener)
{
	return atomic_load_explicit(&master->board.writable->listeners[listener].is_used,
		       memory_order_relaxed) != 0;
}

static bool
has_new_drops(const struct master *master)
{
	const struct board_listener_head *heads = master->board.master->listeners;

	for (int i = 0; i < BOARD_LISTENERS && is_used(master, i); i++) {
		if (stat_get(&heads[i].queue[STAT_QUEUE_dropped_segments]) !=
			master->queue_watch->looks[i].dropped) {
			return true;
		}
	}
	return false;
}

/* Whether ListenOverflows moved since the last look; read only when some listener dropped. */
static bool
kernel_overflowed(struct master *master)
{
	struct queue_watch *watch = master->queue_watch;
	uint64_t seen = watch->overflows_seen;

	if (!has_new_drops(master)) {
		return false;
	}
	read_kernel(master);
	watch->overflows_seen =
		stat_get(&master->board.master->kernel[STAT_KERNEL_ListenOverflows]);
	return watch->overflows_seen != seen;
}

void
queue_watch_start(struct master *master)
{
	int64_t now_ms = clock_monotonic_ms();

	read_kernel(master);
	master->queue_watch->overflows_seen =
		stat_get(&master->board.master->kernel[STAT_KERNEL_ListenOverflows]);
	for (int i = 0; i < BOARD_LISTENERS && is_used(master, i); i++) {
		const board_cell *queue = master->board.master->listeners[i].queue;

		master->queue_watch->looks[i] = (struct drop_look){
			now_ms, now_ms, stat_get(&queue[STAT_QUEUE_dropped_segments])};
		/* Which second of the minute it was is not known any more. */
		master->queue_watch->peaks[i][0] =
			(uint32_t)stat_get(&queue[STAT_QUEUE_peak_minute]);
	}
}

void
queue_watch_look(struct master *master, int64_t before_ms)
{
	bool kernel_saw_overflow = kernel_overflowed(master);
	int64_t now_ms = clock_monotonic_ms();

	for (int i = 0; i < BOARD_LISTENERS && is_used(master, i); i++) {
		look_at_listener(master, i, kernel_saw_overflow, before_ms, now_ms);
	}
}

static uint32_t
highest(const uint32_t peaks[QUEUE_WATCH_SECONDS])
{
	uint32_t most = 0;

	for (unsigned i = 0; i < QUEUE_WATCH_SECONDS; i++) {
		most = peaks[i] > most ? peaks[i] : most;
	}
	return most;
}

void
queue_watch_second(struct master *master)
{
	struct queue_watch *watch = master->queue_watch;

	read_kernel(master);
	if (!has_new_drops(master)) { /* what overflowed was another program's */
		watch->overflows_seen =
			stat_get(&master->board.master->kernel[STAT_KERNEL_ListenOverflows]);
	}
	watch->second = (watch->second + 1) % QUEUE_WATCH_SECONDS;
	for (int i = 0; i < BOARD_LISTENERS && is_used(master, i); i++) {
		struct board_listener_head *head = &master->board.writable->listeners[i];

		stat_set(&head->queue[STAT_QUEUE_peak_minute], highest(watch->peaks[i]));
		watch->peaks[i][watch->second] = 0;
	}
}
