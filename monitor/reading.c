/* The only file of the monitor that reads the board's cells. */
#include "monitor/reading.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/board_wait.h"
#include "common/clock.h"

static void
copy_cells(const board_cell *cells, size_t count, uint64_t *values)
{
	for (size_t i = 0; i < count; i++) {
		values[i] = stat_get(&cells[i]);
	}
}

static void
read_listener(const struct board *board, int index, struct reading *reading)
{
	const struct board_listener_head *head = &board->master->listeners[index];
	struct reading_listener *listener;

	if (atomic_load_explicit(
		    &((struct board_listener_head *)head)->is_used, memory_order_acquire) == 0) {
		return;
	}
	listener = &reading->listeners[reading->listener_count++];
	listener->index = index;
	(void)snprintf(listener->name, sizeof(listener->name), "%s", head->name);
	copy_cells(head->queue, STAT_QUEUE_COUNT, listener->queue);
	board_sum_listener(board, index, &listener->sum);
	listener->closed = 0;
	for (size_t i = 0; i < CLOSE_COUNT; i++) {
		listener->closed += listener->sum.closed[i];
	}
	reading->accepted += listener->sum.stats[STAT_LISTENER_accepted];
	reading->open += listener->sum.stats[STAT_LISTENER_open];
	reading->closed += listener->closed;
}

static bool
is_set(const _Atomic uint32_t *flag)
{
	return atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)flag, memory_order_acquire) != 0;
}

static void
sum_server(const struct board *board, int index, struct reading_server *server)
{
	int slots = board_slots_used(board);

	server->held = server->unproven = server->settled = 0;
	for (int slot = 0; slot < slots; slot++) {
		const struct board_slot *from = &board->slots[slot];
		const struct board_server_cells *cells = &from->servers[index];

		server->held += stat_get(&cells->held);
		server->unproven += stat_get(&cells->unproven);
		server->settled += stat_get(&cells->settled);
	}
	for (int i = 0; i < STAT_SERVER_COUNT; i++) {
		server->stats[i] = board_server_stat(board, index, i);
	}
}

static void
read_accept_queue(const struct board_server_head *head, struct reading_server *server)
{
	uint64_t limit = stat_get(&head->queue_limit);

	server->has_queue = limit > 0;
	server->queue_limit = server->has_queue ? limit - 1 : 0;
	server->queue_depth = stat_get(&head->queue_depth);
	server->queue_dropped_segments = stat_get(&head->queue_dropped);
}

static void
read_lookup(const struct board_server_head *head, const struct reading *reading,
	struct reading_server *server)
{
	const struct board_lookup *lookup = &head->lookup;
	uint64_t answered_ms = stat_get(&lookup->answered_ms);
	uint64_t failing_ms = stat_get(&lookup->failing_ms);

	server->lookup = (struct reading_lookup){
		.state = atomic_load_explicit(
			(_Atomic uint32_t *)(uintptr_t)&lookup->state, memory_order_relaxed),
		.age_ms = answered_ms == 0 ? -1 : reading->taken_ms - (int64_t)answered_ms,
		.next_ms = (int64_t)stat_get(&lookup->next_ms) - reading->taken_ms,
		.failing_ms = failing_ms == 0 ? -1 : reading->taken_ms - (int64_t)failing_ms,
		.found = stat_get(&lookup->found),
		.taken = stat_get(&lookup->taken),
		.is_partial = is_set(&lookup->is_partial)};
}

static void
read_place(const struct board *board, int index, const struct reading *reading,
	struct reading_server *server)
{
	const struct board_server_head *head = &board->master->servers[index];
	struct board_place place;
	struct address address;

	server->place = (unsigned)head->place;
	(void)snprintf(server->asked, sizeof(server->asked), "%s", head->asked);
	server->place_state = BOARD_PLACE_HELD;
	memset(&server->lookup, 0, sizeof(server->lookup));
	if (server->place == 0) {
		return;
	}
	board_read_place(board, index, &place);
	server->place_state = place.state;
	if (place.state != BOARD_PLACE_EMPTY) {
		board_place_address(&place, &address);
		(void)address_format(&address, server->address);
	}
	if (place.weight > 0 && stat_get(&head->weight) == 0) {
		server->weight = place.weight;
	}
	if (server->place == 1) {
		read_lookup(head, reading, server);
	}
}

/* How it stands with a name is in the row of its first place, wherever that is. */
static void
share_lookups(struct reading *reading, const struct reading_server *first)
{
	for (size_t i = 0; first->place == 1 && i < reading->server_count; i++) {
		struct reading_server *server = &reading->servers[i];

		if (server->place > 1 && strcmp(first->upstream, server->upstream) == 0 &&
			strcmp(first->asked, server->asked) == 0) {
			server->lookup = first->lookup;
		}
	}
}

/* A place that never had an address shows nothing, but for the first one. */
static bool
is_bare(const struct reading_server *server)
{
	return server->place > 1 && server->place_state == BOARD_PLACE_EMPTY &&
	       server->stats[STAT_SERVER_sessions] == 0;
}

static void
fill_server(const struct board *board, int index, const struct reading *reading,
	struct reading_server *server)
{
	const struct board_server_head *head = &board->master->servers[index];
	uint64_t verdict = board_server_verdict(board, index);

	(void)snprintf(server->upstream, sizeof(server->upstream), "%s",
		board->master->upstreams[head->upstream].name);
	(void)snprintf(server->name, sizeof(server->name), "%s", head->name);
	(void)snprintf(server->address, sizeof(server->address), "%s", head->address);
	server->is_configured = is_set(&head->is_configured);
	server->is_drained = is_set(&head->is_drained);
	server->is_up = verdict == 0 || BOARD_VERDICT_IS_UP(verdict);
	server->since_ms = verdict == 0 ? -1 : reading->taken_ms - BOARD_VERDICT_SINCE(verdict);
	server->cause = server->is_up ? 0 : board_server_cause(board, index);
	server->waiting = board_waiting(board, head->upstream);
	server->oldest_wait_ms = board_oldest_wait_ms(board, head->upstream, reading->taken_ms);
	read_accept_queue(head, server);
	server->weight = board_in_force(&head->weight, &head->configured_weight);
	server->max_connections = board_in_force(&head->max_connections, &head->configured_max);
	server->backlog = stat_get(&head->configured_backlog);
	sum_server(board, index, server);
	read_place(board, index, reading, server);
}

/* A row that is given to another name meanwhile is of nobody, this time. */
static void
read_server(const struct board *board, int index, struct reading *reading)
{
	struct reading_server *server = &reading->servers[reading->server_count];
	uint32_t life = board_server_life(board, index);

	if (life == 0) {
		return;
	}
	fill_server(board, index, reading, server);
	if (board_server_life(board, index) == life && !is_bare(server)) {
		reading->server_count++;
	}
}

static void
read_worker(const struct board *board, int slot, struct reading *reading)
{
	struct board_slot *from = &board->slots[slot];
	struct reading_worker *worker = &reading->workers[reading->worker_count++];

	worker->slot = slot;
	worker->pid = atomic_load_explicit(&from->pid, memory_order_relaxed);
	worker->state = atomic_load_explicit(&from->state, memory_order_relaxed);
	worker->pause = atomic_load_explicit(&from->pause, memory_order_relaxed);
	worker->generation = atomic_load_explicit(&from->generation, memory_order_relaxed);
	worker->silent_ms =
		reading->taken_ms - atomic_load_explicit(&from->progress_ms, memory_order_relaxed);
	worker->last_crash_seconds =
		atomic_load_explicit(&from->last_crash_seconds, memory_order_acquire);
	worker->last_crash_status =
		atomic_load_explicit(&from->last_crash_status, memory_order_relaxed);
	copy_cells(from->stats, STAT_WORKER_COUNT, worker->stats);
	worker->accepted = 0;
	for (int i = 0; i < BOARD_LISTENERS; i++) {
		if (atomic_load_explicit(
			    &board->master->listeners[i].is_used, memory_order_relaxed) != 0) {
			worker->accepted +=
				stat_get(&from->listeners[i].stats[STAT_LISTENER_accepted]);
		}
	}
}

void
reading_take(const struct board *board, struct reading *reading)
{
	uint32_t slots = atomic_load_explicit(&board->master->slots_used, memory_order_acquire);

	/* Only what is in use is written: most of the struct costs no memory. */
	reading->listener_count = reading->worker_count = reading->server_count = 0;
	reading->accepted = reading->open = reading->closed = 0;
	reading->taken_ms = clock_monotonic_ms();
	reading->wall_seconds = clock_wall().tv_sec;
	copy_cells(board->master->stats, STAT_MASTER_COUNT, reading->master);
	copy_cells(board->master->kernel, STAT_KERNEL_COUNT, reading->kernel);
	copy_cells(board->master->kernel_at_start, STAT_KERNEL_COUNT, reading->kernel_at_start);
	reading->has_kernel = board->master->has_kernel != 0;
	reading->last_event =
		atomic_load_explicit(&board->master->last_event, memory_order_acquire);
	for (int i = 0; i < BOARD_LISTENERS; i++) {
		read_listener(board, i, reading);
	}
	for (int i = 0; i < BOARD_SERVERS; i++) {
		read_server(board, i, reading);
	}
	for (size_t i = 0; i < reading->server_count; i++) {
		share_lookups(reading, &reading->servers[i]);
	}
	for (uint32_t slot = 0; slot < slots && slot < BOARD_SLOTS; slot++) {
		read_worker(board, (int)slot, reading);
	}
}

double
reading_rate(const struct reading *before, const struct reading *now, uint64_t value_before,
	uint64_t value_now)
{
	int64_t elapsed_ms = now->taken_ms - before->taken_ms;

	if (elapsed_ms < 50 || value_now < value_before) {
		return 0;
	}
	return (double)(value_now - value_before) * 1000.0 / (double)elapsed_ms;
}

const struct reading_listener *
reading_find_listener(const struct reading *reading, const char *name)
{
	for (size_t i = 0; i < reading->listener_count; i++) {
		if (strcmp(reading->listeners[i].name, name) == 0) {
			return &reading->listeners[i];
		}
	}
	return NULL;
}

const struct reading_server *
reading_find_server(const struct reading *reading, const char *upstream, const char *name)
{
	for (size_t i = 0; i < reading->server_count; i++) {
		const struct reading_server *server = &reading->servers[i];

		if (strcmp(server->upstream, upstream) == 0 && strcmp(server->name, name) == 0) {
			return server;
		}
	}
	return NULL;
}

const struct reading_worker *
reading_find_worker(const struct reading *reading, int slot)
{
	for (size_t i = 0; i < reading->worker_count; i++) {
		if (reading->workers[i].slot == slot) {
			return &reading->workers[i];
		}
	}
	return NULL;
}

int64_t
reading_uptime_seconds(const struct reading *reading)
{
	int64_t uptime =
		reading->wall_seconds - (int64_t)reading->master[STAT_MASTER_start_time_seconds];

	return uptime > 0 ? uptime : 0;
}

const char *
reading_state_name(uint32_t state)
{
	static const char *const names[] = {
		[BOARD_WORKER_EMPTY] = "empty",
		[BOARD_WORKER_STARTING] = "starting",
		[BOARD_WORKER_SERVING] = "serving",
		[BOARD_WORKER_DRAINING] = "draining",
	};

	return state < ARRAY_LEN(names) ? names[state] : "unknown";
}

const char *
reading_crash_name(const struct reading_worker *worker, char buffer[READING_CRASH_MAX])
{
	int status = worker->last_crash_status;
	const char *name;

	buffer[0] = '\0';
	if (worker->last_crash_seconds == 0) {
		return buffer;
	}
	if (!WIFSIGNALED(status)) {
		(void)snprintf(buffer, READING_CRASH_MAX, "exit %d", WEXITSTATUS(status));
		return buffer;
	}
	name = sigabbrev_np(WTERMSIG(status));
	if (name != NULL) {
		(void)snprintf(buffer, READING_CRASH_MAX, "SIG%s", name);
	} else {
		(void)snprintf(buffer, READING_CRASH_MAX, "signal %d", WTERMSIG(status));
	}
	return buffer;
}

const char *
reading_pause_names(uint32_t pause, char buffer[READING_PAUSE_MAX])
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {{BOARD_PAUSE_BALANCE, "balance"}, {BOARD_PAUSE_LIMIT, "limit"},
		{BOARD_PAUSE_DESCRIPTORS, "descriptors"}, {BOARD_PAUSE_TROUBLE, "trouble"}};
	size_t used = 0;

	buffer[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if ((pause & names[i].bit) != 0) {
			used += (size_t)snprintf(buffer + used, READING_PAUSE_MAX - used, "%s%s",
				used == 0 ? "" : ",", names[i].name);
		}
	}
	return buffer;
}
