/* Whether a worker hangs. */
#include "master/watchdog.h"

/* Of the hang timeout, spent on the CPU without finishing a turn. Not all of it: ticks, interrupts
 * and competitors take some even of a worker that never sleeps. */
#define LOOP_SHARE_PERCENT 80
/* One look may meet a starved worker in a page fault, asleep for a moment. */
#define BLOCKED_LOOKS_MIN 2

static void
watchdog_restart(struct watchdog *watchdog, int64_t stamp_ms, int64_t moved_ms)
{
	watchdog->stamp_ms = stamp_ms;
	watchdog->moved_ms = moved_ms;
	watchdog->sampled_ms = -1;
	watchdog->cpu_then_ms = 0;
	watchdog->blocked_looks = 0;
}

void
watchdog_begin(struct watchdog *watchdog, int64_t stamp_ms, int64_t now_ms)
{
	watchdog_restart(watchdog, stamp_ms, now_ms);
	watchdog->looked_ms = now_ms;
}

bool
watchdog_is_stale(struct watchdog *watchdog, int64_t stamp_ms, int64_t age_ms, int64_t now_ms)
{
	int64_t since_look = now_ms - watchdog->looked_ms;

	if (stamp_ms != watchdog->stamp_ms) {
		/* The age is believed only between two looks: the stamp is the worker's word. */
		if (age_ms < 0 || age_ms > since_look) {
			age_ms = age_ms < 0 ? 0 : since_look;
		}
		watchdog_restart(watchdog, stamp_ms, now_ms - age_ms);
	}
	watchdog->looked_ms = now_ms;
	return now_ms - watchdog->moved_ms >= WATCHDOG_CHECK_MS;
}

int64_t
watchdog_silence_ms(const struct watchdog *watchdog, int64_t now_ms)
{
	return now_ms - watchdog->moved_ms;
}

int64_t
watchdog_cpu_ms(const struct watchdog *watchdog, const struct watchdog_sample *sample)
{
	return sample->cpu_ms - watchdog->cpu_then_ms;
}

/* The CPU time before the first sample is unknown and credited as used; a starved worker still
 * falls short of the rest. */
static bool
watchdog_had_the_cpu(const struct watchdog *watchdog, const struct watchdog_sample *sample,
	int64_t hang_timeout_ms)
{
	int64_t unseen = watchdog->sampled_ms - watchdog->moved_ms;
	int64_t needed = hang_timeout_ms * LOOP_SHARE_PERCENT / 100 - unseen;
	int64_t least = hang_timeout_ms / 2;

	return watchdog_cpu_ms(watchdog, sample) >= (needed > least ? needed : least);
}

static void
watchdog_note(struct watchdog *watchdog, const struct watchdog_sample *sample, int64_t now_ms)
{
	if (watchdog->sampled_ms < 0) {
		watchdog->sampled_ms = now_ms;
		watchdog->cpu_then_ms = sample->cpu_ms;
	}
	watchdog->blocked_looks = sample->state == 'R' ? 0 : watchdog->blocked_looks + 1;
}

enum watchdog_verdict
watchdog_judge(struct watchdog *watchdog, const struct watchdog_sample *sample, int64_t now_ms,
	int64_t hang_timeout_ms)
{
	watchdog_note(watchdog, sample, now_ms);
	if (sample->state == 'Z' || sample->state == 'X') {
		return WATCHDOG_DEAD;
	}
	if (watchdog_silence_ms(watchdog, now_ms) < hang_timeout_ms) {
		return WATCHDOG_WAIT;
	}
	if (sample->state == 't') {
		return WATCHDOG_TRACED;
	}
	if (watchdog_had_the_cpu(watchdog, sample, hang_timeout_ms)) {
		return WATCHDOG_LOOPING;
	}
	if (sample->state == 'R') {
		return WATCHDOG_STARVED;
	}
	return watchdog->blocked_looks >= BLOCKED_LOOKS_MIN ? WATCHDOG_HUNG : WATCHDOG_WAIT;
}
