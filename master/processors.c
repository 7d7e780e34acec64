/* How many processors this process may use, and how many workers that makes. */
#include "master/processors.h"

#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>

#include "common/board.h"
#include "common/config.h"
#include "common/text.h"
#include "master/cgroup.h"

#define MASK_SETS 8 /* 8 * 1024 processors: the most that the kernel can be built for */

struct processors_mask {
	cpu_set_t sets[MASK_SETS];
};

static bool
processors_read_mask(struct processors_mask *mask)
{
	memset(mask, 0, sizeof(*mask));
	return sched_getaffinity(0, sizeof(mask->sets), mask->sets) == 0;
}

void
processors_look(struct processors *processors)
{
	struct processors_mask mask;
	struct cgroup_place cpu;

	processors->affinity = 1;
	if (processors_read_mask(&mask)) {
		processors->affinity = (unsigned)CPU_COUNT_S(sizeof(mask.sets), mask.sets);
	}
	cgroup_find("cpu", &cpu);
	processors->quota_millicores = cgroup_cpu_quota(&cpu);
}

unsigned
processors_usable(const struct processors *processors)
{
	unsigned usable = processors->affinity;
	int64_t by_quota = (processors->quota_millicores + 999) / 1000;

	if (by_quota > 0 && by_quota < (int64_t)usable) {
		usable = (unsigned)by_quota;
	}
	return usable > 0 ? usable : 1;
}

int
processors_core_of_slot(int slot)
{
	struct processors_mask mask;
	int core, count, wanted;

	if (!processors_read_mask(&mask)) {
		return -1;
	}
	count = CPU_COUNT_S(sizeof(mask.sets), mask.sets);
	wanted = count > 0 ? slot % count : -1;
	for (core = 0; wanted >= 0 && core < MASK_SETS * CPU_SETSIZE; core++) {
		if (CPU_ISSET_S((size_t)core, sizeof(mask.sets), mask.sets) && wanted-- == 0) {
			return core;
		}
	}
	return -1;
}

static int64_t
processors_room(int64_t descriptor_limit, int64_t descriptors_each)
{
	int64_t room = (descriptor_limit - PROCESSORS_WORKER_RESERVE) / descriptors_each;

	return room > 0 ? room : 1;
}

static void
processors_explain_cores(const struct processors *processors, struct text *why)
{
	unsigned usable = processors_usable(processors);

	text_add(why, "one for each of %u usable core%s", usable, usable == 1 ? "" : "s");
	if (usable < processors->affinity) {
		text_add(why, " (%u, but the CPU quota is %" PRId64 ".%02" PRId64 ")",
			processors->affinity, processors->quota_millicores / 1000,
			processors->quota_millicores % 1000 / 10);
	}
}

static unsigned
processors_clamp(int64_t count)
{
	if (count < 1) {
		return 1;
	}
	return count < BOARD_SLOTS ? (unsigned)count : BOARD_SLOTS;
}

unsigned
processors_choose_workers(const struct processors *processors, int64_t asked,
	int64_t max_connections, int64_t descriptors_each, int64_t descriptor_limit, char *why,
	size_t size)
{
	int64_t room = processors_room(descriptor_limit, descriptors_each);
	int64_t needed = max_connections > 0 ? (max_connections - 1) / room + 1 : 0;
	unsigned usable = processors_usable(processors);
	unsigned count = processors_clamp(asked);
	struct text text;

	text_init(&text, why, size);
	if (asked == CONFIG_WORKERS_AUTO) {
		count = processors_clamp(needed > (int64_t)usable ? needed : (int64_t)usable);
	}
	text_add(&text, "%u worker%s: ", count, count == 1 ? "" : "s");
	if (asked != CONFIG_WORKERS_AUTO) {
		text_add(&text, "as configured");
	} else if (needed > (int64_t)usable) {
		text_add(&text,
			"more than the %u usable core%s, because max_connections = %" PRId64
			" does not fit into fewer at %" PRId64
			" connections each (hard limit of descriptors %" PRId64 ")",
			usable, usable == 1 ? "" : "s", max_connections, room, descriptor_limit);
	} else {
		processors_explain_cores(processors, &text);
	}
	if (needed > (int64_t)count) {
		text_add(&text,
			"; they hold %" PRId64 " connections, max_connections = %" PRId64
			" needs %" PRId64 " workers or a hard limit of descriptors of %" PRId64,
			(int64_t)count * room, max_connections, needed,
			((max_connections - 1) / (int64_t)count + 1) * descriptors_each +
				PROCESSORS_WORKER_RESERVE);
	}
	return count;
}
