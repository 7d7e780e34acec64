/* The shared segment: one master part, then the worker slots, in one sealed memory file. A process
 * that may not write a part has it mapped from a descriptor that cannot write, so that mprotect(2)
 * does not help a worker in the hands of an attacker. */
#include "common/board.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/descriptor.h"
#include "common/fault.h"

#ifndef BOARD_VERSION
#define BOARD_VERSION 1
#endif

enum {
	BOARD_MAGIC = 0x61636264, /* "acbd" */
	BOARD_READ_TRIES = 1000,
};

#define BOARD_MASTER_BYTES                                                                         \
	((sizeof(struct board_master) + BOARD_PAGE - 1) / BOARD_PAGE * BOARD_PAGE)
#define BOARD_BYTES (BOARD_MASTER_BYTES + sizeof(struct board_slot) * BOARD_SLOTS)

static_assert(sizeof(struct board_slot) % BOARD_PAGE == 0, "a slot can be mapped alone");
static_assert(sizeof(void *) >= 8, "gigabytes of addresses, of which little is ever touched");
static_assert(sizeof(struct board_event) <= 528, "events should stay about half a kilobyte");
static_assert(sizeof(board_cell) == 8, "a cell is a bare word");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "cells must work between processes");

const struct stat_row stat_rows[] = {
#define STAT(scope, name, kind, unit, number, help)                                                \
	{STAT_SCOPE_##scope, #name, STAT_##kind, STAT_##unit, number, help},
#include "common/stats.def"
#undef STAT
};
const size_t stat_row_count = ARRAY_LEN(stat_rows);

const struct stat_row *
stat_row_of(enum stat_scope scope, size_t index)
{
	for (size_t row = 0; row < stat_row_count; row++) {
		if (stat_rows[row].scope == scope && index-- == 0) {
			return &stat_rows[row];
		}
	}
	return NULL;
}

const char *
close_reason_name(enum close_reason reason)
{
	const struct stat_row *row = stat_row_of(STAT_SCOPE_CLOSE, (size_t)reason);

	return row == NULL ? "unknown" : row->name;
}

/* FNV-1a: any change of a row or of a size gives another number. */
static uint64_t
hash_bytes(uint64_t hash, const void *bytes, size_t len)
{
	for (size_t at = 0; at < len; at++) {
		hash = (hash ^ ((const unsigned char *)bytes)[at]) * 0x100000001b3;
	}
	return hash;
}

static uint64_t
board_layout(void)
{
	const uint64_t sizes[] = {BOARD_BYTES, BOARD_MASTER_BYTES, sizeof(struct board_slot),
		BOARD_SLOTS, BOARD_LISTENERS, BOARD_EVENTS, offsetof(struct board_slot, stats),
		offsetof(struct board_slot, crash), offsetof(struct board_slot, turn_us),
		offsetof(struct board_slot, last_crash_seconds),
		offsetof(struct board_slot, listeners), sizeof(struct board_crash),
		offsetof(struct board_crash, frames), offsetof(struct board_master, stats),
		offsetof(struct board_master, kernel), offsetof(struct board_master, listeners),
		sizeof(struct board_listener_head), offsetof(struct board_master, events),
		sizeof(struct board_event), offsetof(struct board_slot, upstreams),
		offsetof(struct board_slot, servers), sizeof(struct board_server_head),
		offsetof(struct board_master, upstreams), offsetof(struct board_master, servers),
		offsetof(struct board_slot, sources), sizeof(struct source_set),
		offsetof(struct board_master, source_key), offsetof(struct board_master, penalties),
		offsetof(struct board_server_head, lookup), sizeof(struct board_place),
		sizeof(struct board_upstream_head), sizeof(struct board_upstream_cells)};
	uint64_t hash = hash_bytes(0xcbf29ce484222325, sizes, sizeof(sizes));

	for (size_t i = 0; i < stat_row_count; i++) {
		const struct stat_row *row = &stat_rows[i];
		const uint64_t meaning[] = {row->scope, row->kind, row->unit, row->number};

		hash = hash_bytes(hash, row->name, strlen(row->name) + 1);
		hash = hash_bytes(hash, meaning, sizeof(meaning));
	}
	return hash;
}

static void
board_place(struct board *board, char *base)
{
	board->master = (const struct board_master *)base;
	board->slots = (struct board_slot *)(base + BOARD_MASTER_BYTES);
	board->writable = NULL;
	board->mapped_bytes = BOARD_BYTES;
}

/* A mapping aligned as the structs ask for: with pages of 4096 bytes the kernel would give less. */
static char *
map_aligned(int protection, int fd)
{
	size_t reserved = BOARD_BYTES + BOARD_PAGE;
	char *base = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *start;

	if (base == MAP_FAILED) {
		return MAP_FAILED;
	}
	start = base + (BOARD_PAGE - (uintptr_t)base % BOARD_PAGE) % BOARD_PAGE;
	if (mmap(start, BOARD_BYTES, protection, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
		int error = errno;

		(void)munmap(base, reserved);
		errno = error;
		return MAP_FAILED;
	}
	if (start > base) {
		(void)munmap(base, (size_t)(start - base));
	}
	(void)munmap(start + BOARD_BYTES, (size_t)(base + reserved - start) - BOARD_BYTES);
	/* A core would hold every page of it, and take them all from memory for that. */
	(void)madvise(start, BOARD_BYTES, MADV_DONTDUMP);
	return start;
}

int
board_create(struct board *board, int *fd, struct fault *why)
{
	int memory = descriptor_fixed_memory("acceptd board", BOARD_BYTES);
	struct siphash_key key;
	char *base;

	if (memory < 0) {
		return fault_set(why, -memory, "cannot make the shared segment for statistics");
	}
	if (getrandom(&key, sizeof(key), 0) != (ssize_t)sizeof(key)) {
		int error = errno;

		descriptor_close(&memory);
		return fault_set(why, error, "cannot get random numbers from the kernel");
	}
	base = map_aligned(PROT_READ | PROT_WRITE, memory);
	if (base == MAP_FAILED) {
		int error = errno;

		descriptor_close(&memory);
		return fault_set(why, error, "cannot map the shared segment for statistics");
	}
	board_place(board, base);
	board->writable = (struct board_master *)base;
	board->writable->version = BOARD_VERSION;
	board->writable->layout = board_layout();
	board->writable->size = BOARD_BYTES;
	board->writable->magic = BOARD_MAGIC;
	board->writable->source_key = key;
	board_set_source_table(board, SOURCES_ENTRIES_MAX);
	*fd = memory;
	return 0;
}

/* Another descriptor of the same file that cannot write; the one itself when /proc is missing. */
static int
reopen_read_only(int fd)
{
	char path[32];
	int reader;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	return reader < 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : reader;
}

static int
check_file(int fd, struct fault *why)
{
	struct stat info;

	if (fstat(fd, &info) < 0) {
		return fault_set(why, errno, "cannot look at the shared segment");
	}
	if (info.st_size != (off_t)BOARD_BYTES || (fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK) == 0) {
		return fault_say(why, EPROTO,
			"the shared segment is another build's: %lld bytes, not %zu sealed ones",
			(long long)info.st_size, BOARD_BYTES);
	}
	return 0;
}

static int
check_head(const struct board_master *head, struct fault *why)
{
	if (head->magic != BOARD_MAGIC || head->version != BOARD_VERSION ||
		head->layout != board_layout() || head->size != BOARD_BYTES) {
		return fault_say(why, EPROTO,
			"the shared segment is another build's: version %u layout %016llx, not "
			"version %u layout %016llx",
			head->version, (unsigned long long)head->layout, BOARD_VERSION,
			(unsigned long long)board_layout());
	}
	return 0;
}

static int
map_own_slot(struct board *board, int fd, int slot, struct fault *why)
{
	off_t offset = (off_t)(BOARD_MASTER_BYTES + sizeof(struct board_slot) * (size_t)slot);

	if (mmap(&board->slots[slot], sizeof(struct board_slot), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED, fd, offset) == MAP_FAILED) {
		return fault_set(why, errno, "cannot map slot %d of the shared segment", slot);
	}
	(void)madvise(&board->slots[slot], sizeof(struct board_slot), MADV_DONTDUMP);
	return 0;
}

int
board_attach(struct board *board, int fd, int slot, struct fault *why)
{
	struct board attached;
	char *base;
	int reader;
	int status = check_file(fd, why);

	assert(slot < BOARD_SLOTS);
	if (status < 0) {
		return status;
	}
	reader = reopen_read_only(fd);
	base = reader < 0 ? MAP_FAILED : map_aligned(PROT_READ, reader);
	if (base == MAP_FAILED) {
		status = fault_set(why, errno, "cannot map the shared segment");
		descriptor_close(&reader);
		return status;
	}
	descriptor_close(&reader);
	board_place(&attached, base);
	status = check_head(attached.master, why);
	if (status == 0 && slot >= 0) {
		status = map_own_slot(&attached, fd, slot, why);
	}
	if (status < 0) {
		board_detach(&attached);
		return status;
	}
	*board = attached;
	return 0;
}

int
board_adopt(struct board *board, int fd, struct fault *why)
{
	struct board adopted;
	char *base;
	int status = check_file(fd, why);

	if (status < 0) {
		return status;
	}
	base = map_aligned(PROT_READ | PROT_WRITE, fd);
	if (base == MAP_FAILED) {
		return fault_set(why, errno, "cannot map the shared segment");
	}
	board_place(&adopted, base);
	adopted.writable = (struct board_master *)base;
	status = check_head(adopted.master, why);
	if (status < 0) {
		board_detach(&adopted);
		return status;
	}
	*board = adopted;
	return 0;
}

void
board_detach(struct board *board)
{
	if (board->master != NULL) {
		(void)munmap((void *)(uintptr_t)board->master, board->mapped_bytes);
	}
	*board = (struct board){0};
}

static bool
is_used(const struct board *board, int listener)
{
	return listener < BOARD_LISTENERS &&
	       atomic_load_explicit(&((struct board_master *)(uintptr_t)board->master)
					     ->listeners[listener]
					     .is_used,
		       memory_order_acquire) != 0;
}

int
board_slots_used(const struct board *board)
{
	return (int)atomic_load_explicit(
		&((struct board_master *)(uintptr_t)board->master)->slots_used,
		memory_order_acquire);
}

int
board_listener_index(struct board *board, const char *name)
{
	struct board_listener_head *heads = board->writable->listeners;
	int index = 0;

	if (strlen(name) >= BOARD_NAME_MAX) {
		return -ENAMETOOLONG;
	}
	while (is_used(board, index)) {
		if (strcmp(heads[index].name, name) == 0) {
			return index;
		}
		index++;
	}
	if (index == BOARD_LISTENERS) {
		return -ENOSPC;
	}
	strcpy(heads[index].name, name);
	atomic_store_explicit(&heads[index].is_used, 1, memory_order_release);
	return index;
}

static void
copy_cells(const struct board_listener_cells *cells, struct board_listener_copy *copy)
{
	for (size_t i = 0; i < STAT_LISTENER_COUNT; i++) {
		copy->stats[i] = stat_get(&cells->stats[i]);
	}
	for (size_t i = 0; i < CLOSE_COUNT; i++) {
		copy->closed[i] = stat_get(&cells->closed[i]);
	}
}

static uint64_t
closed_sum(const struct board_listener_copy *copy)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < CLOSE_COUNT; i++) {
		sum += copy->closed[i];
	}
	return sum;
}

/* Connections that were accepted and not closed, by the counters: the gauge itself may be one
 * behind when its writer was stopped in the middle. */
static uint64_t
reckon_open(const struct board_listener_copy *copy)
{
	uint64_t accepted = copy->stats[STAT_LISTENER_accepted];
	uint64_t closed = closed_sum(copy);

	return accepted > closed ? accepted - closed : 0;
}

void
board_read_listener(
	const struct board *board, int slot, int listener, struct board_listener_copy *copy)
{
	struct board_slot *from = &board->slots[slot];
	uint32_t before, after;

	for (int tries = 0; tries < BOARD_READ_TRIES; tries++) {
		before = atomic_load_explicit(&from->sequence, memory_order_acquire);
		copy_cells(&from->listeners[listener], copy);
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&from->sequence, memory_order_relaxed);
		if (before == after && before % 2 == 0) {
			return;
		}
	}
	/* The writer is stopped in the middle, or faster than we are: its closes may be newer than
	 * its accepts, so the sum is made to hold here. */
	copy->stats[STAT_LISTENER_open] = reckon_open(copy);
	copy->stats[STAT_LISTENER_accepted] = closed_sum(copy) + copy->stats[STAT_LISTENER_open];
}

void
board_sum_listener(const struct board *board, int listener, struct board_listener_copy *sum)
{
	struct board_listener_copy copy;

	memset(sum, 0, sizeof(*sum));
	for (int slot = 0; slot < board_slots_used(board); slot++) {
		board_read_listener(board, slot, listener, &copy);
		for (size_t i = 0; i < STAT_LISTENER_COUNT; i++) {
			sum->stats[i] += copy.stats[i];
		}
		for (size_t i = 0; i < CLOSE_COUNT; i++) {
			sum->closed[i] += copy.closed[i];
		}
	}
}

void
board_open_slot(struct board *board, int slot)
{
	assert(slot >= 0 && slot < BOARD_SLOTS);
	if (slot >= board_slots_used(board)) {
		atomic_store_explicit(
			&board->writable->slots_used, (uint32_t)slot + 1, memory_order_release);
	}
	atomic_store_explicit(&board->slots[slot].crash.is_written, 0, memory_order_relaxed);
}

/* A worker killed between two stores may leave a close without its accept: then the accept is made
 * good, so that the sum holds for ever. */
static uint64_t
bury_listener(struct board_listener_cells *cells)
{
	struct board_listener_copy copy;
	uint64_t lost;

	copy_cells(cells, &copy);
	lost = reckon_open(&copy);
	/* It may have died in the middle of accept(2), just before the kernel gave it a client:
	 * then this is one too many. None is ever lost without being counted. */
	lost += stat_get(&cells->accepting) > copy.stats[STAT_LISTENER_accepted];
	stat_add(&cells->closed[CLOSE_lost_in_crash], lost);
	stat_set(&cells->stats[STAT_LISTENER_accepted], closed_sum(&copy) + lost);
	stat_set(&cells->claims, 0);
	stat_set(&cells->accepting, 0);
	for (size_t i = 0; i < STAT_LISTENER_COUNT; i++) {
		if (stat_row_of(STAT_SCOPE_LISTENER, i)->kind == STAT_GAUGE) {
			stat_set(&cells->stats[i], 0);
		}
	}
	return lost;
}

/* Its places are free again. What it found out about the servers stays true: verdicts, failures of
 * the run that goes on, and that runs were ended, else those before them would count again. */
static void
bury_backends(struct board_slot *dead)
{
	for (size_t i = 0; i < BOARD_UPSTREAMS; i++) {
		stat_set(&dead->upstreams[i].ticket, 0);
		stat_set(&dead->upstreams[i].waiting, 0);
		stat_set(&dead->upstreams[i].known, 0);
	}
	for (size_t i = 0; i < BOARD_SERVERS; i++) {
		if (stat_get(&dead->servers[i].held) > 0) {
			stat_set(&dead->servers[i].held, 0);
			stat_set(&dead->servers[i].unproven, 0);
			stat_set(&dead->servers[i].settled, 0);
		}
	}
}

uint64_t
board_bury_slot(struct board *board, int slot)
{
	struct board_slot *dead = &board->slots[slot];
	uint64_t lost = 0;

	if (atomic_load_explicit(&dead->sequence, memory_order_relaxed) % 2 == 0) {
		board_write_begin(dead);
	} else {
		atomic_thread_fence(memory_order_release); /* it died in the middle of a write */
	}
	for (int listener = 0; is_used(board, listener); listener++) {
		lost += bury_listener(&dead->listeners[listener]);
	}
	bury_backends(dead);
	if (stat_get(&dead->has_sources) != 0) {
		struct sources sources;

		board_sources(board, slot, &sources);
		sources_bury(&sources, slot);
	}
	for (size_t i = 0; i < STAT_WORKER_COUNT; i++) {
		if (stat_row_of(STAT_SCOPE_WORKER, i)->kind == STAT_GAUGE) {
			stat_set(&dead->stats[i], 0);
		}
	}
	stat_set(&dead->claims, 0);
	atomic_store_explicit(&dead->state, BOARD_WORKER_EMPTY, memory_order_relaxed);
	atomic_store_explicit(&dead->pause, 0, memory_order_relaxed);
	atomic_store_explicit(&dead->pid, 0, memory_order_relaxed);
	board_write_end(dead);
	return lost;
}

void
board_note_crash(struct board *board, int slot, int status)
{
	struct board_slot *failed = &board->slots[slot];

	atomic_store_explicit(&failed->last_crash_status, status, memory_order_relaxed);
	atomic_store_explicit(
		&failed->last_crash_seconds, (int64_t)clock_wall().tv_sec, memory_order_release);
}

void
board_add_event(struct board *board, int level, const char *text)
{
	struct board_master *master = board->writable;
	uint64_t number = atomic_load_explicit(&master->last_event, memory_order_relaxed) + 1;
	struct board_event *event = &master->events[number % BOARD_EVENTS];
	struct timespec now = clock_wall();

	atomic_store_explicit(&event->number, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	event->wall_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	event->level = level;
	(void)snprintf(event->text, sizeof(event->text), "%s", text);
	atomic_store_explicit(&event->number, number, memory_order_release);
	atomic_store_explicit(&master->last_event, number, memory_order_release);
}

int
board_read_event(const struct board *board, uint64_t number, struct board_event *event)
{
	struct board_event *from =
		&((struct board_master *)(uintptr_t)board->master)->events[number % BOARD_EVENTS];
	struct board_event copy;

	if (number == 0 || atomic_load_explicit(&from->number, memory_order_acquire) != number) {
		return -ENOENT;
	}
	copy.wall_ms = from->wall_ms;
	copy.level = from->level;
	memcpy(copy.text, from->text, sizeof(copy.text));
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&from->number, memory_order_relaxed) != number) {
		return -ENOENT; /* overwritten while it was copied */
	}
	atomic_init(&copy.number, number);
	*event = copy;
	return 0;
}
