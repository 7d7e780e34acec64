/* Two workers that race for a source's last place are settled as in the classic mutual exclusion of
 * Dekker: each marks its own entry, puts a full barrier, then reads the other's, so at least one of
 * them sees both. A mark is no connection: who is refused only because of marks asks again. */
#include "common/sources.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "common/network.h"
#include "common/siphash.h"

#define TRIES 64 /* beyond them somebody who marked his entry was stopped: refusing is safe */

/* `open`: connections, mark, family, listener. */
#define OPEN_MASK      UINT64_C(0xffffffff)
#define OPEN_ASKING    (UINT64_C(1) << 32)
#define OPEN_IS_V6     (UINT64_C(1) << 33)
#define LISTENER_SHIFT 40

/* `rate` and `refused`: number of the period (of seconds it wraps after two years), what came in
 * it, what came in the one before. */
#define COUNT_BITS   19
#define COUNT_MASK   ((UINT64_C(1) << COUNT_BITS) - 1)
#define PERIOD_SHIFT (2 * COUNT_BITS)
#define PERIOD_MASK  (UINT64_MAX >> PERIOD_SHIFT)
#define RATE_MS      1000
#define REFUSED_MS   10000

static_assert(SOURCES_RATE_MAX <= COUNT_MASK, "the rate is counted without running over");

static_assert(SOURCE_TEXT_MAX >= NETWORK_TEXT_MAX, "the text of a source is that of a network");

/* --- who --- */

bool
source_of(
	const struct siphash_key *key, const union peer *peer, int listener, struct source *source)
{
	struct {
		struct in6_addr address;
		uint32_t listener;
	} hashed = {.listener = (uint32_t)listener};
	const unsigned char *bytes = hashed.address.s6_addr;

	if (!network_source_of(peer, &hashed.address)) {
		return false;
	}
	source->is_v6 = !IN6_IS_ADDR_V4MAPPED(&hashed.address);
	source->listener = listener;
	source->prefix = 0;
	for (int i = source->is_v6 ? 0 : 12; i < (source->is_v6 ? 8 : 16); i++) {
		source->prefix = source->prefix << 8 | bytes[i];
	}
	source->tag = siphash(key, &hashed, sizeof(hashed));
	source->tag += source->tag == 0;
	return true;
}

void
source_network(const struct source *source, struct network *network)
{
	unsigned char *bytes = network->prefix.s6_addr;
	int first = source->is_v6 ? 0 : 12, len = source->is_v6 ? 8 : 4;

	memset(network, 0, sizeof(*network));
	if (!source->is_v6) {
		memset(&bytes[10], 0xff, 2);
	}
	for (int i = 0; i < len; i++) {
		bytes[first + i] = (unsigned char)(source->prefix >> (8 * (len - 1 - i)));
	}
	network->bits = source->is_v6 ? 64 : 128;
}

const char *
source_format(const struct source *source, char buffer[SOURCE_TEXT_MAX])
{
	struct network network;

	source_network(source, &network);
	(void)network_format(&network, buffer);
	if (!source->is_v6) {
		buffer[strcspn(buffer, "/")] = '\0';
	}
	return buffer;
}

/* --- cells --- */

static uint64_t
cell_read_first(const board_cell *cell)
{
	return atomic_load_explicit((board_cell *)(uintptr_t)cell, memory_order_acquire);
}

static uint64_t
period_of(int64_t now_ms, int64_t period_ms)
{
	return (uint64_t)(now_ms / period_ms) & PERIOD_MASK;
}

/* How long ago a cell was written, in periods. */
static uint64_t
age_of(uint64_t cell, uint64_t period)
{
	return (period - (cell >> PERIOD_SHIFT)) & PERIOD_MASK;
}

/* The counts of a cell as seen from a period. Workers read the clock at the beginning of a turn, so
 * another one may be a period ahead: then nothing is known of ours alone, and all that it has
 * counted is taken for it. */
static void
count_add(uint64_t cell, uint64_t period, struct source_count *sum)
{
	uint64_t now = cell >> COUNT_BITS & COUNT_MASK, before = cell & COUNT_MASK;
	uint64_t age = age_of(cell, period);

	if (age == 0) {
		sum->now += now;
		sum->before += before;
	} else if (age == 1) {
		sum->before += now;
	} else if (age == PERIOD_MASK) {
		sum->now += now + before;
	}
}

/* Move a cell on to a period, with so many more in it. */
static void
count_move(board_cell *cell, uint64_t period, unsigned more)
{
	struct source_count count = {0};

	count_add(stat_get(cell), period, &count);
	count.now += count.now < COUNT_MASK ? more : 0;
	stat_set(cell, period << PERIOD_SHIFT | count.now << COUNT_BITS | count.before);
}

/* In the last `period_ms`, if what came in the period before came evenly. */
static uint64_t
count_lately(const struct source_count *count, int64_t now_ms, int64_t period_ms)
{
	uint64_t left_ms = (uint64_t)(period_ms - now_ms % period_ms);

	return count->now + count->before * left_ms / (uint64_t)period_ms;
}

static void
cells_add(const struct source_cells *cells, int64_t now_ms, struct source_sum *sum)
{
	/* Taking a place moves the rate before it takes the mark away: read the other way round,
	 * at least one of the two is seen. */
	uint64_t open = cell_read_first(&cells->open);

	sum->open += open & OPEN_MASK;
	sum->asking += (open & OPEN_ASKING) != 0;
	count_add(stat_get(&cells->rate), period_of(now_ms, RATE_MS), &sum->rate);
	count_add(stat_get(&cells->refused), period_of(now_ms, REFUSED_MS), &sum->refused);
}

/* --- tables --- */

static struct source_table *
table_of(const struct sources *all, int slot)
{
	return (struct source_table *)((char *)all->first + (size_t)slot * all->stride);
}

/* The upper half of the tag, spread over any number of sets. */
static uint32_t
set_of(const struct sources *all, uint64_t tag)
{
	return (uint32_t)((tag >> 32) * all->sets >> 32);
}

static bool
set_is_used(const struct source_table *table, uint32_t set)
{
	return (stat_get(&table->used[set / 64]) >> (set % 64) & 1) != 0;
}

/* @return the way, or -1 */
static int
set_find(const struct source_set *set, uint64_t tag)
{
	for (int way = 0; way < SOURCES_WAYS; way++) {
		if (cell_read_first(&set->tags[way]) == tag) {
			return way;
		}
	}
	return -1;
}

static struct source_cells *
table_find(const struct sources *all, int slot, uint64_t tag)
{
	struct source_table *table = table_of(all, slot);
	uint32_t number = set_of(all, tag);
	int way = set_is_used(table, number) ? set_find(&table->sets[number], tag) : -1;

	return way < 0 ? NULL : &table->sets[number].cells[way];
}

/* A free way, or else the one longest out of use without a connection; -1: there is none. */
static int
set_find_room(const struct source_set *set, int64_t now_ms)
{
	uint64_t oldest = 0;
	int found = -1;

	for (int way = 0; way < SOURCES_WAYS; way++) {
		const struct source_cells *cells = &set->cells[way];
		uint64_t age = age_of(stat_get(&cells->rate), period_of(now_ms, RATE_MS));

		if (stat_get(&set->tags[way]) == 0) {
			return way;
		}
		if ((stat_get(&cells->open) & OPEN_MASK) == 0 && (found < 0 || age > oldest)) {
			found = way;
			oldest = age;
		}
	}
	return found;
}

/* The tag goes first and comes last, so that nobody takes another source's counts for this one's.
 */
static void
set_put(struct source_set *set, int way, const struct source *source, int64_t now_ms)
{
	struct source_cells *cells = &set->cells[way];

	stat_set(&set->tags[way], 0);
	atomic_thread_fence(memory_order_release);
	stat_set(&cells->prefix, source->prefix);
	stat_set(&cells->open,
		(source->is_v6 ? OPEN_IS_V6 : 0) | (uint64_t)source->listener << LISTENER_SHIFT);
	stat_set(&cells->rate, period_of(now_ms, RATE_MS) << PERIOD_SHIFT);
	stat_set(&cells->refused, 0);
	atomic_store_explicit(&set->tags[way], source->tag, memory_order_release);
}

/* Our own entry; NULL when there is no room. */
static struct source_cells *
table_make(const struct sources *all, const struct source *source, int64_t now_ms)
{
	struct source_table *table = table_of(all, all->own);
	uint32_t number = set_of(all, source->tag);
	struct source_set *set = &table->sets[number];
	struct source_cells *found = table_find(all, all->own, source->tag);
	int way;

	if (found != NULL) {
		return found;
	}
	way = set_find_room(set, now_ms);
	if (way < 0) {
		return NULL;
	}
	set_put(set, way, source, now_ms);
	stat_set(&table->used[number / 64],
		stat_get(&table->used[number / 64]) | UINT64_C(1) << (number % 64));
	return &set->cells[way];
}

/* --- sums --- */

/* Its owner may give the entry to another source while we read: then it had no connection. */
static void
sum_slot(const struct sources *all, int slot, const struct source *source, int64_t now_ms,
	struct source_sum *sum)
{
	const struct source_table *table = table_of(all, slot);
	uint32_t number = set_of(all, source->tag);
	const struct source_set *set = &table->sets[number];
	struct source_sum with = *sum;
	int way = set_is_used(table, number) ? set_find(set, source->tag) : -1;

	if (way < 0) {
		return;
	}
	cells_add(&set->cells[way], now_ms, &with);
	atomic_thread_fence(memory_order_acquire);
	if (stat_get(&set->tags[way]) == source->tag) {
		*sum = with;
	}
}

void
sources_sum(const struct sources *all, const struct source *source, int64_t now_ms,
	struct source_sum *sum)
{
	*sum = (struct source_sum){0};
	for (int slot = 0; slot < all->slots; slot++) {
		sum_slot(all, slot, source, now_ms, sum);
	}
}

uint64_t
source_rate(const struct source_sum *sum, int64_t now_ms)
{
	return count_lately(&sum->rate, now_ms, RATE_MS);
}

uint64_t
source_refused(const struct source_sum *sum, int64_t now_ms)
{
	return count_lately(&sum->refused, now_ms, REFUSED_MS);
}

/* --- admission --- */

enum answer { TAKE, ASK_AGAIN, TOO_MANY, TOO_FAST };

static bool
is_over(uint64_t count, int64_t limit)
{
	return limit > 0 && count > (uint64_t)limit;
}

/* The mark of the one who asks is among those asking. */
static enum answer
judge(const struct source_sum *sum, const struct source_limits *limits, int64_t now_ms)
{
	uint64_t rate = source_rate(sum, now_ms);

	if (is_over(sum->open + 1, limits->connections)) {
		return TOO_MANY;
	}
	if (is_over(rate + 1, limits->per_second)) {
		return TOO_FAST;
	}
	return is_over(sum->open + sum->asking, limits->connections) ||
			       is_over(rate + sum->asking, limits->per_second)
		       ? ASK_AGAIN
		       : TAKE;
}

static enum answer
ask_once(const struct sources *all, struct source_cells *own, const struct source *source,
	const struct source_limits *limits, int64_t now_ms)
{
	uint64_t open = stat_get(&own->open);
	struct source_sum sum;
	enum answer answer;

	stat_set(&own->open, open | OPEN_ASKING);
	atomic_thread_fence(memory_order_seq_cst);
	sources_sum(all, source, now_ms, &sum);
	answer = judge(&sum, limits, now_ms);
	count_move(&own->rate, period_of(now_ms, RATE_MS), answer == TAKE);
	atomic_store_explicit(&own->open, open + (answer == TAKE), memory_order_release);
	return answer;
}

enum source_verdict
sources_admit(const struct sources *all, const struct source *source,
	const struct source_limits *limits, int64_t now_ms)
{
	struct source_cells *own = table_make(all, source, now_ms);
	enum answer answer = ASK_AGAIN;

	if (own == NULL) {
		return SOURCE_UNTRACKED;
	}
	for (int i = 0; i < TRIES && answer == ASK_AGAIN; i++) {
		answer = ask_once(all, own, source, limits, now_ms);
	}
	if (answer == TAKE) {
		return SOURCE_ADMITTED;
	}
	count_move(&own->refused, period_of(now_ms, REFUSED_MS), 1);
	return answer == TOO_FAST || limits->connections == 0 ? SOURCE_OVER_RATE
							      : SOURCE_OVER_CONNECTIONS;
}

bool
sources_enter(const struct sources *all, const struct source *source, int64_t now_ms)
{
	struct source_cells *own = table_make(all, source, now_ms);

	if (own == NULL) {
		return false;
	}
	stat_add(&own->open, 1);
	return true;
}

/* An entry with a connection is never given away, so it is there. */
void
sources_leave(const struct sources *all, const struct source *source)
{
	struct source_cells *own = table_find(all, all->own, source->tag);

	assert(own != NULL && (stat_get(&own->open) & OPEN_MASK) > 0);
	stat_set(&own->open, stat_get(&own->open) - 1);
}

/* --- whole tables --- */

static void
visit_way(const struct source_set *set, int way, int64_t now_ms,
	void (*visit)(const struct source *source, const struct source_sum *part, void *arg),
	void *arg)
{
	const struct source_cells *cells = &set->cells[way];
	struct source source = {.tag = cell_read_first(&set->tags[way])};
	struct source_sum part = {0};
	uint64_t open = stat_get(&cells->open);

	source.prefix = stat_get(&cells->prefix);
	source.is_v6 = (open & OPEN_IS_V6) != 0;
	source.listener = (int)(open >> LISTENER_SHIFT & 0xffff);
	cells_add(cells, now_ms, &part);
	atomic_thread_fence(memory_order_acquire);
	if (source.tag != 0 && stat_get(&set->tags[way]) == source.tag) {
		visit(&source, &part, arg);
	}
}

void
sources_visit(const struct sources *all, int slot, int64_t now_ms,
	void (*visit)(const struct source *source, const struct source_sum *part, void *arg),
	void *arg)
{
	const struct source_table *table = table_of(all, slot);

	for (uint32_t set = 0; set < all->sets; set++) {
		for (int way = 0; way < SOURCES_WAYS && set_is_used(table, set); way++) {
			visit_way(&table->sets[set], way, now_ms, visit, arg);
		}
	}
}

void
sources_bury(const struct sources *all, int slot)
{
	struct source_table *table = table_of(all, slot);

	for (uint32_t set = 0; set < all->sets; set++) {
		for (int way = 0; way < SOURCES_WAYS && set_is_used(table, set); way++) {
			board_cell *open = &table->sets[set].cells[way].open;

			if ((stat_get(open) & (OPEN_MASK | OPEN_ASKING)) != 0) {
				stat_set(open, stat_get(open) & ~(OPEN_MASK | OPEN_ASKING));
			}
		}
	}
}
