/* Whether a worker hangs. */
#include "master/watchdog.h"

/* The share of the hang timeout that a looping worker must have had the CPU. A turn takes a
 * millisecond, so even this is far more than any turn needs, and a worker with a twentieth of a
 * core falls short of it; on a busy machine a looping one gets no more. */
#define LOOP_SHARE_PERCENT 25
/* One look may meet a starved worker in a page fault, asleep for a moment. */
#define BLOCKED_LOOKS_MIN 2

static void
watchdog_restart(struct watchdog *watchdog, int64_t stamp_ms, int64_t moved_ms)
{
	watchdog->stamp_ms = stamp_ms;
	watchdog->moved_ms = moved_ms;
	watchdog->cpu_then_ms = -1;
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

static bool
watchdog_had_the_cpu(const struct watchdog *watchdog, const struct watchdog_sample *sample,
	int64_t hang_timeout_ms)
{
	return watchdog_cpu_ms(watchdog, sample) >= hang_timeout_ms * LOOP_SHARE_PERCENT / 100;
}

static void
watchdog_note(struct watchdog *watchdog, const struct watchdog_sample *sample)
{
	if (watchdog->cpu_then_ms < 0) {
		watchdog->cpu_then_ms = sample->cpu_ms;
	}
	watchdog->blocked_looks = sample->state == 'R' ? 0 : watchdog->blocked_looks + 1;
}

enum watchdog_verdict
watchdog_judge(struct watchdog *watchdog, const struct watchdog_sample *sample, int64_t now_ms,
	int64_t hang_timeout_ms)
{
	watchdog_note(watchdog, sample);
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
